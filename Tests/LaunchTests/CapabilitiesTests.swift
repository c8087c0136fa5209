import Documents
import Testing

@Suite struct CapabilitiesTests {
  @Test func everyTableIsFoundByItsName() {
    for table in Capabilities.all {
      #expect(Capabilities.named(table.name.uppercased())?.name == table.name)
      #expect(!table.coefficientNames.isEmpty && !table.shardings.isEmpty)
    }
  }

  @Test func whatIsRefusedComesWithTheNearest() {
    let strategy = Strategy(mesh: [.data: 8], zeroStage: .weights)
    #expect(
      Capabilities.megatronLM.refusal(of: strategy)?.description
        == "megatron-lm (core 0.20) does not divide states as ZeRO 3; nearest: zero_stage=1"
    )
    #expect(Capabilities.deepSpeed.refusal(of: strategy) == nil)
  }

  @Test func torchtitanShardsOptimizerStatesOnlyInAPipeline() {
    let flat = Strategy(mesh: [.data: 8], zeroStage: .optimizer, usesFlashAttention: true)
    let staged = Strategy(mesh: [.data: 4, .pipeline: 2], zeroStage: .optimizer, usesFlashAttention: true)
    #expect(Capabilities.torchtitan.refusal(of: flat)?.nearest == "zero_stage=0")
    #expect(Capabilities.torchtitan.refusal(of: staged) == nil)
  }

  @Test func replicasAreWholeBesideTensorGroupsSinceTorchtitan03() {
    let strategy = Strategy(mesh: [.tensor: 2, .data: 4], usesSequenceParallelism: true, usesFlashAttention: true)
    #expect(Capabilities.torchtitan.refusal(of: strategy) == nil)
    #expect(Capabilities.torchtitan02.refusal(of: strategy)?.nearest == "zero_stage=2")
  }

  @Test func secondCopiesOfDeepSpeedCutAcrossTensorGroups() {
    let copies = Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 4)
    #expect(Capabilities.deepSpeed.refusal(of: Strategy(mesh: [.data: 8], sharding: copies)) == nil)
    #expect(Capabilities.deepSpeed.refusal(of: Strategy(mesh: [.data: 8, .tensor: 2], sharding: copies)) != nil)
    #expect(Capabilities.deepSpeed.refusal(of: Strategy(mesh: [.data: 8, .tensor: 2], zeroStage: .weights)) == nil)
  }

  @Test(arguments: [
    (Capabilities.torchtitan, "pipeline=1"), (.nanotron, "a smaller micro_batch or pipeline"),
  ])
  func whatRunsAloneAndNotTogetherIsRefused(table: Capabilities, nearest: String) throws {
    let model = try ModelDescription(
      name: "tied", family: .llama, layerCount: 8, hiddenSize: 64, headCount: 4, feedForwardSize: 128,
      vocabularySize: 512, hasGatedFeedForward: true, hasTiedEmbeddings: true)
    let job = try TrainingJob(model: model, sequenceLength: 64, globalBatch: 4)
    let strategy = Strategy(mesh: [.pipeline: 4, .data: 2], microBatch: 1, usesFlashAttention: true)
    #expect(table.refusal(of: job) == nil)
    #expect(table.refusal(of: strategy) == nil)
    #expect(table.refusal(of: strategy, job: job)?.nearest == nearest)
  }

  /// What a target cannot write of a model is in its table, so that nothing is planned which is then not exported.
  @Test func rotaryScalingAndWindowsAreRefusedByTheTable() throws {
    func job(_ scaling: ModelDescription.RotaryScaling?, norm: Bool = false, window: Int? = nil) throws -> TrainingJob {
      try TrainingJob(
        model: ModelDescription(
          name: "scaled", family: .llama, layerCount: 4, hiddenSize: 64, headCount: 4, feedForwardSize: 128,
          vocabularySize: 128, hasGatedFeedForward: true, hasTiedEmbeddings: false, hasQueryKeyNorm: norm,
          details: ModelDescription.Details(activation: .silu, rotaryScaling: scaling, attentionWindow: window)),
        sequenceLength: 256, globalBatch: 8)
    }
    let llama31 = ModelDescription.RotaryScaling(
      .llama3, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositionCount: 8_192)
    #expect(try Capabilities.nanotron.refusal(of: job(nil)) == nil)
    #expect(try Capabilities.nanotron.refusal(of: job(llama31))?.nearest == "no rotary_scaling")
    #expect(try Capabilities.torchtitan.refusal(of: job(llama31)) == nil)
    #expect(try Capabilities.torchtitan.refusal(of: job(llama31, norm: true))?.nearest == "no rotary_scaling")
    #expect(try Capabilities.torchtitan.refusal(of: job(nil, window: 256)) == nil)
    #expect(
      try Capabilities.torchtitan.refusal(of: job(nil, window: 128))?.nearest == "sequences of at most 128 tokens")
  }
}
