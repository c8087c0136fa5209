import Documents
import TestSupport
import Testing

@testable import Costing

/// What follows the pipeline and what runs beside it, by hand. The fixture's node reaches 100 GB/s, its memory 1 TB/s.
@Suite struct IterationTests {
  private func cost(
    _ strategy: Strategy, inSingle: Bool = true, isTied: Bool = true, gradientOverlap: Double = 0,
    gatherOverlap: Double = 0, globalBatch: Int = 64
  ) throws -> IterationCost {
    let framework = Fixture.framework(gradientOverlap: gradientOverlap, gatherOverlap: gatherOverlap)
    let model = try CostModel(
      cluster: Fixture.node(of: 8, device: Fixture.device(framework: framework)),
      job: Fixture.job(
        Fixture.gpt(isTied: isTied), globalBatch: globalBatch, precision: .bf16,
        accumulatesGradientsInFP32: inSingle))
    #expect(model.violation(of: strategy) == nil)
    return model.cost(of: strategy)
  }

  private func data(_ zero: Strategy.ZeroStage) -> Strategy {
    Strategy(mesh: [.data: 8], zeroStage: zero)
  }

  /// Parameters of the whole model, in one stage.
  static let psi = Double(4 * (12 * 512 * 512 + 13 * 512) + (1024 + 256) * 512 + 2 * 512)

  @Test(arguments: [true, false])
  func gradientsAreReducedAtTheirPrecisionAndWeightsGatheredAtTheirs(inSingle: Bool) throws {
    let gradient: Double = inSingle ? 4 : 2, share = 7.0 / 8 / 100e9
    let replicated = try cost(data(.none), inSingle: inSingle).tail(stage: 0, Split.Stage(layerCount: 4))
    #expect(agrees(replicated.dataSeconds, 2 * share * gradient * Self.psi))
    let sharded = try cost(data(.optimizer), inSingle: inSingle).tail(stage: 0, Split.Stage(layerCount: 4))
    #expect(agrees(sharded.dataSeconds, share * (gradient + 2) * Self.psi))
    // ZeRO 2 has reduced in every micro-batch, ZeRO 3 gathers in every one.
    #expect(
      agrees(try cost(data(.gradients)).tail(stage: 0, Split.Stage(layerCount: 4)).dataSeconds, share * 2 * Self.psi))
    #expect(try cost(data(.weights)).tail(stage: 0, Split.Stage(layerCount: 4)).dataSeconds == 0)
    // Adam reads and writes 12 bytes, reads the gradient and writes the weight.
    #expect(agrees(replicated.optimizerSeconds, (24 + gradient + 2) * Self.psi / 1e12))
    #expect(agrees(sharded.optimizerSeconds, (24 + gradient + 2) * Self.psi / 8 / 1e12))
  }

  @Test func overlapHidesAsMuchAsOnePassIsLong() throws {
    let reduce = 7.0 / 8 / 100e9 * 4 * Self.psi, gather = reduce / 2
    var isHidden: [Bool] = []
    for microBatch in [1, 8] {
      let strategy = Strategy(
        mesh: [.data: 8], microBatch: microBatch, zeroStage: .optimizer,
        overlapsGradientReduce: true)
      let cost = try cost(strategy, gradientOverlap: 0.5, gatherOverlap: 0.25)
      let passes = cost.passSeconds(stage: 0, Split.Stage(layerCount: 4))
      isHidden += [reduce < passes.backward, gather < passes.forward]
      let expected = reduce - 0.5 * min(reduce, passes.backward) + gather - 0.25 * min(gather, passes.forward)
      #expect(
        agrees(cost.tail(stage: 0, Split.Stage(layerCount: 4)).dataSeconds, expected), "micro-batch \(microBatch)")
    }
    #expect(isHidden == [false, false, true, true])
  }

  @Test(arguments: [0.0, 0.75, 1.0])
  func shardedWeightsAreGatheredForEveryPassAndGradientsReducedAfterIt(overlap: Double) throws {
    let plain = try cost(data(.none))
    let sharded = try cost(data(.weights), gradientOverlap: overlap, gatherOverlap: overlap)
    let reduced = try cost(data(.gradients), gradientOverlap: overlap, gatherOverlap: overlap)
    let gather = 7.0 / 8 * 2 * Double(12 * 512 * 512 + 13 * 512) / 100e9
    func together(_ left: Double, _ right: Double) -> Double {
      max(left, right) + (1 - overlap) * min(left, right)
    }
    #expect(agrees(sharded[0].layer.device.forward, together(plain[0].layer.device.forward, gather)))
    #expect(agrees(sharded[0].layer.device.backward, together(plain[0].layer.device.backward, 2 * gather)))
    #expect(reduced[0].layer.device.forward == plain[0].layer.device.forward)
    #expect(agrees(reduced[0].layer.device.backward, together(plain[0].layer.device.backward, gather)))
  }

  @Test func aSingleStageRunsItsMicroBatchesOneAfterAnother() throws {
    let cost = try cost(data(.optimizer))
    var scratch = EvaluationScratch()
    let passes = cost.passSeconds(stage: 0, Split.Stage(layerCount: 4))
    let expected = 8 * (passes.forward + passes.backward) + cost.tail(stage: 0, Split.Stage(layerCount: 4)).seconds
    #expect(agrees(cost.iterationSeconds(of: Split([4]), scratch: &scratch), expected))
    #expect(agrees(cost.boundSeconds, expected))
  }

  /// Without sequence parallelism each rank sends its part and the receivers gather it (Narayanan et al. 2021, section
  /// 4.1); with it the part is all that is wanted.
  @Test func aTensorGroupSendsEachTokenOnce() throws {
    for sequence in [false, true] {
      let cost = try cost(
        Strategy(mesh: [.tensor: 4, .pipeline: 2], microBatch: 2, usesSequenceParallelism: sequence))
      let bytes = 2.0 * 256 * 512 * 2
      #expect(cost.boundaryByteCount == Int(bytes) / 4)
      let gather = sequence ? 0 : 0.75 * bytes / 100e9
      #expect(agrees(cost.transferSeconds(afterStage: 0), bytes / 4 / 100e9 + gather))
    }
  }

  @Test func tiedEmbeddingsAreSummedWhenBothEndsHaveReducedTheirGradients() throws {
    let strategy = Strategy(mesh: [.tensor: 4, .pipeline: 2])
    let tied = try cost(strategy), untied = try cost(strategy, isTied: false)
    #expect(untied.embeddingSumSeconds == 0)
    // 2 · 1/2 of a quarter of the matrix in fp32.
    let sum = Double(1024 / 4 * 512 * 4) / 100e9
    #expect(agrees(tied.embeddingSumSeconds, sum))
    var scratch = EvaluationScratch()
    // Tied or not, both ends hold a matrix: all that differs is the sum.
    let difference =
      tied.iterationSeconds(of: Split([2, 2]), scratch: &scratch)
      - untied.iterationSeconds(of: Split([2, 2]), scratch: &scratch)
    #expect(difference > 0 && difference <= sum * 1.000_001)

    // The first stage reduces last; the other, which has waited for it, may have more to update.
    var slowestUpdates: Set<Int> = []
    for split in [Split([1, 3]), Split([3, 1])] {
      let seconds = tied.iterationSeconds(of: split, scratch: &scratch)
      let tails = (0..<2).map { tied.tail(stage: $0, Split.Stage(layerCount: split.layerCounts[$0])) }
      let reduced = (0..<2).map { scratch.endSeconds[$0] + tails[$0].dataSeconds }
      #expect(reduced[0] > reduced[1], "\(split)")
      let updates = tails.map(\.optimizerSeconds)
      slowestUpdates.insert(updates[0] > updates[1] ? 0 : 1)
      #expect(agrees(seconds, max(reduced[0], reduced[1]) + sum + max(updates[0], updates[1])), "\(split)")
    }
    #expect(slowestUpdates.count == 2)
  }
}
