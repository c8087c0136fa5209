import Costing
import Documents
import JSONText
import Search
import TestSupport
import Testing

/// Recomputed modules on stages whose chunks differ.
@Suite struct ModuleLayoutTests {
  /// Little room, so that a set of modules that fits with some layout of the chunks may leave a faster layout to a larger set.
  @Test func `Where chunks may differ, the optimum is that of every set of modules with every layout`() throws {
    var solved = 0, chosen = 0, seed = UInt64(3_000)
    let text = "expert_tensor=1,context=1,pipeline=2,virtual_stages=2,moe_overlap=false,moe_dispatcher=alltoall"
    let offer = Capabilities.megatronLM
    while solved < 16, seed < 3_400 {
      seed += 1
      let problem = try RandomProblem(seed: seed, hasExperts: true), shape = problem.model.job.model
      guard problem.model.cluster.deviceCount <= 4, shape.layerCount <= 6, problem.model.cluster.host == nil,
        case let any = try StrategyPattern(text: text, source: "test"),
        let roomy = PlanSearch(model: problem.model, pattern: any, capabilities: offer).run().best.first,
        let peak = problem.model.cost(of: roomy.strategy).stageMemory(of: roomy.split).map({ $0.peakBytes }).max()
      else { continue }
      let device = problem.model.cluster.device
      let bytes = Int(Double(peak) * 0.97 / device.limitFraction(of: problem.model.framework))
      let tight = try DeviceProfile(
        Field(device.json.replacing("/datasheet/memory_bytes", with: .integer(bytes)), source: "device"))
      let model = try CostModel(cluster: problem.model.cluster.replacing(device: tight), job: problem.model.job)
      var feedForward: Strategy.RecomputeModules = shape.denseLayerCount > 0 ? .feedForward : []
      if shape.experts?.sharedFeedForwardSize ?? 0 > 0 { feedForward.insert(.sharedExperts) }
      let core: Strategy.RecomputeModules = model.hasFlashAttention ? [] : .attentionCore
      let sets = Set<Strategy.RecomputeModules>(
        [
          [.expertActivation, .norms], feedForward.union([.expertActivation, .norms]),
          feedForward.subtracting(.sharedExperts).union([.norms, .experts]),
        ].map { core.union($0) })
      var pattern = any
      pattern.tensorDegree = roomy.strategy.tensorDegree
      (pattern.microBatch, pattern.expertDegree) = (roomy.strategy.microBatch, roomy.strategy.expertDegree)
      pattern.zeroStage = roomy.strategy.zeroStage
      let divisions = [1, 2, 4].map {
        Strategy.ExpertDivision(expertDegree: $0, tensorDegree: 1, dispatcher: .allToAll)
      }
      let truth = BruteForce(model, experts: divisions, modules: Array(sets)) {
        pattern.matches($0) && offer.refusal(of: $0) == nil && offer.refusal(ofExperts: $0) == nil
          && offer.refusal(of: $0, job: model.job) == nil
      }
      let result = PlanSearch(model: model, pattern: pattern, capabilities: offer).run()
      #expect((result.best.first == nil) == truth.scores.isEmpty, "seed \(seed), \(problem.description)")
      guard let found = result.fastest ?? result.best.first, let best = truth.scores.first else { continue }
      #expect(
        abs(found.scoreSeconds - best) <= 1e-9 * best,
        "seed \(seed), \(problem.description): \(found.strategy.text), \(found.split.layerCounts), \(found.scoreSeconds), \(best)"
      )
      solved += 1
      if found.strategy.recomputesModules { chosen += 1 }
    }
    #expect(solved >= 8 && chosen >= 1, "\(solved), \(chosen)")
  }
}
