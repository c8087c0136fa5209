import Documents
import TestSupport

@testable import Execution

/// Plans of a few layers on a few devices.
enum SmallPlans {
  struct Degrees: Sendable, CustomStringConvertible {
    let tensor: Int
    let pipeline: Int
    let data: Int
    let chunks: Int

    var worldSize: Int { tensor * pipeline * data }
    /// One for each chunk, but four at least.
    var layers: Int { max(4, pipeline * chunks) }
    var pattern: String { "tensor=\(tensor),pipeline=\(pipeline),data=\(data),virtual_stages=\(chunks)" }
    var description: String { pattern }
  }

  static let degrees: [Degrees] = [1, 2].flatMap { tensor in
    [1, 2, 4].flatMap { pipeline in
      [1, 2, 3].flatMap { data in
        (pipeline > 1 ? [1, 2] : [1]).map {
          Degrees(tensor: tensor, pipeline: pipeline, data: data, chunks: $0)
        }
      }
    }
  }.filter { $0.worldSize <= 8 }

  /// What may be chosen beside the degrees: each once, not all with all.
  static func choices(_ degrees: Degrees) -> [String] {
    var choices = ["recompute=none", "recompute=full", "recompute=selective,flash_attention=false"]
    if degrees.tensor > 1 {
      choices += ["sequence_parallel=true", "sequence_parallel=true,recompute=full,flash_attention=false"]
    }
    if degrees.data > 1 { choices += (1...3).map { "zero_stage=\($0)" } }
    if degrees.data > 1, degrees.tensor > 1 {
      choices += (1...3).map { "zero_stage=\($0),sequence_parallel=true,recompute=full" }
    }
    return choices
  }

  static func model(_ family: ModelDescription.Family, isTied: Bool, layers: Int = 8) throws -> ModelDescription {
    try ModelDescription(
      name: "small", family: family, layerCount: layers, hiddenSize: 64, headCount: 8,
      keyValueHeadCount: family == .llama ? 4 : 8, feedForwardSize: family == .llama ? 160 : 256, vocabularySize: 101,
      hasGatedFeedForward: family == .llama, hasTiedEmbeddings: isTied, positionCount: family == .llama ? 0 : 64)
  }

  static func plan(
    _ pattern: String, _ family: ModelDescription.Family, isTied: Bool, deviceCount: Int, layers: Int = 8,
    layerCounts: [Int]? = nil, stageChoices: [StageChoice]? = nil, precision: Precision = .bf16,
    wideLayers: WideLayers = .none
  ) throws -> Plan {
    try statedPlan(
      pattern, cluster: cluster(deviceCount, precision), model: model(family, isTied: isTied, layers: layers),
      globalBatch: 48, sequenceLength: 64, precision: precision, layerCounts: layerCounts, stageChoices: stageChoices,
      wideLayers: wideLayers)
  }

  /// Devices that multiply in a precision.
  private static func cluster(_ deviceCount: Int, _ precision: Precision) throws -> ClusterDescription {
    try Shipped.smallCluster(deviceCount, device: precision.products == nil ? "a100-sxm4-80gb" : "b200-sxm-180gb")
  }

  /// A random strategy, most of them possible.
  static func random(
    _ random: inout SeededGenerator
  ) -> (pattern: String, family: ModelDescription.Family, isTied: Bool, layerCounts: [Int]?, degrees: Degrees) {
    func pick<Value>(_ values: [Value]) -> Value { values[Int.random(in: values.indices, using: &random)] }
    let degrees = pick(Self.degrees.filter { $0.worldSize <= 4 })
    var pattern = degrees.pattern + ",zero_stage=\(pick([0, 1, 2, 3])),micro_batch=\(pick([1, 2]))"
    pattern += ",recompute=\(pick(["none", "selective", "full"])),flash_attention=\(pick([true, false]))"
    if degrees.tensor > 1 { pattern += ",sequence_parallel=\(pick([true, false]))" }
    var layerCounts: [Int]?
    if degrees.chunks == 1, degrees.pipeline > 1 {
      // Cut anywhere.
      var cuts = Array(1..<degrees.layers).shuffled(using: &random).prefix(degrees.pipeline - 1).sorted()
      cuts.append(degrees.layers)
      layerCounts = zip(cuts, [0] + cuts).map { $0 - $1 }
    }
    return (pattern, pick([.gpt, .llama, .bert]), pick([true, false]), layerCounts, degrees)
  }
}

extension SmallPlans {
  /// A plan of a model with experts.
  static func expertPlan(
    _ pattern: String, _ kind: SmallModels.ExpertKind, deviceCount: Int? = nil, globalBatch: Int = 48,
    layers: Int = 8, capacity: ExpertCapacity = .none, precision: Precision = .bf16,
    wideLayers: WideLayers = .none
  ) throws -> Plan {
    let model = try ModelDescription(
      name: "small", family: .llama, layerCount: layers, hiddenSize: 64, headCount: 8,
      keyValueHeadCount: kind == .latent ? 8 : 4, feedForwardSize: 160, vocabularySize: 101, hasGatedFeedForward: true,
      hasTiedEmbeddings: false, latent: kind == .latent ? SmallModels.latentAttention : nil,
      experts: SmallModels.experts(kind, count: 16, perToken: 4))
    return try statedPlan(
      pattern, cluster: cluster(deviceCount ?? worldSize(of: pattern), precision), model: model,
      globalBatch: globalBatch, sequenceLength: 128, precision: precision, expertCapacity: capacity,
      wideLayers: wideLayers)
  }

  /// Ranks of a strategy's pattern.
  static func worldSize(of pattern: String) -> Int {
    pattern.split(separator: ",").reduce(1) { product, part in
      let pair = part.split(separator: "=")
      guard pair.count == 2, ["tensor", "context", "pipeline", "data"].contains(pair[0]) else { return product }
      return product * (Int(pair[1]) ?? 1)
    }
  }
}
