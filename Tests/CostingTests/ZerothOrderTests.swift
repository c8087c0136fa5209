import TestSupport
import Testing

@testable import Costing
@testable import Documents
@testable import Training

/// Visits, streams, memory and time of zeroth-order training, worked out by hand or by a second account.
@Suite struct ZerothOrderTests {
  private static let host = ClusterDescription.Host(memoryBytes: 1 << 40, bytesPerSecond: 10e9)

  static func cluster(_ deviceCount: Int) throws -> ClusterDescription {
    try ClusterDescription(
      name: "test", device: Fixture.device(), nodeNames: ["n0"], devicesPerNode: deviceCount,
      levels: deviceCount > 1 ? [.init(name: "node", span: deviceCount, bytesPerSecond: 100e9)] : [], host: host)
  }

  static func strategy(
    data: Int = 1, pipeline: Int = 1, tensor: Int = 1, perturbation: Int = 1, slices: Int = 1, hosted: Bool = false,
    microBatch: Int = 1
  ) -> Strategy {
    var strategy = Strategy(
      mesh: [.data: data, .pipeline: pipeline, .tensor: tensor], microBatch: microBatch,
      zeroStage: slices > 1 ? .weights : .none,
      sharding: Sharding(weightDegree: slices, gradientDegree: slices, optimizerDegree: slices),
      usesFlashAttention: true)
    strategy.update = .zerothOrder
    strategy.perturbationDegree = perturbation
    strategy.hosting = Hosting(holdsWeights: hosted)
    return strategy
  }

  static func cost(
    _ strategy: Strategy, layerCount: Int = 4, globalBatch: Int = 8, directions: Int = 1, vocabularySize: Int = 1024
  ) throws
    -> IterationCost
  {
    var job = try Fixture.job(
      Fixture.gpt(layerCount: layerCount, vocabularySize: vocabularySize), globalBatch: globalBatch)
    job.zerothOrder.directionCount = directions
    let model = try CostModel(cluster: cluster(strategy.worldSize), job: job)
    #expect(model.violation(of: strategy) == nil)
    return model.cost(of: strategy)
  }

  // MARK: Streams

  private static func part(compute: Double, transfer: Double, gather: Double = 0) -> PartVisit {
    PartVisit(
      updateSeconds: 0, perturbSeconds: 0, forwardSeconds: compute, gatherSeconds: gather, transferSeconds: transfer)
  }

  private static func streams(_ part: PartVisit, count: Int, leaves: Bool = true) -> VisitStreams {
    var streams = VisitStreams()
    for _ in 0..<count {
      streams.visit(part, computeSeconds: part.forwardSeconds, isHosted: true, leaves: leaves)
    }
    return streams
  }

  @Test func theSlowestStreamSetsThePaceAndTheOthersFillAndDrain() {
    #expect(Self.streams(Self.part(compute: 5, transfer: 2), count: 10).endSeconds == 2 + 10 * 5 + 2)
    // Uploads begin again when a buffer is free: blocks come as fast as they leave.
    #expect(Self.streams(Self.part(compute: 1, transfer: 4), count: 10).endSeconds == 4 + 10 * 4 + 1)
    #expect(Self.streams(Self.part(compute: 3, transfer: 2, gather: 1), count: 10).endSeconds == 2 + 1 + 10 * 3 + 2)
    #expect(Self.streams(Self.part(compute: 5, transfer: 2), count: 10, leaves: false).endSeconds == 2 + 10 * 5)
  }

  @Test func aBlockWaitsForABufferOfItsOwn() {
    var streams = VisitStreams()
    // Offloads take so long that the fourth upload waits for the first to have left.
    let part = Self.part(compute: 1, transfer: 10)
    for _ in 0..<3 { streams.visit(part, computeSeconds: 1, isHosted: true, leaves: true) }
    #expect(streams.uploadSeconds == 30)
    streams.visit(part, computeSeconds: 1, isHosted: true, leaves: true)
    // The first left at 10 + 1 + 10; the upload stream is busy until 30 anyway.
    #expect(streams.uploadSeconds == 40)
    var slow = VisitStreams()
    let late = PartVisit(
      updateSeconds: 0, perturbSeconds: 0, forwardSeconds: 100, gatherSeconds: 0, transferSeconds: 1)
    for _ in 0..<4 { slow.visit(late, computeSeconds: 100, isHosted: true, leaves: true) }
    // The first left at 102; three came at 1, 2 and 3.
    #expect(slow.uploadSeconds == 103)
  }

  // MARK: Costs

  /// A block of 12h² + 13h parameters, h = 512: 3,152,384; two bytes each.
  @Test func partsCostWhatTheirParametersDo() throws {
    let visits = try #require(try Self.cost(Self.strategy(data: 4, slices: 4, hosted: true))[0].visits)
    let block = 12 * 512 * 512 + 13 * 512
    let number = PerturbationSpeed.operationsPerNumber / 5e12
    #expect(abs(visits.layer.perturbSeconds / (Double(block) * number) - 1) < 1e-12)
    #expect(abs(visits.layer.transferSeconds / (Double(block) * 2 / 4 / 10e9) - 1) < 1e-12)
    // Three quarters of a block come over links of 100 GB/s.
    #expect(abs(visits.layer.gatherSeconds / (Double(block) * 2 * 0.75 / 100e9) - 1) < 1e-6)
    #expect(visits.evaluationCount == 2)
  }

  @Test func memoryIsOfWhatIsThereAtOnce() throws {
    let block = (12 * 512 * 512 + 13 * 512) * 2, table = (1024 + 256) * 512 * 2, head = 1024 * 512 * 2
    let stream = 256 * 512 * 2
    let hosted = try Self.cost(Self.strategy(hosted: true)).memory.stageMemory(stage: 0, Split.Stage(layerCount: 4))
    #expect(hosted.gradientBytes == 0)
    #expect(hosted.optimizerBytes == 0)
    // The final norm's gain and bias are resident with the table.
    #expect(hosted.weightBytes == table + 2 * 512 * 2)
    #expect(hosted.hostBytes == 4 * block)
    // Two losses, eight micro-batches, each its stream.
    #expect(hosted.activationBytes == 2 * 8 * stream)
    let logits = 256 * 1024
    let atHead = head + 2 * logits * 2 + logits * 10
    let atBlock =
      block
      + KeptActivations(
        Recipe(
          job: try Fixture.job(Fixture.gpt(), globalBatch: 8), strategy: Self.strategy(),
          framework: Fixture.framework())
      ).blocks.dense.bytes
    #expect(hosted.workspaceBytes == 3 * block + max(atHead, atBlock, table))
    let resident = try Self.cost(Self.strategy()).memory.stageMemory(stage: 0, Split.Stage(layerCount: 4))
    #expect(resident.weightBytes == hosted.weightBytes + 4 * block)
    #expect(resident.workspaceBytes == hosted.workspaceBytes - 3 * block)
    #expect(resident.hostBytes == 0)
    // A member of a pair evaluates one loss.
    let pair = try Self.cost(Self.strategy(data: 2, perturbation: 2, hosted: true))
      .memory.stageMemory(stage: 0, Split.Stage(layerCount: 4))
    #expect(pair.activationBytes == hosted.activationBytes / 2)
  }

  /// Of a large vocabulary the head is the worse moment: the matrix' copy, logits of both losses, and ten bytes an entry for the
  /// loss.
  @Test func theHeadHoldsLogitsOfEveryLoss() throws {
    let vocabulary = 32_768, table = vocabulary * 512 * 2, logits = 256 * vocabulary
    let both = try Self.cost(Self.strategy(), vocabularySize: vocabulary).memory.stageMemory(
      stage: 0, Split.Stage(layerCount: 4))
    #expect(both.workspaceBytes == table + 2 * logits * 2 + logits * 10)
    let one = try Self.cost(Self.strategy(data: 2, perturbation: 2), vocabularySize: vocabulary).memory.stageMemory(
      stage: 0, Split.Stage(layerCount: 4))
    #expect(one.workspaceBytes == table + logits * 2 + logits * 10)
  }

  @Test func asFewLayersAsMustBeLieOnTheHost() throws {
    let memory = try Self.cost(Self.strategy(hosted: true), layerCount: 40)[0].memory
    func peak(_ count: Int) -> Int {
      memory.stageMemory(
        stage: 0,
        Split.Stage(layerCount: 40, choice: StageChoice(recomputedLayerCount: 0, hostedLayerCount: count))
      ).peakBytes
    }
    #expect(memory.leastHostedLayerCount(stage: 0, StageLayers(0..<40, of: .alike(40)), limitBytes: peak(0)) == 0)
    // With one on the host there are three buffers; from the fourth on less is needed than with none.
    #expect(peak(1) > peak(0) && peak(4) < peak(0))
    for count in [4, 17, 39, 40] {
      #expect(
        memory.leastHostedLayerCount(stage: 0, StageLayers(0..<40, of: .alike(40)), limitBytes: peak(count)) == count)
      #expect(
        memory.leastHostedLayerCount(stage: 0, StageLayers(0..<40, of: .alike(40)), limitBytes: peak(count) - 1)
          != count)
    }
    #expect(
      memory.leastHostedLayerCount(stage: 0, StageLayers(0..<40, of: .alike(40)), limitBytes: peak(40) - 1) == nil)
  }

  /// A pipeline, micro-batch by micro-batch: a stage begins when it is free and the one before has sent.
  @Test func aPipelineIsALineOfMachines() throws {
    for (pipeline, batch, hosted) in [(2, 8, false), (4, 6, true), (3, 1, true), (4, 12, false)] {
      let cost = try Self.cost(Self.strategy(pipeline: pipeline, hosted: hosted), layerCount: 12, globalBatch: batch)
      let layers = pipeline == 3 ? [5, 4, 3] : pipeline == 2 ? [7, 5] : [4, 4, 2, 2]
      let split = Split(layers)
      var scratch = EvaluationScratch()
      var ends = [[Double]](repeating: [Double](repeating: 0, count: batch), count: pipeline)
      for index in 0..<batch {
        for stage in 0..<pipeline {
          let arrival = stage == 0 ? 0 : ends[stage - 1][index] + cost.transferSeconds(afterStage: stage - 1)
          let free = index == 0 ? 0 : ends[stage][index - 1]
          ends[stage][index] =
            max(arrival, free) + cost.visitSeconds(stage: stage, split[stage], isFirstVisit: index == 0)
        }
      }
      let expected = (0..<pipeline).map { ends[$0][batch - 1] + cost.tailSeconds(stage: $0, split[$0]) }.max() ?? 0
      let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
      #expect(abs(seconds / (expected + cost.fixedSeconds) - 1) < 1e-12)
      #expect(cost.boundSeconds <= seconds * (1 + 1e-12))
    }
  }

  /// Of many layers and micro-batches the bound is nearly the time of the best split, and never more.
  @Test func theBoundOfAPipelineIsTight() throws {
    for (pipeline, hosted) in [(2, false), (4, false), (4, true)] {
      let cost = try Self.cost(Self.strategy(pipeline: pipeline, hosted: hosted), layerCount: 48, globalBatch: 64)
      var scratch = EvaluationScratch()
      let stages = 48 / pipeline
      // The ends have a little less.
      let splits = (0...3).map { fewer -> [Int] in
        var layers = [Int](repeating: stages, count: pipeline)
        layers[0] += fewer
        layers[pipeline - 1] -= fewer
        return layers
      }
      let best = splits.map { cost.iterationSeconds(of: Split($0), scratch: &scratch) }.min() ?? 0
      #expect(cost.boundSeconds <= best)
      if !hosted { #expect(cost.boundSeconds > 0.95 * best, "\(cost.boundSeconds) of \(best)") }
    }
  }

  @Test func theSplitOfTimeAddsUp() throws {
    for strategy in [
      Self.strategy(hosted: true), Self.strategy(data: 4, perturbation: 2, slices: 4, hosted: true),
      Self.strategy(data: 2, pipeline: 2, perturbation: 2), Self.strategy(pipeline: 4, hosted: true),
      Self.strategy(tensor: 2),
    ] {
      let cost = try Self.cost(strategy, layerCount: 8)
      let split = Split.even(layerCount: 8, stageCount: strategy.pipelineDegree)
      var scratch = EvaluationScratch()
      let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
      let parts = cost.timeSplit(of: split, scratch: &scratch).parts.reduce(0) { $0 + $1.seconds }
      #expect(abs(parts / seconds - 1) < 1e-9, "\(strategy.short): \(parts) of \(seconds)")
    }
  }

  @Test func moreDirectionsCostMoreLossesAndTheSameTransfers() throws {
    let one = try #require(try Self.cost(Self.strategy(hosted: true))[0].visits)
    let four = try #require(try Self.cost(Self.strategy(hosted: true), directions: 4)[0].visits)
    #expect(four.evaluationCount == 4 * one.evaluationCount)
    #expect(four.layer.transferSeconds == one.layer.transferSeconds)
    #expect(abs(four.layer.updateSeconds / one.layer.updateSeconds - 4) < 1e-12)
  }
}
