import Costing
import Documents
import Training

/// The degrees of a miniature and the devices it occupies.
struct MiniatureDegrees {
  let mesh: Mesh
  /// Neighbours that exchange sequences for heads, where there are rings besides.
  let contextInner: Int
  /// Ranks that divide experts.
  let expert: Int

  var pipeline: Int { mesh.degree(of: .pipeline) }
  var worldSize: Int { mesh.worldSize }

  /// The largest context degree, then pipeline degree, then data degree, then workers, whose ranks are few enough
  /// and fill whole nodes, each worker its own, or one in part.
  init(of plan: Plan, rankLimit: Int) throws(Miniature.Refusal) {
    let strategy = plan.strategy, inNode = plan.cluster.devicesPerNode
    var needed = strategy.worldSize
    for (context, inner) in Self.contexts(of: strategy) {
      for p in stride(from: strategy.pipelineDegree, through: min(2, strategy.pipelineDegree), by: -1) {
        for d in stride(from: strategy.dataDegree, through: min(2, strategy.dataDegree), by: -1) {
          let worker = strategy.mesh.ofOneWorker.with(.pipeline, degree: p).with(.data, degree: d)
            .with(.context, degree: context)
          let planned = strategy.workerDegree, most = max(min(2, planned), min(planned, rankLimit / worker.worldSize))
          let mesh = worker.with(.worker, degree: most), ranks = mesh.worldSize
          let fillsNodes = worker.worldSize % inNode == 0
          let fillsPart =
            planned == 1 && ranks < inNode
            && plan.cluster.levels.allSatisfy { $0.span >= ranks || ranks % $0.span == 0 }
          // Whole groups that divide losses, and two of them where there are several.
          let (groups, rest) = d.quotientAndRemainder(dividingBy: strategy.perturbationDegree)
          guard fillsNodes || fillsPart, rest == 0,
            groups >= min(2, strategy.dataDegree / strategy.perturbationDegree),
            strategy.sharding.shrunk(from: strategy.replicaCount, to: mesh.replicaCount) != nil
          else { continue }
          guard let expert = Self.expertDegree(of: plan, in: mesh) else { continue }
          if ranks <= rankLimit {
            self.mesh = mesh
            contextInner = inner
            self.expert = expert
            return
          }
          needed = min(needed, ranks)
        }
      }
    }
    throw .tooFewRanks(limit: rankLimit, needed: needed)
  }

  /// As many ranks that divide experts as fit a stage, eight if they can be: where the stage has room a group still lies on
  /// several nodes, and several ranks still have the same experts. Nil where none fit.
  private static func expertDegree(of plan: Plan, in mesh: Mesh) -> Int? {
    let planned = plan.strategy, inNode = plan.cluster.devicesPerNode, t = planned.expertTensorDegree
    guard plan.job.model.experts != nil else { return 1 }
    let stage = mesh.blockSize(below: .pipeline)
    func spansNodes(_ degree: Int) -> Bool { degree * t > inNode && degree * t % inNode == 0 }
    let fitting = (1...planned.expertDegree).filter { degree in
      planned.expertDegree % degree == 0 && stage % (degree * t) == 0
        && degree >= min(2, planned.expertDegree)
    }
    func loses(_ degree: Int) -> Int {
      (planned.expertReplicaCount > 1 && stage == degree * t ? 1 : 0)
        + (planned.dispatcher.sendsOnce && spansNodes(planned.expertDegree) && !spansNodes(degree) ? 2 : 0)
    }
    return fitting.min { (loses($0), abs($0 - 8), $0) < (loses($1), abs($1 - 8), $1) }
  }

  /// The plan's layers that are kept, in order.
  func keptLayers(of plan: Plan) -> [Int] {
    let planned = plan.strategy, stages = keptStages(of: planned.pipelineDegree), ranges = plan.split.layerRanges
    return (0..<pipeline * planned.virtualStageCount).flatMap { virtualStage -> Range<Int> in
      let place = planned.schedule.place(ofVirtualStage: virtualStage, stageCount: pipeline)
      return ranges[
        planned.schedule.virtualStageIndex(
          stage: stages[place.stage], chunk: place.chunk, stageCount: planned.pipelineDegree)]
    }
  }

  /// Context degrees that leave every kind of exchange there is, the largest first, each with its inner one.
  private static func contexts(of strategy: Strategy) -> [(context: Int, inner: Int)] {
    let planned = strategy.contextDegree
    guard planned > 1 else { return [(1, 1)] }
    let divisors = (2...planned).reversed().filter { planned % $0 == 0 }
    guard strategy.contextExchange == .allToAllRing else { return divisors.map { ($0, 1) } }
    return divisors.compactMap { context in
      (2..<max(2, context)).last { context % $0 == 0 && strategy.contextInnerDegree % $0 == 0 }.map { (context, $0) }
    }
  }

  /// Which of the plan's stages are kept: the first, the last, and others evenly between.
  func keptStages(of planned: Int) -> [Int] {
    pipeline == 1 ? [0] : (0..<pipeline).map { ($0 * (planned - 1) + (pipeline - 1) / 2) / (pipeline - 1) }
  }

  /// The plan's cluster, or as much of one node as the ranks fill.
  func cluster(of plan: Plan) throws(ClusterDescription.Contradiction) -> ClusterDescription {
    let cluster = plan.cluster
    guard worldSize < cluster.devicesPerNode else { return cluster }
    var levels = cluster.levels.filter { $0.span < worldSize }
    if let around = cluster.levels.first(where: { $0.span >= worldSize }) {
      levels.append(around.spanning(worldSize))
    }
    return try ClusterDescription(
      name: cluster.name, source: cluster.source, device: cluster.device,
      nodeNames: [cluster.nodeNames[plan.arrangement.nodeOrder[0]]], devicesPerNode: worldSize, levels: levels,
      host: cluster.host)
  }

  /// The nodes of the kept stages, in the plan's order; as many as the ranks fill.
  func nodeOrder(of plan: Plan, keptStages: [Int]) -> [Int] {
    let inNode = plan.cluster.devicesPerNode
    guard worldSize >= inNode else { return [0] }
    let planned = plan.arrangement.nodeOrder
    let stageSize = plan.strategy.mesh.blockSize(below: .pipeline), keptSize = mesh.blockSize(below: .pipeline)
    // The first workers are kept, and of each the same nodes.
    let workerSize = plan.strategy.mesh.blockSize(below: .worker), keptWorkerSize = mesh.blockSize(below: .worker)
    return (0..<mesh.degree(of: .worker)).flatMap { worker in
      let planned = planned[(worker * workerSize / inNode)...]
      guard stageSize % inNode == 0, keptSize % inNode == 0 else {
        return Array(planned.prefix(keptWorkerSize / inNode))
      }
      return keptStages.flatMap { stage in
        planned.dropFirst(stage * stageSize / inNode).prefix(keptSize / inNode)
      }
    }
  }
}
