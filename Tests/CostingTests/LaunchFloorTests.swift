import Documents
import Foundation
import TestSupport
import Testing

@testable import Costing

/// A stage is never faster than its kernels can be launched.
@Suite struct LaunchFloorTests {
  /// GPT fixture with tensor 4 on nodes of 8 devices.
  private func cost(
    _ framework: DeviceProfile.Framework, nodes: Int = 1, tensor: Int = 4, pipeline: Int = 1,
    recompute: Strategy.Recompute = .none
  ) throws -> IterationCost {
    let levels: [ClusterDescription.Level] = [
      .init(name: "node", span: 8, bytesPerSecond: 100e9), .init(name: "net", span: 8 * nodes, bytesPerSecond: 10e9),
    ]
    let cluster = try Fixture.cluster(
      nodeCount: nodes, devicesPerNode: 8, levels: nodes == 1 ? [levels[0]] : levels,
      device: Fixture.device(framework: framework))
    let model = try CostModel(cluster: cluster, job: Fixture.job(Fixture.gpt()))
    return model.cost(
      of: Strategy(
        mesh: [.tensor: tensor, .pipeline: pipeline, .data: 8 * nodes / tensor / pipeline],
        recompute: recompute, usesFlashAttention: true))
  }

  @Test func theFloorIsTheStagesAndTheHeadHidesBehindIt() throws {
    let floor = try cost(Fixture.framework(floor: 3))
    let middle = floor[0].passSeconds(layerCount: 3, isFirst: false, isLast: false)
    #expect(agrees(middle.forward + middle.backward, 9))
    // The host runs ahead under the head: a launch-bound stage is no slower for it.
    let last = floor[0].passSeconds(layerCount: 3, isFirst: false, isLast: true)
    #expect(agrees(last.forward + last.backward, 9))
    // Recomputation launches the forward kernels, a third of all, again.
    let recomputed = try cost(Fixture.framework(floor: 3), recompute: .full)[0]
      .passSeconds(layerCount: 1, isFirst: false, isLast: false)
    #expect(agrees(recomputed.forward + recomputed.backward, 4))
  }

  /// A layer with experts has its own floor, half of it where its host waits for no counts, 1.7 times as much where tokens' way
  /// runs under another micro-batch, and of all that what recorded graphs leave.
  @Test func expertsHaveAFloorOfTheirOwnAndGraphsTakeItAway() throws {
    var framework = Fixture.framework(floor: 2)
    framework.ownExpertLayerFloorSeconds = 8
    let catalog = Shipped.catalog
    var job = try TrainingJob(model: catalog.model("mixtral-8x7b"), sequenceLength: 1_024, globalBatch: 64)
    func floor(
      _ kind: LayerCounts.Kind, _ dispatcher: Strategy.Dispatcher = .allToAll, overlaps: Bool = false
    ) -> Double {
      var strategy = Strategy(mesh: [.data: 8])
      strategy.expertDegree = 8
      strategy.dispatcher = dispatcher
      strategy.overlapsExperts = overlaps
      return StageCost.launchFloorSeconds(
        strategy: strategy, job: job, againShare: 0, kind: kind, framework: framework, devicesPerNode: 8)
    }
    #expect(floor(.dense) == 2 && floor(.experts) == 8 && floor(.experts, .hybridEP) == 4)
    #expect(agrees(floor(.experts, overlaps: true), 13.6) && floor(.experts, .deepEP) == 8)
    for (graphs, share) in [(LaunchGraphs.router, 1.0), (.partial, 0.5), (.fullIteration, 0)] {
      job.graphs = graphs
      #expect(floor(.dense) == 2 * share && floor(.experts) == 8 * share)
    }
    job.graphs = .none
    job.expertCapacity = ExpertCapacity(factor: 1, pads: true)
    #expect(floor(.experts) == 4)
    framework.ownExpertLayerFloorSeconds = nil
    #expect(floor(.experts) == 2)
  }

  /// Two products of each expert on the rank, once forward and twice backward, unless all are one kernel.
  @Test func everyExpertOnARankAddsToItsProducts() throws {
    let catalog = Shipped.catalog
    var job = try TrainingJob(model: catalog.model("mixtral-8x7b"), sequenceLength: 1_024, globalBatch: 64)
    var framework = Fixture.framework()
    func seconds(expertDegree: Int) throws -> Double {
      let cluster = try Fixture.cluster(
        nodeCount: 1, devicesPerNode: 8, levels: [.init(name: "node", span: 8, bytesPerSecond: 100e9)],
        device: Fixture.device(framework: framework))
      var strategy = Strategy(mesh: [.data: 8], usesFlashAttention: true)
      strategy.expertDegree = expertDegree
      let cost = try CostModel(cluster: cluster, job: job).cost(of: strategy)
      return cost[0].passSeconds(LayerCounts(dense: 0, experts: 1), isFirst: false, isLast: false).sum
    }
    for (graphs, expertDegree, added) in [
      (LaunchGraphs.none, 8, 6.0), (.none, 2, 24), (.partial, 4, 12), (.fullIteration, 2, 0),
    ] {
      job.graphs = graphs
      framework.expertProductSeconds = 0
      let without = try seconds(expertDegree: expertDegree)
      framework.expertProductSeconds = 1
      #expect(agrees(try seconds(expertDegree: expertDegree) - without, added), "\(graphs) \(expertDegree)")
    }
  }

  @Test func aFloorFarBelowTheDevicesTimeIsNotFelt() throws {
    let low = try cost(Fixture.framework(floor: 1e-12)), none = try cost(Fixture.framework())
    for (isFirst, isLast) in [(false, false), (true, false), (false, true), (true, true)] {
      #expect(
        low[0].passSeconds(layerCount: 2, isFirst: isFirst, isLast: isLast)
          == none[0].passSeconds(layerCount: 2, isFirst: isFirst, isLast: isLast))
    }
  }

  @Test(arguments: [1.0, 2, 4, 64])
  func hostAndDeviceShareByTheNormOfTheSharpness(k: Double) throws {
    let framework = Fixture.framework(sharpness: k)
    for (device, host) in [(3.0, 4.0), (4, 3), (1, 1), (1e-6, 1), (1, 1e-6)] {
      let time = device * framework.slowdown(device: device, host: host)
      #expect(agrees(time, pow(pow(device, k) + pow(host, k), 1 / k), relative: 1e-9), "\(device) \(host)")
      #expect(time >= max(device, host) * (1 - 1e-12) && time <= (device + host) * (1 + 1e-12))
    }
  }

  @Test func pipelinesAndTensorGroupsRaiseIt() throws {
    var framework = Fixture.framework(floor: 4)
    framework.pipelineFloorSecondsPerTensorRank = 2
    framework.tensorFloorSecondsPerRank = 0.25
    framework.tensorFloorSecondsPerNode = 0.5
    func floor(nodes: Int, tensor: Int, pipeline: Int) throws -> Double {
      try cost(framework, nodes: nodes, tensor: tensor, pipeline: pipeline)[0].layer.launchFloorSeconds
    }
    #expect(try floor(nodes: 1, tensor: 1, pipeline: 2) == 4)
    #expect(try floor(nodes: 1, tensor: 4, pipeline: 2) == 4.75)
    #expect(try floor(nodes: 2, tensor: 4, pipeline: 1) == 4.75)
    #expect(try floor(nodes: 2, tensor: 1, pipeline: 2) == 4)
    #expect(try floor(nodes: 2, tensor: 4, pipeline: 2) == 4.75 + 2 * 4)
    framework.tensorFloorSecondsPerRank = 0
    // The fixture's eight heads allow a tensor degree of 8, one node: a group across nodes needs smaller ones.
    let small = try Fixture.cluster(
      nodeCount: 4, devicesPerNode: 2,
      levels: [.init(name: "node", span: 2, bytesPerSecond: 100e9), .init(name: "net", span: 8, bytesPerSecond: 10e9)],
      device: Fixture.device(framework: framework))
    let wide = try CostModel(cluster: small, job: Fixture.job(Fixture.gpt()))
      .cost(of: Strategy(mesh: [.tensor: 8], usesFlashAttention: true))
    #expect(wide[0].layer.launchFloorSeconds == 4 + 0.5 * 4)
  }

  @Test func nanotronsRuleFillsStagesByCumulativeCost() throws {
    // 16 layers of 4·h·h + 3·h·4h, the head 0.95·V·h of a vocabulary of 131,072: about 3.7 layers.
    let model = try ModelDescription(
      name: "1b", family: .llama, layerCount: 16, hiddenSize: 2048, headCount: 32, feedForwardSize: 8192,
      vocabularySize: 131_072, hasGatedFeedForward: true, hasTiedEmbeddings: true)
    let rule = DeviceProfile.LayerSplit.cumulativeCost
    func counts(_ stages: Int) -> [Int] {
      rule.split(of: model, among: Strategy(mesh: [.pipeline: stages])).layerCounts
    }
    #expect(counts(1) == [16])
    #expect(counts(2) == [10, 6])
    for stages in 1...32 {
      let counts = counts(stages)
      #expect(counts.count == stages && counts.reduce(0, +) == 16)
    }
  }
}
