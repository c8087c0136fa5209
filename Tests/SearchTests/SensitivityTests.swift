import Costing
import Documents
import Search
import TestSupport
import Testing

@Suite("What a plan hangs on")
struct SensitivityTests {
  @Test(
    "At the turning point another plan wins, just before it the plan does, and shares of time add up to no more than all"
  )
  func turningPoints() throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-a100-4"),
      job: TrainingJob(model: Shipped.catalog.model("megatron-22b"), sequenceLength: 2048, globalBatch: 128))
    let plan = try #require(
      PlanSearch(model: model, options: .init(resultCount: 3)).plan(toolVersion: "test"))
    let sensitivity = try Sensitivity(plan)
    var turns = 0
    var scratch = EvaluationScratch()
    for entry in sensitivity.entries {
      #expect((0...1.02).contains(entry.timeShare), "\(entry)")
      guard let turn = entry.turningPoint else { continue }
      turns += 1
      func scores(_ factor: Double) -> (own: Double, other: Double) {
        let scaled = model.scaling(entry.resource, by: factor)
        let other = plan.alternatives[turn.alternativeIndex]
        return (
          scaled.cost(of: plan.strategy).iterationSeconds(
            of: plan.split, scratch: &scratch)
            * (plan.prediction.verdict == .fits ? 1 : PlanSearch.headroomSurcharge),
          scaled.cost(of: other.strategy).iterationSeconds(
            of: other.split, scratch: &scratch)
            * (other.verdict == .fits ? 1 : PlanSearch.headroomSurcharge)
        )
      }
      let at = scores(turn.factor)
      #expect(at.other < at.own, "\(entry)")
      let back = scores(turn.factor > 1 ? turn.factor * (1 - 1e-5) : turn.factor * (1 + 1e-5))
      #expect(back.other >= back.own * (1 - 1e-9), "\(entry)")
    }
    #expect(turns >= 2)
    #expect(sensitivity.entries.reduce(0) { $0 + $1.timeShare } <= 1.05)
    #expect(sensitivity.entries[0].timeShare > 0.5)
  }
}
