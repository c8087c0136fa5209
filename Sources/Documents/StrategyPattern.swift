public import JSONText

/// A strategy with some of its parts left open: what `--strategy`, `--fix` and a run record state.
public struct StrategyPattern: Sendable, Equatable {
  public var tensorDegree: Int?
  public var pipelineDegree: Int?
  public var dataDegree: Int?
  public var virtualStageCount: Int?
  public var microBatch: Int?
  public var zeroStage: Strategy.ZeroStage?
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
      if !isInterleaved, let virtualStageCount, virtualStageCount > 1 {
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
      && agrees(recompute, strategy.recompute) && agrees(usesSequenceParallelism, strategy.usesSequenceParallelism)
      && agrees(usesFlashAttention, strategy.usesFlashAttention)
      && agrees(overlapsGradientReduce, strategy.overlapsGradientReduce)
  }

  /// The strategy with the open parts at their plainest: degree 1, nothing sharded or recomputed, and the data degree
  /// whatever remains of the devices.
  public func completed(deviceCount: Int, flashAttention: Bool, overlap: Bool) -> Strategy {
    let tensor = tensorDegree ?? 1
    let pipeline = pipelineDegree ?? 1
    let divisor = tensor.multipliedReportingOverflow(by: pipeline)
    let rest = divisor.overflow ? 1 : Swift.max(1, deviceCount / divisor.partialValue)
    return Strategy(
      tensorDegree: tensor, pipelineDegree: pipeline, dataDegree: dataDegree ?? rest,
      virtualStageCount: virtualStageCount ?? 1, microBatch: microBatch ?? 1, zeroStage: zeroStage ?? .none,
      recompute: recompute ?? .none, usesSequenceParallelism: usesSequenceParallelism ?? false,
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
      ("recompute", recompute.map { .string($0.rawValue) }),
      ("sequence_parallel", usesSequenceParallelism.map(JSON.boolean)),
      ("flash_attention", usesFlashAttention.map(JSON.boolean)),
      ("overlap_gradient_reduce", overlapsGradientReduce.map(JSON.boolean)),
      ("offload_optimizer", offloadsOptimizer.map(JSON.boolean)))
  }
}

extension Strategy {
  /// The `strategy` object of run records and plans.
  public var json: JSON {
    object(
      ("tensor", .integer(tensorDegree)), ("pipeline", .integer(pipelineDegree)), ("data", .integer(dataDegree)),
      ("virtual_stages", .integer(virtualStageCount)), ("micro_batch", .integer(microBatch)),
      ("zero_stage", .integer(zeroStage.rawValue)), ("recompute", .string(recompute.rawValue)),
      ("sequence_parallel", .boolean(usesSequenceParallelism)), ("flash_attention", .boolean(usesFlashAttention)),
      ("schedule", .string(virtualStageCount > 1 ? "1f1b-interleaved" : "1f1b")),
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
    self.init(
      tensorDegree: tensor, pipelineDegree: pipeline, dataDegree: data, virtualStageCount: chunks,
      microBatch: microBatch, zeroStage: zero, recompute: recompute, usesSequenceParallelism: sequence,
      usesFlashAttention: flash, overlapsGradientReduce: overlap)
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
