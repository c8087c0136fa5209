import Costing
import Documents

/// The strategies of zeroth-order training, where it is allowed. No framework runs it, so that none bears on them.
///
/// | axis | values |
/// |---|---|
/// | tensor, pipeline, data; sequence parallelism | as for all strategies |
/// | perturbation | every divisor of an iteration's losses and of the replicas |
/// | micro-batch | every divisor of global batch / (data / perturbation) |
/// | slices | 1, as many replicas as an instance of each level of a node's links holds, and with one node all |
/// | weights | on the devices, or on the hosts but for as many layers as devices have room for |
extension Lattice {
  /// All points of a mesh, with the costs of micro-batches that they need beyond those that are there.
  ///
  /// - Parameters:
  ///   - keys: what the cost of a micro-batch depends on, to which new ones are appended.
  ///   - rejections: by rule, to which cuts are added.
  func zerothOrderPoints(_ mesh: Mesh, keys: inout [MicroBatchKey], rejections: inout [String: Int]) -> [Point] {
    let job = model.job
    let replicas = mesh.degree(of: .data)
    var points: [Point] = []
    let sequenceParallelisms = mesh.degree(of: .tensor) > 1 ? [false, true] : [false]
    for perturbation in divisors(of: job.zerothOrder.evaluationCount) where replicas % perturbation == 0 {
      let batchDegree = replicas / perturbation
      guard job.globalBatch % batchDegree == 0 else {
        rejections["global batch does not divide", default: 0] += 1
        continue
      }
      for microBatch in divisors(of: job.globalBatch / batchDegree) {
        for sequenceParallel in sequenceParallelisms {
          for slices in sliceDegrees(mesh) {
            for holdsWeights in [false, true] {
              var strategy = base.on(
                mesh, zeroStage: slices > 1 ? .weights : .none,
                sharding: Sharding(weightDegree: slices, gradientDegree: slices, optimizerDegree: slices))
              strategy.update = .zerothOrder
              strategy.recompute = .none
              strategy.perturbationDegree = perturbation
              strategy.microBatch = microBatch
              strategy.usesSequenceParallelism = sequenceParallel
              strategy.hosting = Hosting(holdsWeights: holdsWeights)
              guard pattern.matches(strategy) else { continue }
              if let violation = model.violation(of: strategy) {
                rejections[violation.rule, default: 0] += 1
                continue
              }
              let key = MicroBatchKey(
                microBatch: microBatch, recompute: .none, sequenceParallel: sequenceParallel,
                flashAttention: strategy.usesFlashAttention,
                overlapsTensorExchange: strategy.overlapsTensorExchange)
              let index = keys.firstIndex(of: key) ?? keys.count
              if index == keys.count { keys.append(key) }
              points.append(
                Point(
                  strategy: strategy,
                  freedom: holdsWeights
                    ? StageFreedom(choosesRecomputation: false, choosesOffload: false, choosesHostedLayers: true)
                    : .none, microBatchCostIndex: index))
            }
          }
        }
      }
    }
    return points
  }

  /// Degrees by which replicas slice weights: those whose slices come together over the links of a node.
  private func sliceDegrees(_ mesh: Mesh) -> [Int] {
    let replicas = mesh.degree(of: .data), tensor = mesh.blockSize(below: .data)
    if let fixed = pattern.weightDegree { return [fixed] }
    let inside = model.cluster.levels.compactMap { level -> Int? in
      let members = min(level.span, model.cluster.devicesPerNode) / tensor
      return level.span <= model.cluster.devicesPerNode && members > 1 && replicas % members == 0 ? members : nil
    }
    let whole = replicas * tensor <= model.cluster.devicesPerNode ? [replicas] : []
    return Set([1] + inside + whole).sorted()
  }

  /// Whether any strategy of a mesh could be of zeroth order.
  static func admitsZerothOrder(_ mesh: Mesh, _ model: CostModel) -> Bool {
    let replicas = mesh.degree(of: .data)
    guard mesh.degree(of: .context) == 1 else { return false }
    return divisors(of: model.job.zerothOrder.evaluationCount).contains { perturbation in
      guard replicas % perturbation == 0, model.job.globalBatch % (replicas / perturbation) == 0 else { return false }
      var strategy = Strategy(mesh: mesh)
      strategy.update = .zerothOrder
      strategy.perturbationDegree = perturbation
      return model.violation(of: strategy) == nil
    }
  }
}
