import JSONText
import Testing

@testable import Documents

/// Exchanges of tensor groups beside products: what can be said of them, and which framework does what.
@Suite struct TensorOverlapTests {
  private static func job(_ precision: Precision = .bf16, predictionDepth: Int = 0) throws -> TrainingJob {
    let model = try ModelDescription(
      name: "small", family: .llama, layerCount: 4, hiddenSize: 512, headCount: 8, feedForwardSize: 2048,
      vocabularySize: 1024, hasGatedFeedForward: true, hasTiedEmbeddings: false, predictionDepth: predictionDepth)
    return try TrainingJob(model: model, sequenceLength: 1024, globalBatch: 8, precision: precision)
  }

  private static func strategy(tensor: Int = 4, sequenceParallel: Bool = true) -> Strategy {
    var strategy = Strategy(
      mesh: [.tensor: tensor, .data: 8 / tensor], usesSequenceParallelism: sequenceParallel, usesFlashAttention: true)
    strategy.overlapsTensorExchange = true
    return strategy
  }

  @Test func itNeedsGathersAndScatters() throws {
    func violation(_ strategy: Strategy) throws -> StrategyViolation? {
      strategy.violation(job: try Self.job(), deviceCount: 8, hasFlashAttention: true)
    }
    #expect(try violation(Self.strategy()) == nil)
    #expect(try violation(Self.strategy(sequenceParallel: false)) == .tensorOverlapNeedsSequenceParallelism)
    #expect(try violation(Self.strategy(tensor: 1, sequenceParallel: false)) == .tensorOverlapNeedsSequenceParallelism)
    #expect(
      StrategyViolation.tensorOverlapNeedsSequenceParallelism.description
        == "overlap_tensor_exchange needs sequence_parallel: products run beside gathers and scatters, not beside all-reduces"
    )
  }

  @Test func itIsWrittenWhereItIsAskedForAlone() {
    let strategy = Self.strategy(), plain = strategy.with(\.overlapsTensorExchange, false)
    #expect(strategy.text == plain.text + ",overlap_tensor_exchange=true")
    #expect(strategy.words == plain.words + ", overlapped tensor exchanges")
    #expect(!plain.json.text(style: .compact).contains("overlap_tensor_exchange"))
  }

  @Test(arguments: [
    (Precision.bf16, true), (.fp8Delayed, true), (.fp8Current, true), (.mxfp8, true), (.fp16, false), (.fp32, false),
    (.fp8Blockwise, false), (.nvfp4, false),
  ])
  func megatronOverlapsWhatTransformerEnginesBuffersHold(precision: Precision, overlaps: Bool) throws {
    let job = try Self.job(precision), table = Capabilities.megatronLM
    #expect(table.refusal(of: job) == nil && table.refusal(of: Self.strategy()) == nil)
    let refusal = table.refusal(of: Self.strategy(), job: job)
    #expect((refusal == nil) == overlaps)
    if !overlaps {
      #expect(
        refusal?.description
          == "megatron-lm (core 0.20) overlaps no tensor exchanges in \(precision.rawValue); nearest: overlap_tensor_exchange=false"
      )
    }
    #expect(table.refusal(of: Self.strategy().with(\.overlapsTensorExchange, false), job: job) == nil)
  }

  /// Scales of MXFP8's blocks are gathered for 128 rows at a time.
  @Test func ranksHaveMultiplesOf128TokensBesideMXFP8() throws {
    let strategy = Self.strategy(tensor: 8), model = try Self.job().model
    func refusal(_ sequenceLength: Int, _ precision: Precision) -> Capabilities.Refusal? {
      Capabilities.megatronLM.refusal(
        ofTensorOverlap: strategy, model: model, precision: precision, sequenceLength: sequenceLength)
    }
    #expect(refusal(1024, .mxfp8) == nil)
    #expect(refusal(1536, .mxfp8)?.rule.hasSuffix("multiples of 128 tokens a rank") == true)
    #expect(refusal(1536, .fp8Current) == nil)
  }

  @Test func modelsWithOtherProductsAreNotOverlapped() throws {
    let job = try Self.job(predictionDepth: 1)
    #expect(
      Capabilities.megatronLM.refusal(of: Self.strategy(), job: job)?.rule
        == "megatron-lm (core 0.20) overlaps no tensor exchanges of models that predict further tokens")
  }

  @Test func whoHasNoneSaysSoAndWhoAlwaysDoesNeedsNoWord() {
    #expect(
      Capabilities.torchtitan.refusal(of: Self.strategy())?.description
        == "torchtitan (0.3) has no overlap of tensor exchanges; nearest: overlap_tensor_exchange=false")
    #expect(Capabilities.megatronFSDP.refusal(of: Self.strategy())?.nearest == "overlap_tensor_exchange=false")
    #expect(Capabilities.nanotron.refusal(ofTensorOverlap: Self.strategy()) == nil)
  }
}
