import Documents
import Testing

@testable import Costing

/// A stage is never faster than its kernels can be launched.
@Suite struct LaunchFloorTests {
  /// GPT fixture with tensor 4 on nodes of 8 devices.
  private func cost(
    _ framework: DeviceProfile.Framework, nodes: Int = 1, tensor: Int = 4, pipeline: Int = 1,
    recompute: Strategy.Recompute = .none
  ) throws -> StrategyCost {
    let levels: [ClusterDescription.Level] = [
      .init(name: "node", span: 8, bytesPerSecond: 100e9), .init(name: "net", span: 8 * nodes, bytesPerSecond: 10e9),
    ]
    let cluster = try Fixture.cluster(
      nodeCount: nodes, devicesPerNode: 8, levels: nodes == 1 ? [levels[0]] : levels,
      device: Fixture.device(framework: framework))
    let model = try CostModel(cluster: cluster, job: Fixture.job(Fixture.gpt()))
    return model.cost(
      of: Strategy(
        tensorDegree: tensor, pipelineDegree: pipeline, dataDegree: 8 * nodes / tensor / pipeline,
        recompute: recompute, usesFlashAttention: true))
  }

  @Test func theFloorIsTheStagesAndTheHeadHidesBehindIt() throws {
    let floor = Fixture.framework(forwardFloor: 1, backwardFloor: 2)
    let middle = try cost(floor).passSeconds(layerCount: 3, isFirst: false, isLast: false)
    #expect(agrees(middle.forward, 3) && agrees(middle.backward, 6))
    // The host runs ahead under the head: a floor-bound stage is no slower for it.
    #expect(try cost(floor).passSeconds(layerCount: 3, isFirst: false, isLast: true) == middle)
    // Recomputation launches the forward kernels again.
    #expect(try agrees(cost(floor, recompute: .full).passSeconds(layerCount: 1, isFirst: false, isLast: false).backward, 3))
  }

  @Test func aFloorBelowTheDevicesTimeIsNotFelt() throws {
    let low = try cost(Fixture.framework(forwardFloor: 1e-12, backwardFloor: 1e-12))
    let none = try cost(Fixture.framework())
    for (isFirst, isLast) in [(false, false), (true, false), (false, true), (true, true)] {
      #expect(
        low.passSeconds(layerCount: 2, isFirst: isFirst, isLast: isLast)
          == none.passSeconds(layerCount: 2, isFirst: isFirst, isLast: isLast))
    }
  }

  @Test func pipelinesAndTensorGroupsAcrossNodesRaiseIt() throws {
    var framework = Fixture.framework(forwardFloor: 1, backwardFloor: 3)
    framework.pipelineFloorSecondsPerTensorRank = 2
    framework.tensorFloorSecondsPerNode = 0.5
    func both(nodes: Int, tensor: Int, pipeline: Int) throws -> Double {
      let floor = try cost(framework, nodes: nodes, tensor: tensor, pipeline: pipeline).layerFloor
      return floor.forward + floor.backward
    }
    #expect(try agrees(both(nodes: 1, tensor: 4, pipeline: 2), 4))
    #expect(try agrees(both(nodes: 2, tensor: 4, pipeline: 1), 4))
    #expect(try agrees(both(nodes: 2, tensor: 1, pipeline: 2), 4))
    #expect(try agrees(both(nodes: 2, tensor: 4, pipeline: 2), 4 + 2 * 4))
    let wide = Fixture.framework(forwardFloor: 1, backwardFloor: 3)
    #expect(try agrees(cost(wide, nodes: 2).layerFloor.forward, 1))
  }

  @Test func nanotronsRuleFillsStagesByCumulativeCost() throws {
    // 16 layers of 4·h·h + 3·h·4h, the head 0.95·V·h of a vocabulary of 131,072: about 3.7 layers.
    let model = try ModelDescription(
      name: "1b", family: .llama, layerCount: 16, hiddenSize: 2048, headCount: 32, feedForwardSize: 8192,
      vocabularySize: 131_072, hasGatedFeedForward: true, hasTiedEmbeddings: true)
    let rule = DeviceProfile.LayerSplit.cumulativeCost
    #expect(rule.layerCounts(of: model, virtualStageCount: 1) == [16])
    #expect(rule.layerCounts(of: model, virtualStageCount: 2) == [10, 6])
    for stages in 1...32 {
      let counts = rule.layerCounts(of: model, virtualStageCount: stages)
      #expect(counts.count == stages && counts.reduce(0, +) == 16)
    }
  }
}
