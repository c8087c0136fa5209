import Costing
import Documents
import Search
import Synchronization

/// How long after it is asked to stop a search ends, and with what: 2,000 nodes with four models of device.
func reportStops(catalog: Catalog) throws {
  let cluster = try mixedCluster([1_000, 500, 300, 200], catalog: catalog)
  let model = try CostModel(
    cluster: cluster,
    job: TrainingJob(
      model: catalog.model("gpt3-175b"), sequenceLength: 2_048, globalBatch: 16_000, precision: .fp16))
  for stopSeconds in [0.01, 0.1, 0.3, 1, 2, 3, 5, 8, 12, 20] {
    let start = ContinuousClock.now
    let search = PlanSearch(model: model, options: .init(resultCount: 5, margin: 0.01, threadCount: 2))
    let result = search.run(interruption: {
      ContinuousClock.now - start >= .seconds(stopSeconds) ? .timeLimit : nil
    })
    let plan = search.plan(of: result, toolVersion: "")
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let answer = plan.map { "\(($0.prediction.iterationSeconds * 100).rounded() / 100) s an iteration" } ?? "no plan"
    print(
      "  asked to stop after \(stopSeconds) s: \(((seconds - stopSeconds) * 1e3).rounded()) ms later, \(answer), "
        + "\(result.certificate.completedCount) completed, \(result.certificate.ending.rawValue)")
  }
}
