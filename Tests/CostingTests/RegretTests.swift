import Foundation
import TestSupport
import Testing

@testable import Costing
@testable import Documents

@Suite("Regret")
struct RegretTests {
  /// Six records of one job on one node that differ in micro-batch, with invented
  /// times; the first two failed on demand.
  private func cases(seconds: [Double?]) throws -> [Validation.Case] {
    try zip([1, 2, 4, 8, 16, 32], seconds).map { microBatch, seconds in
      let measured = seconds.map { "{\"iteration_seconds\": \($0)}" } ?? "{\"failed\": true}"
      let text = """
        {"schema": "sextant.run/1", "id": "b\(microBatch)", "family": "invented", "group": "one",
         "model": {"name": "gpt", "family": "gpt", "layers": 12, "hidden": 1024, "heads": 16, "kv_heads": 16,
           "ffn_hidden": 4096, "vocab": 51200, "gated_mlp": false, "tied_embeddings": true},
         "sequence_length": 1024, "global_batch": 256, "precision": "bf16",
         "cluster": {"device": "a100-sxm4-80gb", "nodes": 1, "devices_per_node": 8},
         "strategy": {"tensor": 1, "pipeline": 1, "data": 8, "micro_batch": \(microBatch), "zero_stage": 1,
           "recompute": "none", "flash_attention": true}, "measured": \(measured)}
        """
      let run = try MeasuredRun(parse(Array(text.utf8), source: "run"))
      return Validation.Case(run: run, estimate: try RunWorkload(run, catalog: Shipped.catalog).estimate())
    }
  }

  @Test("It is what the choice lacks of the best measured throughput")
  func byHand() throws {
    let some = try cases(seconds: [4, 4, 4, 4, 4, 4])
    let choice = try #require(
      some.filter { $0.prediction.verdict == .fits }.min {
        $0.prediction.iterationSeconds < $1.prediction.iterationSeconds
      })
    let chosen = try #require(some.firstIndex { $0.run.id == choice.run.id })
    // The choice measures 4 s, another 3 s: a quarter of the best throughput is lost.
    var seconds: [Double?] = [5, 5, 5, 5, 5, 5]
    seconds[chosen] = 4
    seconds[chosen == 0 ? 1 : 0] = 3
    let regret = Regret(try cases(seconds: seconds))
    #expect(regret.groups.count == 1)
    #expect(regret.groups[0].name == "invented/one")
    #expect(regret.groups[0].choiceID == choice.run.id)
    #expect(abs(regret.groups[0].regret - 0.25) < 1e-12)
    // A choice that failed costs everything, and a group with too few successes is not judged.
    seconds[chosen] = nil
    #expect(Regret(try cases(seconds: seconds)).groups.map(\.regret) == [1])
    #expect(Regret(try cases(seconds: [nil, nil, 3, 3, 3, 3])).groups.isEmpty)
  }
}
