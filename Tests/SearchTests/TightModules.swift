import Costing
import Documents
import JSONText
import Search
import TestSupport

/// A mixture's question on devices with somewhat less memory than its best plan would have, so that recomputed modules pay.
struct TightModules {
  let model: CostModel
  /// What is fixed; with the degrees, micro-batch and ZeRO stage of that plan, so that memory is found elsewhere.
  let pattern: StrategyPattern
  /// How experts may be divided.
  let divisions = [1, 2, 4].map {
    Strategy.ExpertDivision(expertDegree: $0, tensorDegree: 1, dispatcher: .allToAll)
  }
  /// What costs little, feed-forward parts besides, the whole way of tokens: each with all that the model has.
  let sets: [Strategy.RecomputeModules]

  /// Nil where the problem is too large for brute force, has a host, or no plan.
  init?(
    _ problem: RandomProblem, mostLayers: Int, pattern fixed: StrategyPattern, capabilities: Capabilities
  ) throws {
    let shape = problem.model.job.model
    guard problem.model.cluster.deviceCount <= 4, shape.layerCount <= mostLayers, problem.model.cluster.host == nil,
      let roomy = PlanSearch(model: problem.model, pattern: fixed, capabilities: capabilities).run().best.first,
      let peak = problem.model.cost(of: roomy.strategy).memory.stageMemory(of: roomy.split).map({ $0.peakBytes }).max()
    else { return nil }
    let device = problem.model.cluster.device
    let bytes = Int(Double(peak) * 0.97 / device.limitFraction(of: problem.model.framework))
    let tight = try DeviceProfile(
      Field(device.json.replacing("/datasheet/memory_bytes", with: .integer(bytes)), source: "device"))
    model = try CostModel(cluster: problem.model.cluster.replacing(device: tight), job: problem.model.job)
    var feedForward: Strategy.RecomputeModules = shape.denseLayerCount > 0 ? .feedForward : []
    if shape.experts?.sharedFeedForwardSize ?? 0 > 0 { feedForward.insert(.sharedExperts) }
    let core: Strategy.RecomputeModules = model.hasFlashAttention ? [] : .attentionCore
    sets = Array(
      Set<Strategy.RecomputeModules>(
        [
          [.expertActivation, .norms], feedForward.union([.expertActivation, .norms]),
          feedForward.subtracting(.sharedExperts).union([.norms, .experts]),
        ].map { core.union($0) }))
    var pattern = fixed
    (pattern.tensorDegree, pattern.pipelineDegree) = (roomy.strategy.tensorDegree, roomy.strategy.pipelineDegree)
    (pattern.microBatch, pattern.expertDegree) = (roomy.strategy.microBatch, roomy.strategy.expertDegree)
    pattern.zeroStage = roomy.strategy.zeroStage
    self.pattern = pattern
  }
}
