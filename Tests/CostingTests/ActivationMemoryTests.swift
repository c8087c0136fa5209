import Documents
import TestSupport
import Testing
import Training

@testable import Costing

/// Bytes kept from forward to backward, against Korthikanti et al. 2022 (arXiv 2205.05198), equations 1 to 6.
@Suite struct ActivationMemoryTests {
  // s sequence, b micro-batch, h hidden, a heads of the fixture's GPT.
  static let s = 256, h = 512, a = 8

  private func layerBytes(
    tensor t: Int, microBatch b: Int, recompute: Strategy.Recompute = .none, sequenceParallel: Bool = false,
    flash: Bool = false, model: ModelDescription? = nil, precision: Precision = .fp16
  ) throws -> Int {
    let job = try Fixture.job(model ?? Fixture.gpt(), precision: precision)
    let strategy = Strategy(
      mesh: [.tensor: t], microBatch: b, recompute: recompute,
      usesSequenceParallelism: sequenceParallel, usesFlashAttention: flash)
    return Fixture.memory(job, strategy).layerActivationBytes.dense
  }

  @Test(arguments: [1, 2, 4, 8], [1, 3])
  func aGPTBlockKeepsWhatIsPublished(t: Int, b: Int) throws {
    let sbh = Self.s * b * Self.h, scores = Self.a * Self.s * Self.s * b
    let withoutScores = 10 * sbh + 24 * sbh / t
    #expect(try layerBytes(tensor: t, microBatch: b) == withoutScores + 5 * scores / t)
    #expect(try layerBytes(tensor: t, microBatch: b, recompute: .selective) == withoutScores)
    #expect(try layerBytes(tensor: t, microBatch: b, recompute: .full) == 2 * sbh)
    guard t > 1 else { return }
    let divided = 34 * sbh / t
    #expect(try layerBytes(tensor: t, microBatch: b, sequenceParallel: true) == divided + 5 * scores / t)
    #expect(try layerBytes(tensor: t, microBatch: b, recompute: .selective, sequenceParallel: true) == divided)
    #expect(try layerBytes(tensor: t, microBatch: b, recompute: .full, sequenceParallel: true) == 2 * sbh / t)
  }

  @Test func fusedAttentionKeepsAStatisticForEachHeadAndTokenInsteadOfScores() throws {
    let sbh = Self.s * Self.h
    let expected = 10 * sbh + 24 * sbh / 4 + 4 * Self.s * Self.a / 4
    for recompute in [Strategy.Recompute.none, .selective] {
      #expect(try layerBytes(tensor: 4, microBatch: 1, recompute: recompute, flash: true) == expected)
    }
  }

  @Test func singlePrecisionKeepsNumbersTwiceAsWideAndMasksAsWideAsBefore() throws {
    let sbh = Self.s * Self.h, scores = Self.a * Self.s * Self.s
    #expect(try layerBytes(tensor: 1, microBatch: 1, precision: .fp32) == 66 * sbh + 9 * scores)
  }

  /// Per token, 16 bits: norms' inputs, their outputs (4h), queries and attention output (2 · 512), keys and values
  /// (2 · 256), gate, value and product (3 · 1536); softmax output when it is materialised.
  @Test func groupedQueriesAndAGateAreCountedByTheirWidths() throws {
    let model = try Fixture.llama(keyValueHeadCount: 4)
    let perToken = 2 * (4 * 512 + (2 * 512 + 2 * 256 + 3 * 1536) / 2)
    let fused = 256 * (perToken + 4 * 8 / 2), unfused = 256 * (perToken + 2 * 8 * 256 / 2)
    #expect(try layerBytes(tensor: 2, microBatch: 1, flash: true, model: model) == fused)
    #expect(try layerBytes(tensor: 2, microBatch: 1, model: model) == unfused)
    // Half as many key-value heads save half of the keys' and values' 256.
    let fewer = try layerBytes(tensor: 2, microBatch: 1, flash: true, model: Fixture.llama(keyValueHeadCount: 2))
    #expect(fused - fewer == 256 * 2 * (2 * 128) / 2)
  }

  /// The 22B model of the paper's table 3, micro-batch 4 and t = 8: 34 + 5as/h is 141 bytes a token and channel.
  @Test func thePaperSharesOfTwentyTwoBillionParametersComeOut() throws {
    let model = try ModelDescription(
      name: "22b", family: .gpt, layerCount: 48, hiddenSize: 6144, headCount: 64, feedForwardSize: 4 * 6144,
      vocabularySize: 51_200, hasGatedFeedForward: false, hasTiedEmbeddings: true, positionCount: 2048)
    let job = try Fixture.job(model, sequenceLength: 2048, globalBatch: 4)
    func bytes(_ recompute: Strategy.Recompute, _ sequenceParallel: Bool) -> Int {
      Fixture.memory(
        job,
        Strategy(
          mesh: [.tensor: 8], microBatch: 4, recompute: recompute,
          usesSequenceParallelism: sequenceParallel)
      ).layerActivationBytes.dense
    }
    let sbh = Double(2048 * 4 * 6144), core = 5.0 * 64 * 2048 / 6144
    let tensorOnly = Double(bytes(.none, false)), both = Double(bytes(.selective, true))
    #expect(agrees(tensorOnly / sbh, 10 + 24 / 8 + core / 8))
    #expect(both / sbh == 34.0 / 8)
    // Figure 7: the two together keep less than a fifth of what tensor parallelism alone does.
    #expect(both / tensorOnly < 0.2)
  }

  @Test(arguments: [(2, 1), (4, 1), (8, 1), (2, 2), (4, 2), (4, 3), (8, 4)])
  func aStageKeepsAsManyPassesAsItsScheduleHasInFlight(p: Int, v: Int) throws {
    for m in [p, 2 * p, 4 * p, 8 * p] + (v == 1 ? [1, p - 1, p + 1] : [2 * p - 1, 2 * p + 2 * ((p - 1) / 2)]) {
      let job = try Fixture.job(Fixture.gpt(layerCount: p * v), globalBatch: m)
      let strategy = Strategy(mesh: [.pipeline: p], schedule: .init(chunkCount: v))
      let memory = Fixture.memory(job, strategy)
      let schedule = try PipelineSchedule(
        strategy.schedule, stageCount: p, microBatchCount: m)
      for stage in 0..<p {
        let message = "p \(p), v \(v), m \(m), stage \(stage)"
        let passes = peakInFlight(stage: stage, of: schedule)
        #expect(memory.inFlight.count(stage: stage) == passes, "\(message)")
        // One layer a chunk, so that the stage keeps a layer's bytes for each pass in flight; on the first stage a
        // dropout mask for each micro-batch in its first chunk, on the last two inputs for each in its last.
        var expected = passes * memory.layerActivationBytes.dense
        if stage == 0 { expected += peakInFlight(chunk: 0, stage: stage, of: schedule) * Self.s * Self.h }
        if stage == p - 1 {
          let heads = peakInFlight(chunk: v - 1, stage: stage, of: schedule)
          expected += heads * 4 * Self.s * Self.h
        }
        #expect(memory.stageMemory(stage: stage, Split.Stage(layerCount: v)).activationBytes == expected, "\(message)")
      }
    }
  }

  /// The most passes whose activations a stage holds, or one of its chunks, by walking the schedule.
  private func peakInFlight(chunk: Int? = nil, stage: Int, of schedule: PipelineSchedule) -> Int {
    var inFlight = 0, peak = 0
    for step in schedule.steps(ofStage: stage) where chunk == nil || step.chunkIndex == chunk {
      inFlight += step.pass == .forward ? 1 : -1
      peak = max(peak, inFlight)
    }
    return peak
  }
}
