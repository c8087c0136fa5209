import Documents
import TestSupport
import Testing

@testable import Costing

/// Weights, gradients, optimizer state and workspace of a stage, counted by hand.
@Suite struct StateMemoryTests {
  /// Parameters of the fixture's GPT layer, 12h² + 13h.
  static let layer = 12 * 512 * 512 + 13 * 512
  /// 1024 tokens and 256 positions.
  static let embedding = (1024 + 256) * 512
  static let finalNorm = 2 * 512

  private func state(_ stage: Prediction.StageMemory) -> Int {
    stage.weightBytes + stage.gradientBytes + stage.optimizerBytes
  }

  /// Rajbhandari et al. 2020, figure 1, with K = 12: 16Ψ, 4Ψ + 12Ψ/N, 2Ψ + 14Ψ/N, 16Ψ/N.
  @Test(arguments: [1, 2, 8, 64])
  func shardingDividesWhatThePaperSays(n: Int) throws {
    let psi = 4 * Self.layer + Self.embedding + Self.finalNorm
    #expect(try Fixture.gpt().parameterCount == psi)
    #expect(psi % 64 == 0, "shards are equal, so that the table is exact")
    for (stage, half, single) in [
      (Strategy.ZeroStage.none, 16 * psi, 18 * psi),
      (.optimizer, 4 * psi + 12 * psi / n, 6 * psi + 12 * psi / n),
      (.gradients, 2 * psi + 14 * psi / n, 2 * psi + 16 * psi / n),
      (.weights, 16 * psi / n, 18 * psi / n),
    ] {
      let strategy = Strategy(mesh: [.data: n], zeroStage: stage)
      for (inSingle, expected) in [(false, half), (true, single)] {
        let job = try Fixture.job(Fixture.gpt(), accumulatesGradientsInFP32: inSingle)
        let memory = Fixture.memory(job, strategy).stageMemory(stage: 0, Split.Stage(layerCount: 4))
        #expect(state(memory) == expected, "ZeRO \(stage), fp32 gradients \(inSingle)")
      }
    }
  }

  @Test func singlePrecisionHasNoMasterWeights() throws {
    let job = try Fixture.job(Fixture.gpt(), precision: .fp32)
    let memory = Fixture.memory(job, Strategy(mesh: [:]))
      .stageMemory(stage: 0, Split.Stage(layerCount: 4))
    let psi = try Fixture.gpt().parameterCount
    #expect(memory.weightBytes == 4 * psi && memory.gradientBytes == 4 * psi && memory.optimizerBytes == 8 * psi)
  }

  /// What the tutorial of ZeRO++ measured on 64 V100: 4,421 MiB after the model was built.
  @Test func theStatesOfAnEighteenBillionModelUnderZeRO3AreThoseMeasured() throws {
    let model = try ModelDescription(
      name: "18b", family: .gpt, layerCount: 40, hiddenSize: 6144, headCount: 32, feedForwardSize: 4 * 6144,
      vocabularySize: 50_257, hasGatedFeedForward: false, hasTiedEmbeddings: true, positionCount: 512)
    let job = try Fixture.job(model, sequenceLength: 512, globalBatch: 64)
    let strategy = Strategy(
      mesh: [.data: 64], zeroStage: .weights, recompute: .full)
    let memory = Fixture.memory(job, strategy, framework: Fixture.framework(vocabularyMultiple: 128))
      .stageMemory(stage: 0, Split.Stage(layerCount: 40))
    let measured = 4421.0 * 1_048_576
    #expect(abs(Double(state(memory)) / measured - 1) < 0.01)
  }

  @Test func tensorParallelismDividesMatricesAndRepeatsNorms() throws {
    // Per layer 12h² + 7h divided (biases of the column-parallel layers: 3h and 4h), 6h repeated.
    let memory = Fixture.memory(
      try Fixture.job(Fixture.gpt()), Strategy(mesh: [.tensor: 4, .pipeline: 2]))
    let h = 512
    let layer = (12 * h * h + 7 * h) / 4 + 6 * h
    let first = memory.stageMemory(stage: 0, Split.Stage(layerCount: 2))
    let matrix = 1024 * h / 4, positions = 256 * h, norm = 2 * h
    #expect(first.weightBytes == 2 * (2 * layer + matrix + positions))
    // The last stage has the final norm and a copy of the tied matrix.
    let last = memory.stageMemory(stage: 1, Split.Stage(layerCount: 2))
    #expect(last.weightBytes == 2 * (2 * layer + matrix + norm))
  }

  /// Further predictions look up tokens on the last stage: it holds the table as well, once where it is the output matrix too,
  /// with gradients and optimizer states, and both ends sum its gradient.
  @Test func theTokenTableIsCopiedToWhereFurtherTokensArePredicted() throws {
    let h = 512, matrix = 1024 * h
    // A block of 8 heads, 4 for keys and values, a product of two vectors, and three norms.
    let block = 3 * h * h + 3 * h * 1536 + 2 * h, prediction = block + 2 * h * h + 3 * h
    for (isTied, depth) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
      let job = try Fixture.job(Fixture.llama(isTied: isTied, predictionDepth: depth))
      for p in [1, 2] {
        let memory = Fixture.memory(job, Strategy(mesh: [.pipeline: p]))
        let last = memory.stageMemory(stage: p - 1, Split.Stage(layerCount: 2))
        let count = 2 * block + (isTied ? 1 : 2) * matrix + h + depth * prediction
        #expect(state(last) == 16 * count, "tied \(isTied), \(depth) of them, \(p) stages")
      }
    }
  }

  @Test func tiedEmbeddingsAreCopiedToTheLastStageOnly() throws {
    func weights(_ p: Int, tied: Bool, stage: Int) throws -> Int {
      Fixture.memory(
        try Fixture.job(Fixture.gpt(isTied: tied)), Strategy(mesh: [.pipeline: p])
      ).stageMemory(stage: stage, Split.Stage(layerCount: 4 / p)).weightBytes
    }
    let matrix = 2 * 1024 * 512
    #expect(try weights(1, tied: false, stage: 0) - weights(1, tied: true, stage: 0) == matrix)
    for stage in 0..<4 {
      #expect(try weights(4, tied: true, stage: stage) == weights(4, tied: false, stage: stage))
    }
    #expect(try weights(4, tied: true, stage: 3) - weights(4, tied: true, stage: 2) == matrix + 2 * Self.finalNorm)
  }

  @Test func theVocabularyIsPaddedSoThatTheTensorGroupDividesIt() throws {
    let framework = Fixture.framework(vocabularyMultiple: 128)
    let job = try Fixture.job(Fixture.gpt(vocabularySize: 50_257))
    func weights(_ t: Int) -> Int {
      Fixture.memory(job, Strategy(mesh: [.tensor: t]), framework: framework)
        .parameters.embedding
    }
    #expect(weights(1) == (50_304 + 256) * 512)
    #expect(weights(8) == (51_200 / 8 + 256) * 512)
  }

  @Test func logitsOrARecomputedLayerAreAliveWhicheverIsLarger() throws {
    let job = try Fixture.job(Fixture.gpt(vocabularySize: 8192))
    func workspace(_ recompute: Strategy.Recompute, stage: Int, logitsBytes: Int) -> Int {
      Fixture.memory(
        job, Strategy(mesh: [.tensor: 2, .pipeline: 2], recompute: recompute),
        framework: Fixture.framework(logitsBytesPerEntry: logitsBytes)
      ).stageMemory(stage: stage, Split.Stage(layerCount: 2)).workspaceBytes
    }
    let sbh = 256 * 512, scores = 8 * 256 * 256
    let core = 5 * scores / 2, whole = 10 * sbh + 24 * sbh / 2 + core
    #expect(workspace(.none, stage: 0, logitsBytes: 10) == 0)
    #expect(workspace(.selective, stage: 0, logitsBytes: 10) == core)
    #expect(workspace(.full, stage: 0, logitsBytes: 10) == whole)
    #expect(workspace(.none, stage: 1, logitsBytes: 10) == 10 * 256 * 4096)
    #expect(workspace(.full, stage: 1, logitsBytes: 10) == max(whole, 10 * 256 * 4096))
    #expect(workspace(.full, stage: 1, logitsBytes: 1) == whole)
  }

  @Test func shardedWeightsAreGatheredAPartAtATime() throws {
    func workspace(_ zero: Strategy.ZeroStage, _ d: Int, vocabulary: Int, isTied: Bool = false) throws -> Int {
      Fixture.memory(
        try Fixture.job(Fixture.gpt(isTied: isTied, vocabularySize: vocabulary)),
        Strategy(mesh: [.data: d], zeroStage: zero)
      ).stageMemory(stage: 0, Split.Stage(layerCount: 4)).workspaceBytes
    }
    // A small vocabulary: a layer's gradient, its weights, and the next layer's.
    let layer = Self.layer
    #expect(try workspace(.gradients, 8, vocabulary: 64) == 2 * layer)
    #expect(try workspace(.weights, 8, vocabulary: 64) == 2 * 3 * layer)
    // A large one: the head's gradient and weights beside the logits, and the last layer's on their way.
    let vocabulary = 100_000
    let head = vocabulary * 512, logits = 10 * 256 * vocabulary
    let gathered = logits + 2 * (2 * head + layer)
    #expect(try workspace(.gradients, 8, vocabulary: vocabulary) == logits + 2 * head)
    #expect(try workspace(.weights, 8, vocabulary: vocabulary) == gathered)
    // Tied, the head works with the embedding's matrix.
    #expect(try workspace(.weights, 8, vocabulary: vocabulary, isTied: true) == gathered)
    // One rank shards nothing.
    #expect(try workspace(.weights, 1, vocabulary: vocabulary) == logits)
  }
}
