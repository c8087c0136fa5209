import Documents
import TestSupport
import Testing

@testable import Costing

/// How memory grows, and how many layers fit.
@Suite struct MemoryShapeTests {
  /// Some of every kind of strategy for 12 layers, with a memory whose overheads round.
  private func models(isTied: Bool) throws -> [MemoryModel] {
    var models: [MemoryModel] = []
    let job = try Fixture.job(
      Fixture.gpt(layerCount: 12, isTied: isTied, vocabularySize: 5000), accumulatesGradientsInFP32: true)
    let framework = Fixture.framework(vocabularyMultiple: 128)
    let device = Fixture.device(reservedBytes: 12_345, fragmentationFraction: 0.037, framework: framework)
    for t in [1, 2, 4] {
      for p in [1, 2, 3, 4] {
        for d in [1, 3] {
          for (zero, recompute) in [
            (Strategy.ZeroStage.none, Strategy.Recompute.none), (.optimizer, .selective), (.weights, .full),
          ] {
            let strategy = Strategy(
              mesh: [.tensor: t, .pipeline: p, .data: d], microBatch: 2, zeroStage: zero, recompute: recompute,
              usesSequenceParallelism: t == 4)
            models.append(MemoryModel(job: job, device: device, framework: framework, strategy: strategy))
          }
        }
      }
    }
    return models
  }

  @Test(arguments: [true, false])
  func theLayersThatFitAreThoseThatAScanFinds(isTied: Bool) throws {
    var generator = SeededGenerator(seed: 1)
    for memory in try models(isTied: isTied) {
      for stage in 0..<memory.strategy.pipelineDegree {
        let peaks = (1...12).map { memory.stageMemory(stage: stage, Split.Stage(layerCount: $0)).peakBytes }
        // At each step, one byte below it, and somewhere.
        let limits = peaks + peaks.map { $0 - 1 } + [0, Int.random(in: peaks[0]...peaks[11], using: &generator)]
        for limit in limits {
          let scanned = peaks.lastIndex { $0 <= limit }.map { $0 + 1 } ?? 0
          #expect(
            MemoryModel.mostLayers(from: 1, to: 12, within: limit) { peaks[$0 - 1] } == scanned,
            "\(memory.strategy), stage \(stage), limit \(limit)")
        }
      }
    }
  }

  @Test(arguments: [true, false])
  func aStrategyHasCapacitiesExactlyWhenSomeSplitFits(isTied: Bool) throws {
    for memory in try models(isTied: isTied) {
      let p = memory.strategy.pipelineDegree
      let even = (0..<p).map { memory.stageMemory(stage: $0, Split.Stage(layerCount: 12 / p)).peakBytes }
      for limit in [even.min() ?? 0, even.max() ?? 0, (even.max() ?? 0) - 1, 1] {
        let most = (0..<p).map { stage in
          (1...12).last { memory.stageMemory(stage: stage, Split.Stage(layerCount: $0)).peakBytes <= limit } ?? 0
        }
        let capacities = memory.layerCapacities(limitBytes: limit, layerCount: 12)
        #expect((capacities != nil) == (!most.contains(0) && most.reduce(0, +) >= 12), "\(memory.strategy), \(limit)")
        if let capacities { #expect(capacities == most.map { min($0, 12 - p + 1) }, "\(memory.strategy), \(limit)") }
      }
    }
  }

  @Test func interleavedStagesHoldTheSameOrNothing() throws {
    let job = try Fixture.job(Fixture.gpt(layerCount: 12))
    let memory = Fixture.memory(
      job, Strategy(mesh: [.pipeline: 2], schedule: .interleaved(chunkCount: 3)))
    let peak = (0..<2).map { memory.stageMemory(stage: $0, Split.Stage(layerCount: 6)).peakBytes }.max() ?? 0
    #expect(memory.layerCapacities(limitBytes: peak, layerCount: 12) == [6, 6])
    #expect(memory.layerCapacities(limitBytes: peak - 1, layerCount: 12) == nil)
  }

  @Test func moreLayersNeverTakeLess() throws {
    for memory in try models(isTied: true) {
      for stage in 0..<memory.strategy.pipelineDegree {
        let peaks = (1...12).map { memory.stageMemory(stage: stage, Split.Stage(layerCount: $0)).peakBytes }
        #expect(zip(peaks, peaks.dropFirst()).allSatisfy { $0 < $1 }, "\(memory.strategy), stage \(stage)")
      }
    }
  }

  /// One thing is changed at a time; the peak of every stage goes the stated way.
  @Test func savingMeasuresNeverTakeMore() throws {
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4096, globalBatch: 128)
    let device = try Shipped.catalog.device("a100-sxm4-80gb")
    func peaks(_ strategy: Strategy) -> [Int] {
      let memory = MemoryModel(job: job, device: device, framework: device.frameworks[0], strategy: strategy)
      return (0..<strategy.pipelineDegree).map {
        memory.stageMemory(stage: $0, Split.Stage(layerCount: 32 / strategy.pipelineDegree)).peakBytes
      }
    }
    for (t, p) in [(1, 1), (1, 4), (2, 1), (2, 2), (4, 1), (4, 4)] {
      for flash in [true, false] {
        for d in [1, 4] {
          func strategy(
            t: Int = t, d: Int = d, b: Int = 2, zero: Strategy.ZeroStage = .none,
            recompute: Strategy.Recompute = .none, sequence: Bool = false
          ) -> Strategy {
            Strategy(
              mesh: [.tensor: t, .pipeline: p, .data: d], microBatch: b, zeroStage: zero, recompute: recompute,
              usesSequenceParallelism: sequence, usesFlashAttention: flash)
          }
          let plain = peaks(strategy())
          let message = "tensor \(t), pipeline \(p), data \(d), flash \(flash)"
          for (what, saving) in [
            ("tensor", strategy(t: 2 * t)), ("micro-batch", strategy(b: 1)), ("ZeRO 1", strategy(zero: .optimizer)),
            ("selective", strategy(recompute: .selective)), ("full", strategy(recompute: .full)),
            ("sequence", strategy(sequence: t > 1)),
          ] {
            #expect(zip(peaks(saving), plain).allSatisfy { $0 <= $1 }, "\(what): \(message)")
          }
          for zero in [Strategy.ZeroStage.optimizer, .gradients, .weights] {
            let wider = peaks(strategy(d: 2 * d, zero: zero))
            // A single rank has nothing unsharded beside its shard, so its workspace is smaller.
            guard d > 1 || zero == .optimizer else { continue }
            #expect(zip(wider, peaks(strategy(zero: zero))).allSatisfy { $0 <= $1 }, "\(zero), wider: \(message)")
          }
        }
      }
    }
  }

  @Test func aPeakFitsIsRiskyOrDoesNotFitByTheDevicesFractions() throws {
    let memory = Fixture.memory(
      try Fixture.job(Fixture.gpt()), Strategy(mesh: [:]))
    #expect(memory.limitBytes(.fits) == 64_000_000_000)
    #expect(memory.limitBytes(.risky) == 76_000_000_000)
    #expect(memory.verdict(peakBytes: 64_000_000_000) == .fits)
    #expect(memory.verdict(peakBytes: 64_000_000_001) == .risky)
    #expect(memory.verdict(peakBytes: 76_000_000_001) == .unfit)
  }

  @Test func overheadsComeOnTopOfWhatIsCounted() throws {
    let job = try Fixture.job(Fixture.gpt())
    let strategy = Strategy(mesh: [:])
    let device = Fixture.device(reservedBytes: 1_000_000, fragmentationFraction: 0.1)
    let counted = Fixture.memory(job, strategy).stageMemory(stage: 0, Split.Stage(layerCount: 4))
    let all = MemoryModel(job: job, device: device, framework: device.frameworks[0], strategy: strategy)
      .stageMemory(stage: 0, Split.Stage(layerCount: 4))
    #expect(all.reservedBytes == 1_000_000)
    let moving = counted.activationBytes + counted.workspaceBytes
    #expect(all.fragmentationBytes == Int((Double(moving) * 0.1).rounded(.up)))
    #expect(all.peakBytes == counted.peakBytes + all.reservedBytes + all.fragmentationBytes)
    // A framework whose segments grow loses nothing to them.
    var framework = device.frameworks[0]
    framework.memory.growsSegments = true
    let growing = MemoryModel(job: job, device: device, framework: framework, strategy: strategy)
      .stageMemory(stage: 0, Split.Stage(layerCount: 4))
    #expect(growing.fragmentationBytes == 0 && growing.peakBytes == all.peakBytes - all.fragmentationBytes)
  }
}
