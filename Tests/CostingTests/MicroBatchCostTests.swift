import Documents
import Testing
import Training

@testable import Costing

/// Seconds of one micro-batch, by counting FLOP and bytes. The fixture's device does 100 TFLOP/s and 1 TB/s, so a FLOP
/// takes 10⁻¹⁴ s and a byte 10⁻¹² s.
@Suite struct MicroBatchCostTests {
  // T tokens of one sequence s, h hidden, f feed-forward, a heads, V vocabulary of the fixture's GPT.
  static let T = 256.0, s = 256.0, h = 512.0, f = 2048.0, a = 8.0, V = 1024.0
  static let flop = 1e-14, attentionFLOP = 2e-14, byte = 1e-12

  private struct BlockComputation {
    let forward, backward, attentionCore: Double
  }

  private func compute(
    _ model: ModelDescription, tensor: Int = 1, flash: Bool = true, sequenceParallel: Bool = false,
    precision: Precision = .fp16
  ) throws -> BlockComputation {
    let job = try Fixture.job(model, precision: precision)
    let recipe = Recipe(
      job: job, tensorDegree: tensor, microBatch: 1, recompute: .none, sequenceParallel: sequenceParallel,
      flashAttention: flash, vocabularySize: model.vocabularySize)
    let rates = ComputeRates(
      DeviceSpeed(Fixture.device(), precision: precision), framework: Fixture.framework(), job: job)
    let forward = Account(recipe, .block, .forward, on: rates), backward = Account(recipe, .block, .backward, on: rates)
    return BlockComputation(
      forward: forward.seconds, backward: backward.seconds, attentionCore: forward.attentionSeconds)
  }

  private func cost(
    _ model: ModelDescription? = nil, tensor t: Int = 1, recompute: Strategy.Recompute = .none,
    sequenceParallel: Bool = false, flash: Bool = true, framework: DeviceProfile.Framework = Fixture.framework()
  ) throws -> MicroBatchCost {
    let cluster = try Fixture.node(of: 8, device: Fixture.device(framework: framework))
    let costing = try CostModel(cluster: cluster, job: Fixture.job(model ?? Fixture.gpt()))
    return costing.microBatchCosts(
      layout: costing.layoutCost([.tensor: t, .data: 8 / t]),
      [
        MicroBatchKey(microBatch: 1, recompute: recompute, sequenceParallel: sequenceParallel, flashAttention: flash)
      ])[0][0]
  }

  /// Norms in and out, residuals (two in, one out), with two masks; and the activation in and out.
  private func elementWise(_ t: Double = 1, share: Double = 1) -> Double {
    (Self.T * Self.h * 22 * share + Self.T * 2 * Self.f / t * 2) * Self.byte
  }

  @Test(arguments: [1, 2, 4])
  func matrixProductsTakeTwoFLOPForEachWeightAndTokenAndTwiceThatBackward(t: Int) throws {
    for (model, weights) in [
      (try Fixture.gpt(), 12 * 512 * 512), (try Fixture.llama(), 512 * (512 + 2 * 256) + 512 * 512 + 3 * 512 * 1536),
    ] {
      let seconds = try compute(model, tensor: t)
      let attention = 4 * Self.T * Self.s * Self.h / Double(t) / 2 * Self.attentionFLOP
      #expect(agrees(seconds.attentionCore, attention))
      let products = 2 * Double(weights / t) * Self.T * Self.flop
      let rest = seconds.forward - attention - products
      #expect(agrees(seconds.backward, 2 * products + 2.5 * attention + 1.5 * rest, relative: 1e-9), "\(model.name)")
      if model.family == .gpt { #expect(agrees(rest, elementWise(Double(t)), relative: 1e-9)) }
    }
  }

  @Test func forwardAndBackwardAreTheModelsFLOP() throws {
    // The convention of model FLOP utilisation counts full attention at the products' rate.
    let job = try Fixture.job(Fixture.llama())
    let layer = try compute(job.model, flash: false)
    let head = 2 * Self.T * Self.h * Self.V
    let scores = Self.T * Self.s * Self.a
    let attentionFLOP = 4 * Self.T * Self.s * Self.h
    let forward = layer.forward - layer.attentionCore + attentionFLOP * Self.flop
    let widths = 20 * 512 + 2 * 3 * 1536 + 4 * (512 + 256)
    let products = forward - Self.T * Double(widths) * Self.byte
    // Scores in memory: plain products, whatever a fused kernel reaches.
    let core = attentionFLOP * Self.flop + scores * 8 * Self.byte
    #expect(agrees(layer.attentionCore, core))
    let flop = 3 * (4 * products / Self.flop + head)
    #expect(agrees(flop, job.model.modelFLOP(sequenceLength: 256, sequenceCount: 1), relative: 1e-9))
  }

  @Test func aFrameworksOwnAttentionAndRateOfTensorGroupsAreFactors() throws {
    let plain = try cost(tensor: 2)
    let slow = try cost(tensor: 2, framework: Fixture.framework(tensorRateFraction: 0.25, attentionFactor: 3))
    // Four times the bytes of two all-reduces, each way; the fixture's links have no latency.
    #expect(plain.layer.forwardTensorSeconds > 0)
    #expect(agrees(slow.layer.forwardTensorSeconds, 4 * plain.layer.forwardTensorSeconds))
    #expect(agrees(slow.layer.backwardTensorSeconds, 4 * plain.layer.backwardTensorSeconds))
    let core = try compute(Fixture.gpt(), tensor: 2).attentionCore
    #expect(agrees(slow.layer.forwardComputeSeconds, plain.layer.forwardComputeSeconds + 2 * core))
    #expect(agrees(slow.layer.backwardComputeSeconds, plain.layer.backwardComputeSeconds + 5 * core))
  }

  @Test func groupedQueriesShrinkTheProjectionAndNotTheAttention() throws {
    let all = try compute(Fixture.llama(keyValueHeadCount: 8)), few = try compute(Fixture.llama(keyValueHeadCount: 2))
    #expect(all.attentionCore == few.attentionCore)
    // Keys and values of 6 heads of 64 less, and the rotation of as many keys.
    let saved = 2 * Self.T * Self.h * (2 * 384) * Self.flop + Self.T * 384 * 4 * Self.byte
    #expect(agrees(all.forward - few.forward, saved, relative: 1e-9))
  }

  /// Every kernel of the score matrix reads and writes it: with dropout forward 6 numbers and a mask (product out;
  /// softmax in, out; dropout in, mask, out; product in), backward 9 and a mask (its two products: in for the values,
  /// out; dropout in, mask, out; softmax two in, out; and in for queries and in for keys).
  @Test func materialisedScoresAreMovedOnceForEachKernelThatTouchesThem() throws {
    let seconds = try compute(Fixture.gpt(), flash: false)
    let flop = 4 * Self.T * Self.s * Self.h * Self.flop, scores = Self.T * Self.s * Self.a * Self.byte
    #expect(agrees(seconds.attentionCore, flop + 13 * scores))
    let products = 2 * 2 * 12 * Self.h * Self.h * Self.T * Self.flop
    let backward = products + 2 * flop + 19 * scores + 1.5 * elementWise()
    #expect(agrees(seconds.backward, backward, relative: 1e-9))
  }

  @Test func singlePrecisionComputesAtItsOwnPeakAndMovesTwiceTheBytes() throws {
    let half = try compute(Fixture.llama()), single = try compute(Fixture.llama(), precision: .fp32)
    let weights = 512 * (512 + 512) + 512 * 512 + 3 * 512 * 1536
    let flop = 2 * Double(weights) * Self.T * Self.flop + half.attentionCore
    #expect(agrees(single.forward, 10 * flop + 2 * (half.forward - flop), relative: 1e-9))
  }

  @Test func sequenceParallelismDividesTheNormsAndNothingElse() throws {
    let plain = try compute(Fixture.gpt(), tensor: 4)
    let divided = try compute(Fixture.gpt(), tensor: 4, sequenceParallel: true)
    #expect(agrees(plain.forward - divided.forward, elementWise(4) - elementWise(4, share: 0.25), relative: 1e-9))
    #expect(plain.attentionCore == divided.attentionCore)
  }

  /// Shoeybi et al. 2019: two all-reduces forward, two backward. Korthikanti et al. 2022: a gather and a scatter each
  /// carry the same bytes, and two more gathers hide under products.
  @Test func sequenceParallelismMovesTheBytesOfTheAllReducesItReplaces() throws {
    let plain = try cost(tensor: 4), divided = try cost(tensor: 4, sequenceParallel: true)
    let gather = 0.75 * Self.T * Self.h * 2 / 100e9
    #expect(agrees(plain.layer.forwardTensorSeconds, 4 * gather))
    #expect(agrees(plain.layer.backwardTensorSeconds, 4 * gather))
    #expect(agrees(divided.layer.forwardTensorSeconds, 4 * gather))
    // The products under which the two gathers hide: T · h by 3h/4 and by h, too short here.
    let products = 2 * Self.T * Self.h * (3 * Self.h + Self.f) / 4 * Self.flop
    #expect(agrees(divided.layer.backwardTensorSeconds, 4 * gather + max(0, 2 * gather - products), relative: 1e-9))
  }

  @Test func fullRecomputationAddsAForwardPassWithItsCollectives() throws {
    let plain = try cost(tensor: 4), full = try cost(tensor: 4, recompute: .full)
    #expect(full.layer.recomputeSeconds == plain.layer.forwardComputeSeconds)
    #expect(full.layer.forwardSeconds == plain.layer.forwardSeconds)
    #expect(agrees(full.layer.backwardSeconds, plain.layer.backwardSeconds + plain.layer.forwardSeconds))
    #expect(full.head == plain.head && full.embedding == plain.embedding)
  }

  @Test func selectiveRecomputationAddsTheAttentionCoreWhereItIsNotFused() throws {
    let core = try compute(Fixture.gpt(), flash: false).attentionCore
    #expect(try cost(recompute: .selective, flash: false).layer.recomputeSeconds == core)
    #expect(try cost(recompute: .selective, flash: true).layer.recomputeSeconds == 0)
  }

  @Test func theHeadIsOneProductForwardAndTwoBackwardWithItsLoss() throws {
    let head = try cost().head
    let product = 2 * Self.T * Self.h * Self.V * Self.flop
    let loss = Self.T * Self.V * 10 * Self.byte, norm = 2 * Self.T * Self.h * 2 * Self.byte
    #expect(agrees(head.forwardComputeSeconds, product + loss + norm))
    #expect(agrees(head.backwardComputeSeconds, 2 * product + loss + 2 * norm))
    #expect(head.forwardTensorSeconds == 0 && head.backwardTensorSeconds == 0)
    // Divided: three numbers a token are summed forward, the input's gradient backward.
    let divided = try cost(tensor: 4).head
    let reduce = 2 * 0.75 / 100e9
    #expect(agrees(divided.forwardTensorSeconds, 3 * 4 * Self.T * reduce))
    #expect(agrees(divided.backwardTensorSeconds, Self.T * Self.h * 2 * reduce))
  }

  @Test func smallDimensionsSlowAProductDown() throws {
    let speed = DeviceSpeed(Fixture.device(gemmHalfSize: 128), precision: .fp16)
    // 2 · 128 · 256 · 512 FLOP, slowed by 2, 3/2 and 5/4.
    #expect(agrees(speed.stored.seconds(128, 256, 512), 2 * 128 * 256 * 512 * 2 * 1.5 * 1.25 * Self.flop))
    #expect(speed.stored.seconds(128, 256, 512) == speed.stored.seconds(256, 512, 128))
  }
}
