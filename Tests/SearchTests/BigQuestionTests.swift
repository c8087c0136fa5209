import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Questions whose counts are large, and the one thing for which a question is refused: what cannot be counted.
@Suite struct BigQuestionTests {
  private func search(
    _ model: String, sequence: Int, batch: Int, cluster: String = "dgx-h100-16", fixed: String = ""
  ) throws -> PlanSearch {
    PlanSearch(
      model: try CostModel(
        cluster: Shipped.catalog.cluster(cluster),
        job: TrainingJob(model: Shipped.catalog.model(model), sequenceLength: sequence, globalBatch: batch)),
      pattern: try StrategyPattern(text: fixed, source: "fixed"))
  }

  /// A batch of a million sequences takes as long, per sequence, as one of a thousand in whose steady state little is
  /// saved.
  @Test func aMillionSequencesAreAQuestion() throws {
    let large = try #require(search("gpt3-175b", sequence: 2_048, batch: 1 << 20).run().best.first)
    let small = try #require(search("gpt3-175b", sequence: 2_048, batch: 1 << 14).run().best.first)
    let ratio = large.iterationSeconds / small.iterationSeconds / 64
    #expect(ratio <= 1 && ratio > 0.95, "\(ratio)")
  }

  @Test func fourMillionTokensAreAQuestion() throws {
    // Nothing holds such a sequence without dividing it: that is the answer, and no overflow.
    let whole = try search("llama-3-8b", sequence: 1 << 22, batch: 128, fixed: "context=1").run()
    #expect(whole.best.isEmpty && whole.shortage != nil)
    let divided = try #require(search("llama-3-8b", sequence: 1 << 22, batch: 128).run().best.first)
    #expect(divided.strategy.contextDegree > 1 && divided.iterationSeconds.isFinite)
  }

  @Test func whatCannotBeCountedIsLeftOutAndCounted() throws {
    // Scores of 64 heads over 4,194,304² pairs, on 80 layers, several sequences at a time.
    let result = try search(
      "llama-3-70b", sequence: 1 << 22, batch: 128, fixed: "flash_attention=false,recompute=none"
    ).run()
    #expect(result.best.isEmpty)
    #expect(result.certificate.rejections.contains { $0.rule == "more bytes than can be counted" })
  }

  @Test func onlyATrueOverflowIsRefusedAndNamesTheProduct() throws {
    let model = try ModelDescription(
      Field(
        Shipped.catalog.model("llama-3-70b").json.replacing("/layers", with: .integer(16_384))
          .replacing("/ffn_hidden", with: .integer(1_048_576)), source: "model"))
    let refusal = #expect(throws: TrainingJob.Contradiction.self) {
      _ = try TrainingJob(model: model, sequenceLength: 1 << 22, globalBatch: 1 << 24)
    }
    #expect(
      refusal?.sentence
        == "a sequence of llama-3-70b is more than can be counted: 4194304 tokens × 16384 layers × 68222976 bytes pass 2^60 bytes"
    )
    let strategy = try StrategyPattern(text: "flash_attention=false,micro_batch=1024", source: "x")
      .completed(deviceCount: 1, flashAttention: true, overlap: true)
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-3-70b"), sequenceLength: 1 << 22, globalBatch: 1 << 10)
    let violation = strategy.violation(job: job, deviceCount: 1, hasFlashAttention: true)
    #expect(
      violation?.description.contains("1024 sequences in flight × 2^59 bytes of activations pass 2^60") == true,
      "\(violation?.description ?? "none")")
  }
}
