import Documents
import TestSupport
import Testing

@testable import Costing

/// What lies on the host: bytes by hand, seconds by hand, and published runs.
@Suite struct HostingTests {
  private static let host = ClusterDescription.Host(
    memoryBytes: 1_000_000_000_000, bytesPerSecond: 20e9, sharedBytesPerSecond: 40e9, updateBytesPerSecond: 120e9)

  private static func job(_ optimizer: Optimizer = .adam) throws -> TrainingJob {
    try TrainingJob(
      model: try Fixture.llama(), sequenceLength: 256, globalBatch: 64, precision: .bf16, optimizer: optimizer)
  }

  private static func strategy(_ zeroStage: Strategy.ZeroStage, _ hosting: Hosting) -> Strategy {
    Strategy(mesh: [.data: 4], zeroStage: zeroStage).with(\.hosting, hosting)
  }

  private static func memory(_ strategy: Strategy) throws -> Prediction.StageMemory {
    Fixture.memory(try job(), strategy).stageMemory(stage: 0, Split.Stage(layerCount: 4))
  }

  /// States of 12 bytes go, an fp32 gradient of 4 is there beside them; gradients that are divided go as well.
  @Test func anUpdateOnTheHostTakesStatesAndDividedGradients() throws {
    let shard = (try Fixture.llama().parameterCount + 3) / 4
    let whole = try Self.memory(Self.strategy(.optimizer, .none))
    for percent in [25, 50, 100] {
      let hosted = try Self.memory(Self.strategy(.optimizer, Hosting(updatePercent: percent)))
      let states = 12 * shard * percent / 100
      #expect(hosted.optimizerBytes == whole.optimizerBytes - states)
      #expect(hosted.hostBytes == states + 4 * (shard * percent / 100))
      #expect(hosted.gradientBytes == whole.gradientBytes && hosted.weightBytes == whole.weightBytes)
    }
    let divided = try Self.memory(Self.strategy(.weights, Hosting(updatePercent: 100)))
    #expect(divided.gradientBytes == 0 && divided.optimizerBytes == 0)
  }

  @Test func weightsAndActivationsLeaveAndAreCountedOnTheHost() throws {
    let whole = try Self.memory(Self.strategy(.weights, .none))
    let weights = try Self.memory(Self.strategy(.weights, Hosting(holdsWeights: true)))
    #expect(weights.weightBytes == 0 && weights.hostBytes == whole.weightBytes)
    #expect(weights.workspaceBytes == whole.workspaceBytes, "gathers need their room all the same")
    let activations = try Self.memory(Self.strategy(.weights, Hosting(activations: .allButLast)))
    // Of four layers the last one's stay, with what the head keeps.
    #expect(activations.hostBytes > 0 && activations.hostBytes + activations.activationBytes == whole.activationBytes)
    #expect(activations.hostBytes % 3 == 0)
    // Of two layers two quarters; of three, which are all that can go, as much as of all but the last.
    let two = try Self.memory(Self.strategy(.weights, Hosting(activations: .layers(2))))
    #expect(
      two.hostBytes * 3 == activations.hostBytes * 2 && two.hostBytes + two.activationBytes == whole.activationBytes)
    #expect(try Self.memory(Self.strategy(.weights, Hosting(activations: .layers(3)))) == activations)
    // A single replica's weights come undivided: a layer and the next need room.
    let alone = Strategy(mesh: [.data: 1]).with(\.hosting, Hosting(holdsWeights: true))
    let bare = Strategy(mesh: [.data: 1])
    #expect(try Self.memory(alone).workspaceBytes > Self.memory(bare).workspaceBytes)
  }

  /// Links and processors are shared by the node's four devices: 10 GB/s and 30 GB/s each.
  @Test func theSlowestOfGradientsUpdateAndWeightsSetsThePace() throws {
    let speed = HostSpeed(Self.host, devicesPerNode: 4)
    #expect(speed.bytesPerSecond == 10e9)
    let stage1 = Fixture.memory(try Self.job(), Self.strategy(.optimizer, Hosting(updatePercent: 100)))
    // 30 bytes at 30 GB/s take longer than a gradient's 4 at 10.
    #expect(agrees(speed.updateSeconds(parameterCount: 1_000, bytesEach: 30, memory: stage1), 1_000 * 30 / 30e9))
    #expect(agrees(speed.updateSeconds(parameterCount: 1_000, bytesEach: 3, memory: stage1), 1_000 * 4 / 10e9))
    // Divided gradients have gone before; 2 bytes of a weight come.
    let stage3 = Fixture.memory(try Self.job(), Self.strategy(.weights, Hosting(updatePercent: 100)))
    #expect(agrees(speed.updateSeconds(parameterCount: 1_000, bytesEach: 3, memory: stage3), 1_000 * 2 / 10e9))
    // Without a rate of its own a node has the usual one.
    let usual = HostSpeed(
      ClusterDescription.Host(memoryBytes: 1, bytesPerSecond: 50e9), devicesPerNode: 8)
    #expect(
      agrees(usual.updateSeconds(parameterCount: 1_908_000_000, bytesEach: 30, memory: stage3), 2.88, relative: 1e-3))
  }

  @Test func transfersHideUnderPassesAsFarAsTheyAreShorter() throws {
    let speed = HostSpeed(Self.host, devicesPerNode: 4)
    let memory = Fixture.memory(
      try Self.job(), Self.strategy(.weights, Hosting(updatePercent: 100, holdsWeights: true, activations: .allButLast))
    )
    let bytes = HostPassBytes(parameterCount: 4_000_000, activationBytes: 30_000_000, memory: memory)
    #expect(bytes.forwardUp == 2_000_000 && bytes.forwardDown == 30_000_000)
    #expect(bytes.backwardUp == 32_000_000 && bytes.backwardDown == 2_000_000)
    // Copies of one layer of four have the time of all four.
    let spread = HostPassBytes(
      parameterCount: 0, activationBytes: 30_000_000,
      memory: Fixture.memory(try Self.job(), Self.strategy(.weights, Hosting(activations: .layers(1)))))
    #expect(spread.forwardDown == 7_500_000 && spread.backwardUp == 7_500_000)
    let passes = speed.withTraffic(PassSeconds(forward: 4e-3, backward: 1e-3), bytes)
    #expect(passes.forward == 4e-3 && agrees(passes.backward, 3.2e-3))
  }

  /// Megatron-LM on 16 H100 (NVIDIA's performance notes of Qwen3-30B): 996, 1871, 2484, 3187 and 3877 ms with 0, ¼, ½, ¾
  /// and all of the update on the host; 1.908e9 parameters a rank, of which the two moments, 15.3 GB, leave the device.
  @Test func publishedUpdatesOfAHost() throws {
    let speed = HostSpeed(
      ClusterDescription.Host(memoryBytes: 1, bytesPerSecond: 50e9), devicesPerNode: 8)
    let memory = Fixture.memory(try Self.job(), Self.strategy(.optimizer, Hosting(updatePercent: 100)))
    for (percent, seconds) in [(25, 1.871), (50, 2.484), (75, 3.187), (100, 3.877)] {
      let predicted =
        0.996
        + speed.updateSeconds(
          parameterCount: 1_908_000_000 / 100 * percent, bytesEach: 30, memory: memory)
      #expect(abs(predicted / seconds - 1) < 0.1, "\(percent) %: \(predicted) s")
    }
    let framework = try Shipped.catalog.device("h100-sxm5-80gb").framework(named: "megatron-lm")
    let megatron = MemoryModel(
      job: try Self.job(), device: Fixture.device(), framework: try #require(framework),
      strategy: Self.strategy(.optimizer, Hosting(updatePercent: 100)))
    let updated = megatron.updatedCount(stage: 0, LayerCounts(dense: 4))
    #expect(
      megatron.hostedBytes(stage: 0, LayerCounts(dense: 4), chunkActivationBytes: 0, passesInFlight: 1).optimizer == 8
        * updated
    )
  }

  /// The same run by its model and its layout, tensor 2, pipeline 2 and experts over 4 ranks: what a rank updates follows, and
  /// what leaves the device, and how much longer an iteration takes.
  @Test func publishedUpdatesOfExperts() throws {
    let shipped = try Shipped.catalog.cluster("dgx-h100-4")
    let cluster = try ClusterDescription(
      name: "two nodes", device: shipped.device, nodeNames: ["n0", "n1"], devicesPerNode: 8,
      levels: shipped.levels.map {
        ClusterDescription.Level(
          name: $0.name, span: min(16, $0.span), bytesPerSecond: $0.bytesPerSecond,
          sharedBytesPerSecond: $0.sharedBytesPerSecond)
      }, host: ClusterDescription.Host(memoryBytes: 2_000_000_000_000, bytesPerSecond: 50e9))
    let model = try CostModel(
      cluster: cluster,
      job: TrainingJob(model: Shipped.catalog.model("qwen3-30b-a3b"), sequenceLength: 4_096, globalBatch: 64),
      frameworkName: "megatron-lm")
    func prediction(_ percent: Int) throws -> Prediction {
      let pattern =
        "tensor=2,pipeline=2,data=4,sequence_parallel=true,expert=4,zero_stage=1,micro_batch=1,host_update_percent=\(percent)"
      return try Estimate(model: model, pattern: StrategyPattern(text: pattern, source: "test")).prediction
    }
    let whole = try prediction(0), updated = whole.stageMemory[0].optimizerBytes / 12
    #expect(abs(Double(updated) / 1.908e9 - 1) < 1e-3)
    for (percent, seconds) in [(25, 1.871), (50, 2.484), (75, 3.187), (100, 3.877)] {
      let hosted = try prediction(percent), share = updated * percent / 100
      #expect(hosted.stageMemory[0].optimizerBytes == whole.stageMemory[0].optimizerBytes - 8 * share)
      #expect(hosted.stageMemory[0].hostBytes == 16 * share)
      let longer = hosted.iterationSeconds - whole.iterationSeconds
      #expect(abs((0.996 + longer) / seconds - 1) < 0.1, "\(percent) %: \(longer) s longer")
    }
  }

  @Test func whatCannotBeOnTheHostIsRefused() throws {
    let job = try Self.job()
    func violation(_ strategy: Strategy, hasHost: Bool = true) -> StrategyViolation? {
      strategy.violation(job: job, deviceCount: 4, hasFlashAttention: true, hasHost: hasHost)
    }
    #expect(violation(Self.strategy(.optimizer, Hosting(updatePercent: 50))) == nil)
    #expect(violation(Self.strategy(.optimizer, Hosting(updatePercent: 50)), hasHost: false) == .noHost)
    #expect(violation(Self.strategy(.none, Hosting(updatePercent: 50))) == .hostUpdateNeedsShards)
    #expect(violation(Self.strategy(.optimizer, Hosting(holdsWeights: true))) == .hostWeightsNeedShards)
    #expect(violation(Self.strategy(.optimizer, Hosting(activations: .layers(3)))) == nil)
    #expect(
      violation(Self.strategy(.optimizer, Hosting(activations: .layers(4)))) == .hostedLayersTooMany(count: 4, of: 4))
    let piped = Strategy(mesh: [.pipeline: 4]).with(\.hosting, Hosting(holdsWeights: true))
    #expect(violation(piped) == .hostWeightsInPipeline)
  }
}
