public import JSONText

/// A strategy with some of its parts left open: what `--strategy`, `--fix` and a run record state.
public struct StrategyPattern: Sendable, Equatable {
  public var tensorDegree: Int?
  public var pipelineDegree: Int?
  public var dataDegree: Int?
  public var virtualStageCount: Int?
  public var microBatch: Int?
  public var zeroStage: Strategy.ZeroStage?
  /// Shard degrees, see ``Sharding``.
  public var weightDegree: Int?
  public var gradientDegree: Int?
  public var optimizerDegree: Int?
  /// 1 is no secondary partition.
  public var secondaryDegree: Int?
  public var quantisesWeights: Bool?
  public var quantisesGradients: Bool?
  public var recompute: Strategy.Recompute?
  public var usesSequenceParallelism: Bool?
  public var usesFlashAttention: Bool?
  public var overlapsGradientReduce: Bool?
  /// `false` keeps optimizer states on the devices; stages are never made to offload.
  public var offloadsOptimizer: Bool?

  /// The open pattern, which every strategy matches.
  public init() {}

  /// Reads `tensor=8,pipeline=4,recompute=full`.
  /// - Parameter source: what messages call it, such as `--fix`.
  public init(text: String, source: String) throws(DocumentError) {
    var members: [JSONMember] = []
    for part in text.split(separator: ",") {
      let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard halves.count == 2, !halves[0].isEmpty, !halves[1].isEmpty else {
        throw DocumentError(
          source: source, location: "", expected: "expected KEY=VALUE,KEY=VALUE…",
          found: JSON.string(String(part)).briefDescription)
      }
      let key = String(halves[0])
      guard !members.contains(where: { $0.key == key }) else {
        throw DocumentError(
          source: source, location: "", expected: "the key \(JSON.string(key).briefDescription) is given twice",
          found: nil)
      }
      let value = String(halves[1])
      let isBoolean = value == "true" || value == "false"
      members.append(
        JSONMember(key, Int(value).map(JSON.integer) ?? (isBoolean ? .boolean(value == "true") : .string(value))))
    }
    try self.init(Field(.object(members), source: source))
  }

  /// Reads the `strategy` object of a run record.
  package init(_ field: Field) throws(DocumentError) {
    let degree = 1...1_048_576
    var fields = try field.fields()
    tensorDegree = try fields.optional("tensor")?.integer(in: degree)
    pipelineDegree = try fields.optional("pipeline")?.integer(in: degree)
    dataDegree = try fields.optional("data")?.integer(in: degree)
    virtualStageCount = try fields.optional("virtual_stages")?.integer(in: degree)
    microBatch = try fields.optional("micro_batch")?.integer(in: TrainingJob.Bounds.globalBatch)
    for key in ["context", "expert"] {
      if let other = fields.optional(key), try other.integer(in: degree) > 1 {
        throw other.conflict("\(key) parallelism is not supported yet")
      }
    }
    if let stage = try fields.optional("zero_stage")?.integer(in: 0...3) { zeroStage = .init(rawValue: stage) }
    if let fsdp = fields.optional("fsdp"), fsdp.isString {
      let stage = try fsdp.choice(of: FullySharded.self).zeroStage
      if let zeroStage, zeroStage != stage {
        throw fsdp.conflict("fsdp contradicts zero_stage \(zeroStage.rawValue)")
      }
      zeroStage = stage
    } else if let fsdp = fields.optional("fsdp"), try fsdp.boolean() {
      throw fsdp.error(
        expected: "false or one of \(FullySharded.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
    }
    weightDegree = try fields.optional("weight_shards")?.integer(in: degree)
    gradientDegree = try fields.optional("gradient_shards")?.integer(in: degree)
    optimizerDegree = try fields.optional("optimizer_shards")?.integer(in: degree)
    secondaryDegree = try fields.optional("secondary_shards")?.integer(in: degree)
    quantisesWeights = try fields.optional("quantise_weights")?.boolean()
    quantisesGradients = try fields.optional("quantise_gradients")?.boolean()
    recompute = try fields.optional("recompute")?.choice(of: Strategy.Recompute.self)
    usesSequenceParallelism = try fields.optional("sequence_parallel")?.boolean()
    usesFlashAttention = try fields.optional("flash_attention")?.boolean()
    overlapsGradientReduce = try fields.optional("overlap_gradient_reduce")?.boolean()
    if let offload = fields.optional("offload_optimizer") {
      guard try !offload.boolean() else {
        throw offload.conflict("which stages offload is for the search to choose; only false can be stated")
      }
      offloadsOptimizer = false
    }
    if let schedule = fields.optional("schedule") {
      let isInterleaved = try schedule.choice(of: ScheduleName.self) == .interleaved
      if !isInterleaved, let virtualStageCount, Strategy.Schedule(chunkCount: virtualStageCount).isInterleaved {
        throw schedule.conflict(
          "the schedule \"1f1b\" has no virtual stages, but virtual_stages is \(virtualStageCount)")
      }
    }
    try fields.finish()
  }

  /// PyTorch FSDP's sharding strategies, as the ZeRO stages they are.
  private enum FullySharded: String, CaseIterable {
    case fullShard = "FULL_SHARD"
    case shardGradOp = "SHARD_GRAD_OP"
    case fsdp2 = "FSDP2"

    var zeroStage: Strategy.ZeroStage { self == .shardGradOp ? .gradients : .weights }
  }

  private enum ScheduleName: String, CaseIterable {
    case oneForwardOneBackward = "1f1b"
    case interleaved = "1f1b-interleaved"
  }

  /// Whether a strategy agrees with every part that is stated.
  public func matches(_ strategy: Strategy) -> Bool {
    func agrees<Value: Equatable>(_ stated: Value?, _ value: Value) -> Bool { stated == nil || stated == value }
    return agrees(tensorDegree, strategy.tensorDegree) && agrees(pipelineDegree, strategy.pipelineDegree)
      && agrees(dataDegree, strategy.dataDegree) && agrees(virtualStageCount, strategy.virtualStageCount)
      && agrees(microBatch, strategy.microBatch) && agrees(zeroStage, strategy.zeroStage)
      && matches(strategy.sharding)
      && agrees(recompute, strategy.recompute) && agrees(usesSequenceParallelism, strategy.usesSequenceParallelism)
      && agrees(usesFlashAttention, strategy.usesFlashAttention)
      && agrees(overlapsGradientReduce, strategy.overlapsGradientReduce)
  }

  /// Whether shard degrees and what is quantised agree with every part that is stated.
  public func matches(_ sharding: Sharding) -> Bool {
    func agrees<Value: Equatable>(_ stated: Value?, _ value: Value) -> Bool { stated == nil || stated == value }
    return agrees(weightDegree, sharding.weightDegree) && agrees(gradientDegree, sharding.gradientDegree)
      && agrees(optimizerDegree, sharding.optimizerDegree) && agrees(secondaryDegree, sharding.secondaryDegree ?? 1)
      && agrees(quantisesWeights, sharding.quantisesWeights) && agrees(quantisesGradients, sharding.quantisesGradients)
  }

  /// Whether anything is stated of shard degrees or quantisation.
  public var statesSharding: Bool {
    weightDegree != nil || gradientDegree != nil || optimizerDegree != nil || secondaryDegree != nil
      || quantisesWeights != nil || quantisesGradients != nil
  }

  /// Shard degrees among so many replicas: what is stated, what follows, the rest as the ZeRO stage says; nil when nothing
  /// is stated.
  private func sharding(replicaCount: Int) -> Sharding? {
    guard statesSharding else { return nil }
    let plain = Sharding(zeroStage ?? .none, replicaCount: replicaCount)
    let weights = weightDegree ?? plain.weightDegree
    let gradients = gradientDegree ?? max(plain.gradientDegree, weights)
    return Sharding(
      weightDegree: weights, gradientDegree: gradients,
      optimizerDegree: optimizerDegree ?? (gradients > 1 ? replicaCount : plain.optimizerDegree),
      secondaryDegree: secondaryDegree.flatMap { $0 > 1 ? $0 : nil }, quantisesWeights: quantisesWeights ?? false,
      quantisesGradients: quantisesGradients ?? false)
  }

  /// The degree that is stated of an axis; nil where the search chooses.
  public func degree(of axis: Mesh.Axis) -> Int? {
    switch axis {
    case .tensor: tensorDegree
    case .pipeline: pipelineDegree
    case .data: dataDegree
    default: 1
    }
  }

  /// The strategy with the open parts at their plainest: degree 1, nothing sharded or recomputed, and the data degree
  /// whatever remains of the devices.
  public func completed(deviceCount: Int, flashAttention: Bool, overlap: Bool) -> Strategy {
    let tensor = tensorDegree ?? 1
    let pipeline = pipelineDegree ?? 1
    let divisor = tensor.multipliedReportingOverflow(by: pipeline)
    let rest = divisor.overflow ? 1 : Swift.max(1, deviceCount / divisor.partialValue)
    let sharding = sharding(replicaCount: dataDegree ?? rest)
    return Strategy(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: dataDegree ?? rest],
      schedule: Strategy.Schedule(chunkCount: virtualStageCount ?? 1), microBatch: microBatch ?? 1,
      zeroStage: zeroStage ?? .none,
      sharding: sharding, recompute: recompute ?? .none, usesSequenceParallelism: usesSequenceParallelism ?? false,
      usesFlashAttention: usesFlashAttention ?? flashAttention,
      overlapsGradientReduce: overlapsGradientReduce ?? overlap)
  }
}

extension StrategyPattern {
  /// The parts that are stated.
  public var json: JSON {
    object(
      ("tensor", tensorDegree.map(JSON.integer)), ("pipeline", pipelineDegree.map(JSON.integer)),
      ("data", dataDegree.map(JSON.integer)), ("virtual_stages", virtualStageCount.map(JSON.integer)),
      ("micro_batch", microBatch.map(JSON.integer)), ("zero_stage", zeroStage.map { .integer($0.rawValue) }),
      ("weight_shards", weightDegree.map(JSON.integer)), ("gradient_shards", gradientDegree.map(JSON.integer)),
      ("optimizer_shards", optimizerDegree.map(JSON.integer)), ("secondary_shards", secondaryDegree.map(JSON.integer)),
      ("quantise_weights", quantisesWeights.map(JSON.boolean)),
      ("quantise_gradients", quantisesGradients.map(JSON.boolean)),
      ("recompute", recompute.map { .string($0.rawValue) }),
      ("sequence_parallel", usesSequenceParallelism.map(JSON.boolean)),
      ("flash_attention", usesFlashAttention.map(JSON.boolean)),
      ("overlap_gradient_reduce", overlapsGradientReduce.map(JSON.boolean)),
      ("offload_optimizer", offloadsOptimizer.map(JSON.boolean)))
  }
}

extension Strategy {
  /// The `strategy` object of run records and plans, with shard degrees where they are not what the ZeRO stage says.
  public var json: JSON {
    let levels = shardLevels
    return object(
      ("tensor", .integer(tensorDegree)), ("pipeline", .integer(pipelineDegree)), ("data", .integer(dataDegree)),
      ("virtual_stages", .integer(virtualStageCount)), ("micro_batch", .integer(microBatch)),
      ("zero_stage", .integer(zeroStage.rawValue)), ("weight_shards", levels.map { .integer($0.weightDegree) }),
      ("gradient_shards", levels.map { .integer($0.gradientDegree) }),
      ("optimizer_shards", levels.map { .integer($0.optimizerDegree) }),
      ("secondary_shards", levels?.secondaryDegree.map(JSON.integer)),
      ("quantise_weights", levels.map { .boolean($0.quantisesWeights) }),
      ("quantise_gradients", levels.map { .boolean($0.quantisesGradients) }),
      ("recompute", .string(recompute.rawValue)),
      ("sequence_parallel", .boolean(usesSequenceParallelism)), ("flash_attention", .boolean(usesFlashAttention)),
      ("schedule", .string(schedule.name)),
      ("overlap_gradient_reduce", .boolean(overlapsGradientReduce)))
  }

  /// A whole strategy, every part stated.
  package init(_ field: Field) throws(DocumentError) {
    let pattern = try StrategyPattern(field)
    guard let tensor = pattern.tensorDegree, let pipeline = pattern.pipelineDegree, let data = pattern.dataDegree,
      let chunks = pattern.virtualStageCount, let microBatch = pattern.microBatch, let zero = pattern.zeroStage,
      let recompute = pattern.recompute, let sequence = pattern.usesSequenceParallelism,
      let flash = pattern.usesFlashAttention, let overlap = pattern.overlapsGradientReduce
    else { throw field.error(expected: "a strategy with every part stated") }
    let size = tensor.multipliedReportingOverflow(by: pipeline)
    guard !size.overflow, !size.partialValue.multipliedReportingOverflow(by: data).overflow else {
      throw field.error(expected: "degrees whose product can be counted")
    }
    let sharding = pattern.statesSharding ? try Self.sharding(pattern, zeroStage: zero, field: field) : nil
    self.init(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: data], schedule: Schedule(chunkCount: chunks),
      microBatch: microBatch, zeroStage: zero, sharding: sharding, recompute: recompute,
      usesSequenceParallelism: sequence,
      usesFlashAttention: flash, overlapsGradientReduce: overlap)
  }

  /// Shard degrees with every part stated but a secondary partition that there is not.
  private static func sharding(
    _ pattern: StrategyPattern, zeroStage: ZeroStage, field: Field
  ) throws(DocumentError) -> Sharding {
    guard let weights = pattern.weightDegree, let gradients = pattern.gradientDegree,
      let optimizer = pattern.optimizerDegree, let quantisesWeights = pattern.quantisesWeights,
      let quantisesGradients = pattern.quantisesGradients
    else { throw field.error(expected: "shard degrees with every part stated, or none of them") }
    let sharding = Sharding(
      weightDegree: weights, gradientDegree: gradients, optimizerDegree: optimizer,
      secondaryDegree: pattern.secondaryDegree.flatMap { $0 > 1 ? $0 : nil }, quantisesWeights: quantisesWeights,
      quantisesGradients: quantisesGradients)
    guard sharding.stage == zeroStage else {
      throw field.conflict(
        "shard degrees \(weights), \(gradients), \(optimizer) are not of ZeRO stage \(zeroStage.rawValue)")
    }
    return sharding
  }

  /// The keys of ``json`` as one line: `tensor=8,pipeline=4,…`, which `--strategy` reads.
  public var text: String {
    guard case .object(let members) = json else { return "" }
    return members.filter { $0.key != "schedule" }.map { member in
      switch member.value {
      case .string(let word): "\(member.key)=\(word)"
      default: "\(member.key)=\(member.value.text(style: .compact))"
      }
    }.joined(separator: ",")
  }
}
