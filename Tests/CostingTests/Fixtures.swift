import Foundation
import JSONText

@testable import Costing
@testable import Documents

/// Inputs whose figures are round, so that what follows from them can be worked out by hand.
enum Fixture {
  /// A device of 100 TFLOP/s in 16 bits, 10 in 32, and 1 TB/s, which reaches all of it unless said otherwise.
  static func device(
    gemmHalfSize: Double = 0, reservedBytes: Int = 0, fragmentationFraction: Double = 0, unreusedFraction: Double = 0,
    memoryBytes: Int = 80_000_000_000, latencySeconds: Double = 0, collectiveSeconds: Double = 0,
    tf32FLOPPerSecond: Double = 0,
    framework: DeviceProfile.Framework = framework()
  ) -> DeviceProfile {
    DeviceProfile(
      name: "round", title: "Round figures",
      datasheet: .init(
        memoryBytes: memoryBytes, memoryBytesPerSecond: 1e12, fp32FLOPPerSecond: 10e12, fp16FLOPPerSecond: 100e12,
        bf16FLOPPerSecond: 100e12, tf32FLOPPerSecond: tf32FLOPPerSecond, hasFlashAttention: true,
        scaleUpBytesPerSecond: 100e9,
        scaleOutBytesPerSecond: 10e9, sources: []),
      compute: .init(
        gemmPeakFraction: 1, gemmHalfSize: gemmHalfSize, attentionPeakFraction: 0.5, memoryFraction: 1,
        unalignedPeakFraction: 1),
      memory: .init(
        reservedBytes: reservedBytes, fragmentationFraction: fragmentationFraction, unreusedFraction: unreusedFraction,
        comfortableFraction: 0.8, limitFraction: 0.95),
      fabric: .init(
        collectiveSeconds: collectiveSeconds, scaleUpEfficiency: 1, scaleUpLatencySeconds: latencySeconds,
        scaleUpGroups: [], scaleOutEfficiency: 1, scaleOutLatencySeconds: latencySeconds),
      frameworks: [framework], provenance: [])
  }

  static func framework(
    floor: Double = 0, sharpness: Double = 64, gradientOverlap: Double = 0, gatherOverlap: Double = 0,
    logitsBytesPerEntry: Int = 10, vocabularyMultiple: Int = 1, tensorRateFraction: Double = 1,
    attentionFactor: Double = 1
  ) -> DeviceProfile.Framework {
    .init(
      name: "plain", layerFloorSeconds: floor, floorSharpness: sharpness, pipelineFloorSecondsPerTensorRank: 0,
      tensorFloorSecondsPerRank: 0, tensorFloorSecondsPerNode: 0, tensorCollectiveSeconds: 0,
      tensorRateFraction: tensorRateFraction, tensorOverlapFraction: 0,
      iterationFixedSeconds: 0,
      gradientOverlapFraction: gradientOverlap, shardedGradientOverlapFraction: gradientOverlap,
      gatherOverlapFraction: gatherOverlap, overlapsGradientReduce: false, reductionRateFraction: 1,
      bucketBytes: 1e24, gemmFactor: 1, attentionFactor: attentionFactor, elementWiseFactor: 1,
      layerSplit: .even,
      logitsTrafficBytesPerEntry: Double(logitsBytesPerEntry), gradientAccumulationFactor: 0,
      hasFragileReplicatedPipelines: false, interleavesLargerGroups: true, usesFlashAttention: false,
      memory: memory(logitsBytesPerEntry: logitsBytesPerEntry),
      vocabularyMultiple: vocabularyMultiple)
  }

  /// Nothing beside what operations need and the logits.
  static func memory(logitsBytesPerEntry: Int = 10) -> DeviceProfile.Framework.Memory {
    DeviceProfile.Framework.Memory(
      reservedBytes: 0, activationFactor: 1, keepsActivatedGate: false, selective: .attentionCore,
      logitsBytesPerEntry: Double(logitsBytesPerEntry),
      backwardWorkspaceFactor: 0, separatesMicroBatchGradients: false, bucketBytesPerParameter: 0,
      stepGradientCopies: 0, tensorBufferCount: 0, pendingActivationFactor: 0, reportedMemory: .reserved,
      reportedStage: .largest)
  }

  static func cluster(
    nodeCount: Int, devicesPerNode: Int, levels: [ClusterDescription.Level], device: DeviceProfile = device(),
    measured: MeasuredLinks? = nil
  ) throws -> ClusterDescription {
    try ClusterDescription(
      name: "test", device: device, nodeNames: (0..<nodeCount).map { "node-\($0)" }, devicesPerNode: devicesPerNode,
      levels: levels, measured: measured)
  }

  /// One node whose devices reach each other at 100 GB/s.
  static func node(of deviceCount: Int, device: DeviceProfile = device()) throws -> ClusterDescription {
    try cluster(
      nodeCount: 1, devicesPerNode: deviceCount,
      levels: [.init(name: "node", span: deviceCount, bytesPerSecond: 100e9)], device: device)
  }

  /// Links measured between `rates.count` nodes, bytes per second.
  static func links(_ rates: [[Double?]]) throws -> MeasuredLinks {
    func object(_ members: [(String, JSON)]) -> JSON { .object(members.map { JSONMember($0.0, $0.1) }) }
    let rows = JSON.array(rates.map { .array($0.map { $0.map(JSON.number) ?? .null }) })
    let json = object([
      ("schema", .string("sextant.links/1")), ("name", .string("test")), ("engine", .string("none")),
      ("source", .string("")), ("nodes", .array(rates.indices.map { .string("node-\($0)") })),
      ("snapshots", .array([object([("name", .string("only")), ("bytes_per_second", rows)])])),
    ])
    return try MeasuredLinks(Field(json, source: "test"))
  }

  /// A GPT block of a = 8 heads, h = 512, V = 1024 (12h² + 13h parameters), trained with dropout.
  static func gpt(layerCount: Int = 4, isTied: Bool = true, vocabularySize: Int = 1024) throws -> ModelDescription {
    try ModelDescription(
      name: "small-gpt", family: .gpt, layerCount: layerCount, hiddenSize: 512, headCount: 8, feedForwardSize: 2048,
      vocabularySize: vocabularySize, hasGatedFeedForward: false, hasTiedEmbeddings: isTied, positionCount: 256)
  }

  /// A Llama block: h = 512, 8 heads of 64, 4 key-value heads, gated feed-forward of 1536.
  static func llama(
    layerCount: Int = 4, keyValueHeadCount: Int = 4, isTied: Bool = false, predictionDepth: Int = 0
  ) throws -> ModelDescription {
    try ModelDescription(
      name: "small-llama", family: .llama, layerCount: layerCount, hiddenSize: 512, headCount: 8,
      keyValueHeadCount: keyValueHeadCount, feedForwardSize: 1536, vocabularySize: 1024, hasGatedFeedForward: true,
      hasTiedEmbeddings: isTied, predictionDepth: predictionDepth)
  }

  /// 16-bit training with 16-bit gradients, as the published memory tables count.
  static func job(
    _ model: ModelDescription, sequenceLength: Int = 256, globalBatch: Int = 64, precision: Precision = .fp16,
    accumulatesGradientsInFP32: Bool = false
  ) throws -> TrainingJob {
    try TrainingJob(
      model: model, sequenceLength: sequenceLength, globalBatch: globalBatch, precision: precision,
      accumulatesGradientsInFP32: accumulatesGradientsInFP32)
  }

  static func memory(
    _ job: TrainingJob, _ strategy: Strategy, framework: DeviceProfile.Framework = framework()
  ) -> MemoryModel {
    MemoryModel(job: job, device: device(framework: framework), framework: framework, strategy: strategy)
  }
}

extension MemoryModel {
  /// The most layers each stage can hold within so many bytes where all do as the strategy says; nil when some stage
  /// cannot hold one, or all together not all layers.
  func layerCapacities(limitBytes: Int, layerCount: Int) -> [Int]? {
    let capacities = (0..<strategy.pipelineDegree).map {
      layerCapacity(stage: $0, limitBytes: limitBytes, .alike(layerCount), freedom: .none)
    }
    return capacities.contains(0) || capacities.reduce(0, +) < layerCount ? nil : capacities
  }
}

extension LayerKinds {
  /// Layers that all have one feed-forward part.
  static func alike(_ count: Int) -> LayerKinds {
    guard let model = try? Fixture.gpt(layerCount: count) else { preconditionFailure("so many layers make a model") }
    return LayerKinds(of: model)
  }
}

extension MicroBatchCost {
  var layer: Passes { layers.dense }
  var keptLayer: Passes { keptLayers.dense }
}

extension StageCost {
  var layer: LayerSeconds { layers.dense }

  func passSeconds(layerCount: Int, isFirst: Bool, isLast: Bool) -> PassSeconds {
    passSeconds(LayerCounts(dense: layerCount), isFirst: isFirst, isLast: isLast)
  }
}

extension MemoryModel {
  func optimizerBytes(stage: Int, layerCount: Int) -> Int {
    optimizerBytes(stage: stage, LayerCounts(dense: layerCount))
  }
}

/// Whether two numbers agree to a part in 10¹², which only the order of rounding could break.
func agrees(_ left: Double, _ right: Double, relative: Double = 1e-12) -> Bool {
  abs(left - right) <= relative * max(abs(left), abs(right))
}
