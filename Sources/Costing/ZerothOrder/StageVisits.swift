import Documents
import Training

/// Zeroth-order training on one stage and one model of device: what its parts cost, and how their visits follow one another.
///
/// Without a pipeline each part is visited once an iteration, with all micro-batches of all losses that the rank
/// evaluates. In a pipeline a visit is of one micro-batch, so that stages work at the same time; weights are brought up to
/// date, and leave, in the first.
package struct StageVisits: Sendable {
  package let embedding: PartVisit
  package let layer: PartVisit
  package let head: PartVisit
  /// Losses that the rank evaluates.
  let evaluationCount: Int
  /// Micro-batches of one visit.
  let microBatchCount: Int
  private let hosting: Hosting
  private let speed: PerturbationSpeed
  private let directionCount: Int
  private let memory: MemoryModel
  /// Of a forward pass by cause, before launches.
  let passes: MicroBatchCost
  /// By what waits for launches lengthen a layer's pass.
  let launchFactor: Double

  /// - Parameters:
  ///   - launchFloorSeconds: of both passes of a layer, see ``LayerSeconds``; a forward pass has the share that it has of the
  ///     device's time.
  init(
    job: TrainingJob, microBatch: MicroBatchCost, memory: MemoryModel, groups: ShardGroups, launchFloorSeconds: Double,
    speed: PerturbationSpeed, framework: DeviceProfile.Framework, host: HostSpeed?
  ) {
    let strategy = memory.strategy
    self.memory = memory
    self.speed = speed
    passes = microBatch
    hosting = strategy.hosting
    directionCount = job.zerothOrder.directionCount
    evaluationCount = memory.evaluationCount
    microBatchCount = strategy.visitMicroBatchCount(of: memory.microBatchCount)
    let both = microBatch.layers.dense
    launchFactor = framework.slowdown(device: both.forwardSeconds + both.backwardSeconds, host: launchFloorSeconds)
    let slice = Double(memory.weightByteCount) / Double(strategy.sharding.weightDegree)
    func visit(_ forwardSeconds: Double, _ parameterCount: Int, borrowedCount: Int = 0) -> PartVisit {
      let count = parameterCount + borrowedCount
      let gathers = groups.exchanges(at: .laterUse).filter { $0.content == .weights }
      return PartVisit(
        updateSeconds: speed.updateSeconds(
          parameterCount: parameterCount, directionCount: job.zerothOrder.directionCount),
        perturbSeconds: speed.perturbSeconds(parameterCount: count), forwardSeconds: forwardSeconds,
        gatherSeconds: gathers.reduce(0) {
          $0
            + StageCost.traffic(of: $1, parameterCount: count, narrowCount: 0, memory: memory, groups: groups).seconds
        },
        transferSeconds: host.map { Double(parameterCount) * slice / $0.bytesPerSecond } ?? 0)
    }
    let parameters = memory.parameters
    layer = visit(both.forwardSeconds * launchFactor, parameters.layer)
    embedding = visit(microBatch.embedding.forwardSeconds, parameters.embedding)
    // A tied head on the embedding's own stage perturbs the embedding's matrix once more.
    head = visit(
      microBatch.head.forwardSeconds, parameters.head,
      borrowedCount: strategy.sharesTokenTable(of: job.model) ? parameters.outputMatrix : 0)
  }

  /// The streams of a rank from the beginning of a visit of everything on a stage.
  ///
  /// - Parameter updates: whether weights that come from the host are brought up to date, and go back.
  /// - Complexity: O(layers).
  func streams(_ content: Split.Stage, isFirst: Bool, isLast: Bool, updates: Bool) -> VisitStreams {
    var streams = VisitStreams()
    if isFirst { streams.visit(embedding, computeSeconds: seconds(embedding), isHosted: false, leaves: false) }
    let hosted = content.hostedLayerCount(hosting)
    let resident = seconds(layer), updated = seconds(layer, updates: updates)
    for index in 0..<content.layerCount {
      let isHosted = Hosting.isSpread(index, count: hosted, of: content.layerCount)
      streams.visit(layer, computeSeconds: isHosted ? updated : resident, isHosted: isHosted, leaves: updates)
    }
    if isLast { streams.visit(head, computeSeconds: seconds(head), isHosted: false, leaves: false) }
    return streams
  }

  /// What each of the streams is busy with in a visit of everything on a stage: what a pipeline's stage takes for one
  /// micro-batch among many is the largest.
  func busy(_ content: Split.Stage, isFirst: Bool, isLast: Bool, updates: Bool) -> VisitStreams.Busy {
    let n = Double(content.layerCount), hosted = Double(content.hostedLayerCount(hosting))
    var busy = VisitStreams.Busy()
    busy.compute = (n - hosted) * seconds(layer) + hosted * seconds(layer, updates: updates)
    busy.gather = n * layer.gatherSeconds
    busy.upload = hosted * layer.transferSeconds
    if updates { busy.offload = hosted * layer.transferSeconds }
    for (part, isThere) in [(embedding, isFirst), (head, isLast)] where isThere {
      busy.compute += seconds(part)
      busy.gather += part.gatherSeconds
    }
    return busy
  }

  /// What the device computes in a visit of a part.
  func seconds(_ part: PartVisit, updates: Bool = false) -> Double {
    part.computeSeconds(evaluationCount: evaluationCount, microBatchCount: microBatchCount, updates: updates)
  }

  /// What lies on the device brought up to date after the losses are known, seconds: of slices, the rank's own.
  func residentUpdateSeconds(stage: Int, _ content: Split.Stage) -> Double {
    speed.updateSeconds(
      parameterCount: memory.residentCount(stage: stage, content), directionCount: directionCount)
  }
}

extension VisitStreams.Busy {
  /// The busiest of the streams, seconds.
  var most: Double { max(upload, gather, compute, offload) }
}
