import Documents
import TestSupport
import Testing
import Training

@testable import Costing

/// One transformer block on one rank and one micro-batch in numbers, worked out by
/// hand: the oracle of a recipe's block.
struct BlockShape: Sendable {
  /// Tokens T of a micro-batch, b · s.
  let tokens: Double
  let sequence: Double
  let hidden: Double
  /// Widths on this rank, after the tensor split.
  let querySize: Double
  let keyValueSize: Double
  let headCount: Double
  /// Whether matrix units can take the head size as it is.
  let hasAlignedHeads: Bool
  /// Columns of the first feed-forward product: both halves of a gated one.
  let feedForwardColumns: Double
  let feedForwardSize: Double
  let isGated: Bool
  let isCausal: Bool
  let isRotary: Bool
  let elementByteCount: Double
  let hasDropout: Bool
  let usesFlashAttention: Bool
  /// Part of the norms, residuals and dropouts that this rank does: 1/t under sequence parallelism, else all.
  let sequenceShare: Double

  init(job: TrainingJob, tensorDegree: Int, microBatch: Int, sequenceParallel: Bool, flashAttention: Bool) {
    let model = job.model
    let t = Double(tensorDegree)
    tokens = Double(microBatch) * Double(job.sequenceLength)
    sequence = Double(job.sequenceLength)
    hidden = Double(model.hiddenSize)
    querySize = Double(model.querySize) / t
    keyValueSize = Double(model.keyValueSize) / t
    headCount = Double(model.headCount) / t
    hasAlignedHeads = model.headSize % 8 == 0
    feedForwardSize = Double(model.feedForwardSize) / t
    feedForwardColumns = (model.hasGatedFeedForward ? 2 : 1) * Double(model.feedForwardSize) / t
    isGated = model.hasGatedFeedForward
    isCausal = model.family != .bert
    isRotary = model.family == .llama
    elementByteCount = Double(job.precision.byteCount)
    hasDropout = model.hasDropout
    usesFlashAttention = flashAttention
    sequenceShare = sequenceParallel ? 1 / t : 1
  }
}

/// Seconds of a block's computation by formulas that know neither operations nor pieces.
struct BlockSeconds: Sendable {
  let forward: Double
  /// Without recomputation.
  let backward: Double
  /// The attention core alone, forward: what selective recomputation repeats.
  let attentionCore: Double
  /// The two products that give the gradient of the column-parallel layers' inputs; under sequence parallelism the
  /// gather of those inputs runs meanwhile.
  let columnInputGradient: Double

  init(_ shape: BlockShape, on device: DeviceSpeed, elementWiseFactor: Double) {
    let T = shape.tokens, h = shape.hidden, e = shape.elementByteCount
    // The four products, each m × k by k × n with m the tokens.
    let products: [(n: Double, k: Double)] = [
      (shape.querySize + 2 * shape.keyValueSize, h),
      (h, shape.querySize),
      (shape.feedForwardColumns, h),
      (h, shape.feedForwardSize),
    ]
    var forwardGEMM = 0.0, backwardGEMM = 0.0
    for (n, k) in products {
      forwardGEMM += device.stored.seconds(T, n, k)
      // Gradients of the input (T × n by n × k) and of the weight (k × T by T × n).
      backwardGEMM += device.stored.seconds(T, k, n) + device.stored.seconds(k, n, T)
    }
    columnInputGradient =
      device.stored.seconds(T, products[0].k, products[0].n) + device.stored.seconds(T, products[2].k, products[2].n)

    // Scores and their product with the values: 2 · 2 · T · s · q FLOP. A fused causal kernel skips the masked half;
    // its backward recomputes the scores, five products for two (Dao 2023, section 3.1).
    let attentionFLOP = 4 * T * shape.sequence * shape.querySize
    let attentionBackward: Double
    if shape.usesFlashAttention {
      let executed = shape.isCausal ? attentionFLOP / 2 : attentionFLOP
      attentionCore = executed * device.secondsPerAttentionFLOP
      attentionBackward = 2.5 * attentionCore
    } else {
      // Memory passes over the score matrix. Forward: product out, softmax in and out, product in; with dropout in and
      // out once more, and the mask's byte. Backward: product in and out, softmax two in and one out, two products in;
      // with dropout as forward.
      let scores = T * shape.sequence * shape.headCount
      let passes = shape.hasDropout ? 6 * e + 1 : 4 * e
      let backwardPasses = shape.hasDropout ? 9 * e + 1 : 7 * e
      // Plain batched products, for each sequence and head s × d by d × s, and s × s by s × d: as fast as other
      // products of their size, whatever a fused kernel reaches.
      let headSize = shape.querySize / shape.headCount
      let each = device.stored.seconds(shape.sequence, shape.sequence, headSize)
      // On ordinary cores where matrix units do not take the head size.
      let slow = 2 * shape.sequence * shape.sequence * headSize * device.secondsPerUnalignedFLOP
      let products = 2 * T / shape.sequence * shape.headCount * (shape.hasAlignedHeads ? each : max(each, slow))
      attentionCore = products + scores * passes * device.secondsPerMemoryByte
      attentionBackward = 2 * products + scores * backwardPasses * device.secondsPerMemoryByte
    }

    // Element-wise operations by the bytes they move: two norms (in, out), two residual additions (two in, one out),
    // and a dropout mask each; the activation and, with rotary positions, queries and keys in and out.
    let residual = T * h * (10 * e + (shape.hasDropout ? 2 : 0)) * shape.sequenceShare
    let activation = T * (shape.feedForwardColumns + shape.feedForwardSize) * e
    let rotary = shape.isRotary ? T * (shape.querySize + shape.keyValueSize) * 2 * e : 0
    let elementWise = (residual + activation + rotary) * elementWiseFactor * device.secondsPerMemoryByte

    forward = forwardGEMM + attentionCore + elementWise
    // Backward of an element-wise operation reads its input as well as the gradient.
    backward = backwardGEMM + attentionBackward + 1.5 * elementWise
  }
}

/// The recipe's block folded to seconds, against those formulas.
@Suite struct BlockSecondsTests {
  private struct Case {
    let job: TrainingJob
    let tensorDegree: Int
    let microBatch: Int
    let isSequenceParallel: Bool
    let usesFlashAttention: Bool
    let rates: ComputeRates

    init(_ generator: inout SeededGenerator) throws {
      func one<Value>(of values: [Value]) -> Value { values.randomElement(using: &generator) ?? values[0] }
      tensorDegree = one(of: [1, 2, 3, 4, 6])
      let keyValueHeads = tensorDegree * one(of: [1, 2, 5]), isGated = one(of: [false, true])
      let model = try ModelDescription(
        name: "random", family: one(of: [.gpt, .llama, .bert]), layerCount: 1, hiddenSize: one(of: [96, 1000, 4097]),
        headCount: keyValueHeads * one(of: [1, 3]), keyValueHeadCount: keyValueHeads, headSize: one(of: [12, 64, 80]),
        feedForwardSize: tensorDegree * one(of: [100, 2731]), vocabularySize: 64 * tensorDegree,
        hasGatedFeedForward: isGated, hasTiedEmbeddings: false, hasDropout: one(of: [false, true]))
      job = try Fixture.job(
        model, sequenceLength: 12 * one(of: [5, 171]), precision: one(of: [.fp16, .fp32]))
      microBatch = one(of: [1, 3])
      isSequenceParallel = tensorDegree > 1 && one(of: [false, true])
      usesFlashAttention = one(of: [false, true])
      let speed = DeviceSpeed(
        stored: ProductSpeed(secondsPerFLOP: 1.3e-14, halfSize: one(of: [0, 113.7])), secondsPerAttentionFLOP: 2.9e-14,
        secondsPerUnalignedFLOP: one(of: [0.9e-14, 7.1e-14]), alignedHeadMultiple: 8,
        secondsPerMemoryByte: 0.7e-12)
      rates = ComputeRates(
        device: speed, elementWiseFactor: 1.37, lossBytesPerEntry: 11, accumulationBytesPerParameter: 10)
    }

    func recipe(_ recompute: Strategy.Recompute) -> Recipe {
      Recipe(
        job: job, tensorDegree: tensorDegree, microBatch: microBatch, recompute: recompute,
        sequenceParallel: isSequenceParallel, flashAttention: usesFlashAttention,
        vocabularySize: job.model.vocabularySize)
    }

    var formulas: BlockSeconds {
      BlockSeconds(
        BlockShape(
          job: job, tensorDegree: tensorDegree, microBatch: microBatch, sequenceParallel: isSequenceParallel,
          flashAttention: usesFlashAttention),
        on: rates.device, elementWiseFactor: rates.elementWiseFactor)
    }
  }

  @Test func theRecipesOperationsTakeWhatTheFormulasSay() throws {
    var generator = SeededGenerator(seed: 16)
    for index in 0..<500 {
      let it = try Case(&generator)
      let expected = it.formulas
      func account(_ recompute: Strategy.Recompute, _ pass: Recipe.Pass) -> Account {
        Account(it.recipe(recompute), .block, pass, on: it.rates)
      }
      let message = "case \(index): \(it.job.model)"
      let backward = account(.none, .backward)
      #expect(agrees(account(.none, .forward).seconds, expected.forward, relative: 1e-12), "\(message)")
      #expect(agrees(backward.seconds, expected.backward, relative: 1e-12), "\(message)")
      #expect(agrees(backward.columnInputGradientSeconds, expected.columnInputGradient, relative: 1e-12), "\(message)")
      #expect(account(.none, .recompute).seconds == 0)
      #expect(account(.full, .recompute).seconds == account(.none, .forward).seconds)
      let core = it.usesFlashAttention ? 0 : expected.attentionCore
      #expect(agrees(account(.selective, .recompute).seconds, core, relative: 1e-12), "\(message)")
      // Every parameter gets a gradient, 10 bytes moved for each.
      let parameters = Double(it.job.model.layerParameters(.dense).perRank(tensorDegree: it.tensorDegree))
      #expect(agrees(backward.accumulationSeconds, parameters * 10 * 0.7e-12, relative: 1e-12), "\(message)")
    }
  }
}
