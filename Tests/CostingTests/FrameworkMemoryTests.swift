import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Documents

/// What a framework keeps beside the exact counts, each thing on its own, by hand.
@Suite struct FrameworkMemoryTests {
  private func framework(_ change: (inout DeviceProfile.Framework.Memory) -> Void) -> DeviceProfile.Framework {
    var framework = Fixture.framework()
    change(&framework.memory)
    return framework
  }

  private func stage(
    _ strategy: Strategy, stage: Int = 0, layerCount: Int = 4, job: TrainingJob? = nil, deviceBoundShare: Double = 1,
    unreusedFraction: Double = 0, isFragile: Bool = false,
    _ change: (inout DeviceProfile.Framework.Memory) -> Void
  ) throws -> (changed: Prediction.StageMemory, plain: Prediction.StageMemory) {
    let job = try job ?? Fixture.job(Fixture.gpt(), accumulatesGradientsInFP32: true)
    let device = Fixture.device(unreusedFraction: unreusedFraction)
    func memory(_ framework: DeviceProfile.Framework) -> Prediction.StageMemory {
      MemoryModel(
        job: job, device: device, framework: framework, strategy: strategy, deviceBoundShare: deviceBoundShare
      ).stageMemory(stage: stage, Split.Stage(layerCount: layerCount))
    }
    return (memory(framework(change)), memory(Fixture.framework()))
  }

  static let tokens = 256, h = 512

  @Test func anUnfusedGateKeepsTheActivatedGateToo() throws {
    let job = try Fixture.job(Fixture.llama())
    let (changed, plain) = try stage(
      Strategy(mesh: [.tensor: 2]), job: job
    ) { $0.keepsActivatedGate = true }
    #expect(changed.activationBytes - plain.activationBytes == 4 * Self.tokens * 2 * 1536 / 2)
    // A plain activation has no gate.
    let (same, other) = try stage(Strategy(mesh: [:])) {
      $0.keepsActivatedGate = true
    }
    #expect(same == other)
  }

  @Test func aLayerThatRunsBackwardTakesAMultipleOfItsActivations() throws {
    let strategy = Strategy(mesh: [.pipeline: 2])
    let (changed, plain) = try stage(strategy, layerCount: 2) { $0.backwardWorkspaceFactor = 2 }
    let layer = (34 * Self.h + 5 * 8 * 256) * Self.tokens
    #expect(plain.workspaceBytes == 0)
    #expect(changed.workspaceBytes == 2 * layer)
    #expect(changed.activationBytes == plain.activationBytes)
  }

  @Test func bucketsAreThereWhereGradientsAreReducedAmongReplicas() throws {
    for (d, zero, isThere) in [
      (1, Strategy.ZeroStage.none, false), (4, .none, true), (4, .optimizer, false), (4, .weights, false),
    ] {
      let strategy = Strategy(mesh: [.data: d], zeroStage: zero)
      let (changed, plain) = try stage(strategy) { $0.bucketBytesPerParameter = 2 }
      let parameters = try Fixture.gpt().parameterCount
      #expect(changed.workspaceBytes - plain.workspaceBytes == (isThere ? 2 * parameters : 0), "\(d), \(zero)")
    }
  }

  /// At the end of a backward pass one micro-batch's activations are gone and its gradients, 2 bytes each, are there.
  @Test func separateGradientsCountWhereTheyOutweighTheActivationsThatAreGone() throws {
    let model = try Fixture.gpt(vocabularySize: 40_000)
    for sequence in [8, 256] {
      let job = try Fixture.job(model, sequenceLength: sequence, globalBatch: 64, accumulatesGradientsInFP32: true)
      let strategy = Strategy(mesh: [.pipeline: 2])
      let (changed, plain) = try stage(strategy, layerCount: 2, job: job) { $0.separatesMicroBatchGradients = true }
      let parameters = 2 * StateMemoryTests.layer + (40_000 + 256) * Self.h
      let chunk = 2 * (34 * Self.h + 5 * 8 * sequence) * sequence
      #expect(changed.workspaceBytes == max(0, 2 * parameters - chunk), "sequence \(sequence)")
      #expect(changed.activationBytes == plain.activationBytes)
    }
  }

  @Test func aReductionUnderZeRO1CopiesGradientsAndReusesWhatItCan() throws {
    let strategy = Strategy(mesh: [.data: 4], zeroStage: .optimizer)
    let model = try Fixture.gpt(vocabularySize: 64)
    let job = try Fixture.job(model, sequenceLength: 16, accumulatesGradientsInFP32: true)
    let (changed, plain) = try stage(strategy, job: job, unreusedFraction: 0.25) { $0.stepGradientCopies = 1 }
    let passes = plain.activationBytes + plain.workspaceBytes, copies = 4 * model.parameterCount
    #expect(passes < copies)
    #expect(changed.activationBytes + changed.workspaceBytes == copies)
    #expect(changed.fragmentationBytes == (passes + 3) / 4)
    #expect(changed.allocatedBytes == plain.allocatedBytes - passes + copies)
    // Where segments grow all of it can be had again.
    let (growing, _) = try stage(strategy, job: job, unreusedFraction: 0.25) {
      $0.stepGradientCopies = 1
      $0.growsSegments = true
    }
    #expect(growing.fragmentationBytes == 0 && growing.allocatedBytes == changed.allocatedBytes)
  }

  @Test func gathersOfATensorGroupKeepBuffers() throws {
    for t in [1, 4] {
      let (changed, plain) = try stage(Strategy(mesh: [.tensor: t])) {
        $0.tensorBufferCount = 2
      }
      #expect(changed.workspaceBytes - plain.workspaceBytes == (t > 1 ? 2 * Self.tokens * Self.h * 2 : 0))
    }
  }

  /// Without a pipeline the host always runs ahead; with one only while the device is the slower, and only if passes of
  /// different micro-batches follow one another without end.
  @Test func whatACollectiveMayStillReadIsNotFree() throws {
    let job = try Fixture.job(Fixture.gpt(), globalBatch: 64)
    let unit = Self.tokens * Self.h * 2
    for (p, d, share, expected) in [
      (1, 1, 0.0, 4 * 3 * unit), (2, 1, 1.0, 2 * 2 * 3 * unit), (2, 1, 0.5, 2 * 3 * unit), (2, 32, 1.0, 0),
    ] {
      let (changed, plain) = try stage(
        Strategy(mesh: [.tensor: 2, .pipeline: p, .data: d]), layerCount: 4 / p, job: job,
        deviceBoundShare: share
      ) { $0.pendingActivationFactor = 3 }
      #expect(changed.fragmentationBytes == expected, "p \(p), d \(d), share \(share)")
      #expect(changed.allocatedBytes == plain.allocatedBytes)
    }
  }

  @Test func theHostSetsThePaceWhereItIsSlower() {
    let plain = Fixture.framework()
    let ahead = framework { $0.pendingActivationFactor = 1 }
    #expect(ahead.deviceBoundShare(device: 2, host: 1) == 1)
    #expect(ahead.deviceBoundShare(device: 1, host: 2) == 1.0 / 64)
    #expect(plain.deviceBoundShare(device: 1, host: 2) == 1, "nothing depends on it")
  }

  @Test func whatOftenFailsIsRiskyAtBest() throws {
    let job = try Fixture.job(Fixture.gpt())
    let strategy = Strategy(mesh: [:])
    let memory = MemoryModel(
      job: job, device: Fixture.device(), framework: Fixture.framework(), strategy: strategy, isFragile: true)
    #expect(memory.verdict(peakBytes: 1) == .risky)
    #expect(memory.layerCapacities(limitBytes: memory.limitBytes(.fits), layerCount: 4) == nil)
    #expect(memory.verdict(peakBytes: 76_000_000_001) == .unfit)
  }

  /// nanotron with replicated pipelines: over one node they are fragile, within it, sharded or without replicas not.
  @Test func onlyReplicatedPipelinesAcrossNodesAreFragile() throws {
    var framework = Fixture.framework()
    framework.hasFragileReplicatedPipelines = true
    let device = Fixture.device(framework: framework)
    let job = try Fixture.job(Fixture.gpt())
    for (nodes, p, d, zero, isFragile) in [
      (2, 2, 4, Strategy.ZeroStage.none, true), (1, 2, 2, .none, false), (2, 2, 4, .optimizer, false),
      (2, 1, 8, .none, false),
    ] {
      let cluster = try Fixture.cluster(
        nodeCount: nodes, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9),
          .init(name: "network", span: 4 * nodes, bytesPerSecond: 10e9),
        ].prefix(nodes).map { $0 }, device: device)
      let model = try CostModel(cluster: cluster, job: job)
      let cost = model.cost(of: Strategy(mesh: [.pipeline: p, .data: d], zeroStage: zero))
      #expect(cost[0].memory.isFragile == isFragile, "\(nodes) nodes, p \(p), d \(d), \(zero)")
    }
  }
}
