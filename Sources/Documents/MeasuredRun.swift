import JSONText

/// One real training run that somebody measured: a line of a run record file (`sextant.run/1`).
///
/// Unlike other documents a record may have keys that are not read, since those who publish runs state all sorts of
/// things; what is not stated stays nil, to be assumed openly or not at all.
package struct MeasuredRun: Sendable {
  /// The machine as far as the record states it.
  package struct Machine: Sendable, Equatable {
    /// Name of a device profile.
    package let device: String
    package let nodeCount: Int
    package let devicesPerNode: Int
    package let deviceCount: Int
    /// Nominal, one direction.
    package let intraBytesPerSecondPerDevice: Double?
    /// Links to other devices of the node, where words state their count instead of a rate: `4 inter-GPU connects`.
    package let intraLinkCount: Int?
    /// Nominal, one direction.
    package let interBytesPerSecondPerNode: Double?
  }

  /// What came out.
  package struct Measurement: Sendable, Equatable {
    package let iterationSeconds: Double?
    /// Out of memory, or crashed.
    package let hasFailed: Bool
    package let peakBytes: Int?
  }

  package let id: String
  package let family: String
  package let group: String?
  package let framework: String?
  package let tier: String?
  /// The workload, or the complaint why it cannot be described: a model of experts, a size that was not stated.
  package let job: Result<TrainingJob, DocumentError>
  package let machine: Machine
  /// The strategy as far as stated, or the complaint why it is not one of ours.
  package let strategy: Result<StrategyPattern, DocumentError>
  package let measured: Measurement
}

extension MeasuredRun {
  /// Whether its tier marks it as noisy (D) or as a model too small to judge (M).
  package var isMarked: Bool { tier == "D" || tier == "M" }

  /// Reads a file of run records, one JSON object a line; empty lines are skipped.
  /// - Throws: `DocumentError` that names the line.
  package static func runs(contentsOf path: String) throws(DocumentError) -> [MeasuredRun] {
    try readLines(of: path) { (field) throws(DocumentError) in try MeasuredRun(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.run)
    id = try fields.required("id").name()
    family = try fields.required("family").name()
    group = try fields.optional("group")?.name()
    framework = try fields.optional("framework")?.name()
    tier = try fields.optional("tier")?.name()
    machine = try Machine(fields.required("cluster"))
    measured = try Measurement(fields.required("measured"))
    let strategyField = try fields.required("strategy")
    _ = try strategyField.fields()
    strategy = Result { () throws(DocumentError) in try StrategyPattern(strategyField) }
    let isolated = fields
    job = Result { () throws(DocumentError) in
      var fields = isolated
      return try Self.job(&fields)
    }
  }

  private static func job(_ fields: inout Fields) throws(DocumentError) -> TrainingJob {
    let modelField = try fields.required("model")
    var shapes = try modelField.fields()
    if let experts = shapes.optional("moe") {
      throw experts.conflict("mixture-of-experts models are not supported yet")
    }
    if let attention = shapes.optional("attention") {
      throw attention.error(expected: "plain attention, the only kind that is supported")
    }
    let sequenceLength = try fields.required("sequence_length").integer(in: TrainingJob.Bounds.sequenceLength)
    let model = try ModelDescription(
      shapesIn: &shapes, name: shapes.required("name").name(), sequenceLength: sequenceLength)
    let precisionField = try fields.required("precision")
    let precision = try precisionField.choice(of: Precision.self)
    let gradients = try fields.optional("gradient_accumulation_precision")?.choice(of: Precision.self)
    do {
      return try TrainingJob(
        model: model, sequenceLength: sequenceLength,
        globalBatch: fields.required("global_batch").integer(in: TrainingJob.Bounds.globalBatch),
        precision: precision,
        // Where it is not stated: fp32 accumulation is the rule under bf16 and the exception under fp16.
        accumulatesGradientsInFP32: gradients.map { $0 == .fp32 } ?? (precision != .fp16))
    } catch let contradiction as TrainingJob.Contradiction {
      throw modelField.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a job is refused by a contradiction or a document error only")
    }
  }
}

extension MeasuredRun.Machine {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    device = try fields.required("device").name()
    nodeCount = try fields.required("nodes").integer(in: 1...131_072)
    devicesPerNode = try fields.required("devices_per_node").integer(in: 1...1_024)
    deviceCount =
      try fields.optional("devices")?.integer(in: 1...(nodeCount * devicesPerNode)) ?? nodeCount * devicesPerNode
    intraBytesPerSecondPerDevice = try fields.optional("intra_bytes_per_second_per_device")?.positiveNumber()
    intraLinkCount = Self.linkCount(inWords: try fields.optional("intra")?.string() ?? "")
    interBytesPerSecondPerNode = try fields.optional("inter_bytes_per_second_per_node")?.positiveNumber()
  }
}

extension MeasuredRun.Machine {
  /// The number before "inter-GPU connects" of an NVLink node; nil when the words do not say it.
  private static func linkCount(inWords words: String) -> Int? {
    guard words.hasPrefix("NVLink") else { return nil }
    let parts = words.split { !$0.isLetter && !$0.isNumber && $0 != "-" }
    for index in parts.indices.dropFirst(2) where parts[index] == "connects" && parts[index - 1] == "inter-GPU" {
      return Int(parts[index - 2]).flatMap { (1...64).contains($0) ? $0 : nil }
    }
    return nil
  }
}

extension MeasuredRun.Measurement {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    iterationSeconds = try fields.optional("iteration_seconds")?.positiveNumber()
    hasFailed = try fields.optional("failed")?.boolean() ?? false
    peakBytes = try fields.optional("peak_bytes")?.integer(in: 1...1_000_000_000_000_000)
    guard (iterationSeconds != nil) != hasFailed else {
      throw field.error(expected: "either iteration_seconds or \"failed\": true")
    }
  }
}
