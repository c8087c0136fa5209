import Costing
import Documents
import Search
import TestSupport
import Testing

/// Recomputed modules on stages whose chunks differ.
@Suite struct ModuleLayoutTests {
  /// Little room, so that a set of modules that fits with some layout of the chunks may leave a faster layout to a larger set.
  @Test func `Where chunks may differ, the optimum is that of every set of modules with every layout`() throws {
    var solved = 0, chosen = 0, seed = UInt64(3_000)
    let fixed = try StrategyPattern(
      text: "expert_tensor=1,context=1,pipeline=2,virtual_stages=2,moe_overlap=false,moe_dispatcher=alltoall",
      source: "test")
    let offer = Capabilities.megatronLM
    while solved < 16, seed < 3_400 {
      seed += 1
      let problem = try RandomProblem(seed: seed, hasExperts: true)
      guard let tight = try TightModules(problem, mostLayers: 6, pattern: fixed, capabilities: offer) else { continue }
      let model = tight.model, pattern = tight.pattern
      let truth = BruteForce(model, experts: tight.divisions, modules: tight.sets) {
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
