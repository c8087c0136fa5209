import Documents
import TestSupport
import Testing
import Training

@testable import Costing
@testable import Execution

@Suite struct TensorParallelTests {
  static let microBatch = MicroBatch(step: 1, sequences: [3, 0])

  /// A way to divide a model.
  struct Division: Sendable, CustomTestStringConvertible {
    let tensorDegree: Int
    let sequenceParallel: Bool
    let flash: Bool
    var testDescription: String {
      "t \(tensorDegree)\(sequenceParallel ? ", sequence parallel" : "")\(flash ? ", fused" : "")"
    }
  }

  static let divisions = [2, 4].flatMap { degree in
    [false, true].flatMap { sequenceParallel in
      [false, true].map { Division(tensorDegree: degree, sequenceParallel: sequenceParallel, flash: $0) }
    }
  }

  @Test(arguments: try SmallModels.all(), divisions)
  func piecesOfAGroupGiveLossAndGradientsOfOneRank(model: ModelDescription, division: Division) {
    let one = TensorGroup(model: model, sequenceLength: 8, tensorDegree: 1, paddedVocabularySize: 20)
    let group = TensorGroup(
      model: model, sequenceLength: 8, tensorDegree: division.tensorDegree,
      usesSequenceParallelism: division.sequenceParallel, usesFlashAttention: division.flash,
      paddedVocabularySize: 20)
    let expected = one.pass(Self.microBatch, tokenCount: 16)
    let outcome = group.pass(Self.microBatch, tokenCount: 16)
    for loss in outcome.losses { #expect(abs(loss - expected.losses[0]) < 1e-6 * expected.losses[0]) }
    for (part, layouts) in group.layouts.enumerated() {
      let full = one.layouts[part][0]
      let assembled = ParameterComparison.assembled(
        shards: Array(zip(layouts, outcome.gradients[part])).map { (layout: $0, values: $1) }, as: full)
      for tensor in full.tensors where !Self.isZero(tensor.name, model) {
        let error = ParameterComparison.relativeError(
          Array(assembled[tensor.range]), reference: Array(expected.gradients[part][0][tensor.range]))
        #expect(error < 1e-5, "\(full.part) \(tensor.name)")
      }
      // What every rank holds whole has the same gradient on all.
      for rank in outcome.gradients[part].indices {
        let range = layouts[rank].replicatedRange
        #expect(outcome.gradients[part][rank][range] == outcome.gradients[part][0][range])
      }
    }
  }

  /// A key's bias moves all scores of a query alike: its gradient is zero but for rounding, unless keys are normalised.
  static func isZero(_ name: ParameterName, _ model: ModelDescription) -> Bool {
    name == .keyBias && !model.hasQueryKeyNorm
  }

  @Test(arguments: try SmallModels.all(), [false, true])
  func theFusedCoreAgreesWithTheUnfused(model: ModelDescription, sequenceParallel: Bool) {
    let outcomes = [false, true].map { flash in
      TensorGroup(
        model: model, sequenceLength: 8, tensorDegree: 2, usesSequenceParallelism: sequenceParallel,
        usesFlashAttention: flash, paddedVocabularySize: 16
      ).pass(Self.microBatch, tokenCount: 16)
    }
    #expect(abs(outcomes[0].losses[0] - outcomes[1].losses[0]) < 1e-6 * outcomes[0].losses[0])
    for (unfused, fused) in zip(outcomes[0].gradients, outcomes[1].gradients) {
      #expect(ParameterComparison.relativeError(fused[1], reference: unfused[1]) < 1e-5)
    }
  }

  @Test(arguments: try SmallModels.all(), [Precision.fp32, .bf16])
  func recomputationChangesNoBit(model: ModelDescription, arithmetic: Precision) {
    for (sequenceParallel, flash) in [(false, false), (true, false), (true, true)] {
      let outcomes = Strategy.Recompute.allCases.map { recompute in
        TensorGroup(
          model: model, sequenceLength: 8, tensorDegree: 2, usesSequenceParallelism: sequenceParallel,
          usesFlashAttention: flash, recompute: recompute, paddedVocabularySize: 16, arithmetic: arithmetic
        ).pass(Self.microBatch, tokenCount: 16)
      }
      for outcome in outcomes.dropFirst() {
        #expect(outcome.losses == outcomes[0].losses)
        #expect(outcome.gradients == outcomes[0].gradients)
      }
    }
  }

  /// The tied matrix in the embedding's buffer, and as a copy whose gradient is added, are the same.
  @Test func aTiedCopysGradientIsTheOtherPartOfTheEmbeddings() throws {
    let outcomes = try [true, false].map { copy in
      try TensorGroup(
        model: SmallModels.gpt(), sequenceLength: 8, tensorDegree: 2, paddedVocabularySize: 16, ownsOutputMatrix: copy
      ).pass(Self.microBatch, tokenCount: 16)
    }
    let layouts = try TensorGroup(
      model: SmallModels.gpt(), sequenceLength: 8, tensorDegree: 2, paddedVocabularySize: 16
    ).layouts
    for rank in 0..<2 {
      let copy = try #require(layouts.last?[rank].range(of: .outputMatrix))
      let table = layouts[0][rank][.tokenEmbedding]
      let sum = zip(outcomes[0].gradients[3][rank][copy], outcomes[0].gradients[0][rank][table]).map(+)
      #expect(sum == Array(outcomes[1].gradients[0][rank][table]))
    }
  }

  @Test(arguments: try SmallModels.all(), Strategy.Recompute.allCases)
  func whatIsKeptIsWhatTheMemoryModelCounts(model: ModelDescription, recompute: Strategy.Recompute) throws {
    var device = try Shipped.catalog.device("a100-sxm4-80gb")
    device.frameworks[0].memory.keepOnlyWhatOperationsNeed()
    device.frameworks[0].vocabularyMultiple = 1
    let job = try TrainingJob(model: model, sequenceLength: 8, globalBatch: 2)
    for division in Self.divisions {
      let strategy = Strategy(
        mesh: [.tensor: division.tensorDegree], microBatch: 2, recompute: recompute,
        usesSequenceParallelism: division.sequenceParallel, usesFlashAttention: division.flash)
      let memory = MemoryModel(job: job, device: device, framework: device.frameworks[0], strategy: strategy)
      let group = TensorGroup(
        model: model, sequenceLength: 8, tensorDegree: division.tensorDegree,
        usesSequenceParallelism: division.sequenceParallel, usesFlashAttention: division.flash,
        // Recomputation of a fused core is none.
        recompute: recompute,
        paddedVocabularySize: model.paddedVocabularySize(multiple: 1, tensorDegree: division.tensorDegree))
      let kept = group.pass(Self.microBatch, tokenCount: 16).kept
      for rank in 0..<division.tensorDegree {
        #expect(kept[0][rank].byteCount == memory.embeddingActivationBytes)
        #expect(kept[1][rank].byteCount == memory.layerActivationBytes.dense)
        #expect(kept[2][rank].byteCount == memory.layerActivationBytes.dense)
        #expect(kept[3][rank].byteCount == memory.headActivationBytes + memory.lossActivationBytes)
      }
    }
  }
}
