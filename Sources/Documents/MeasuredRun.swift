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
    /// The same of each kind of node where words state several; else empty.
    package let interBytesPerSecondPerKind: [Double]
  }

  /// What came out: a time, a peak, both, or that the run failed.
  package struct Measurement: Sendable, Equatable {
    package let iterationSeconds: Double?
    /// Out of memory, or crashed.
    package let hasFailed: Bool
    package let peakBytes: Int?
    /// What is stated and cannot be used; the rest is.
    package let complaints: [DocumentError]

    /// Whether nothing is left to compare with.
    package var isEmpty: Bool { iterationSeconds == nil && peakBytes == nil && !hasFailed }
  }

  package let id: String
  /// Where the record stands: `runs.jsonl:12`.
  package let source: String
  package let family: String
  package let group: String?
  package let framework: String?
  /// The release that the framework's words end with.
  package var release: String? { framework.flatMap(DeviceProfile.Framework.Release.named) }
  package let tier: String?
  /// The workload, or the complaint why it cannot be described: a kind of attention, a size that was not stated.
  package let job: Result<TrainingJob, DocumentError>
  /// Whether it says what gradients are accumulated in.
  package let statesGradients: Bool
  /// Whether it says which layers have a window of attention.
  package let statesWindowedLayers: Bool
  package let machine: Machine
  /// The strategy as far as stated, or the complaint why it is not one of ours.
  package let strategy: Result<StrategyPattern, DocumentError>
  package let measured: Measurement
}

extension MeasuredRun {
  /// Whether its tier marks it as noisy (D) or as a model too small to judge (M).
  package var isMarked: Bool { tier == "D" || tier == "M" }

  /// Reads a file of run records, one JSON object a line.
  /// - Throws: `DocumentError` where the file cannot be read, or has no such record but other lines.
  package static func file(_ path: String) throws(DocumentError) -> RecordFile<MeasuredRun> {
    try RecordFile(contentsOf: path) { (field) throws(DocumentError) in try MeasuredRun(field) }
  }

  /// This record, left out for a reason.
  /// - Parameter isFault: `false` where nothing is wrong with the record itself.
  package func leftOut(_ reason: String, isFault: Bool = true) -> LeftOutRecord {
    LeftOutRecord(id: id, source: source, reason: reason, isFault: isFault)
  }

  /// What of its measurement cannot be used, though the rest can.
  package var unusedParts: [LeftOutRecord] { measured.complaints.map { leftOut($0.reason) } }

  /// Why there is nothing to compare a prediction with; nil where there is something.
  package var reasonNotComparable: String? {
    guard measured.isEmpty else { return nil }
    return measured.complaints.isEmpty
      ? "nothing was measured" : measured.complaints.map(\.reason).joined(separator: "; ")
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.run)
    source = field.source
    id = try fields.required("id").name()
    family = try fields.required("family").name()
    group = try fields.optional("group")?.name()
    framework = try fields.optional("framework")?.name()
    tier = try fields.optional("tier")?.name()
    machine = try Machine(fields.required("cluster"))
    measured = Measurement(of: &fields)
    let strategyField = try fields.required("strategy")
    _ = try strategyField.fields()
    let running = Result { () throws(DocumentError) in try Self.running(strategyField) }
    strategy = Result { () throws(DocumentError) in try StrategyPattern(running.get().strategy) }
    let howRun = try? running.get()
    statesGradients = howRun?.gradientByteCount != nil || fields.optional("gradient_accumulation_precision") != nil
    var model = try? fields.optional("model")?.fields()
    var attention = try? model?.optional("attention")?.fields()
    statesWindowedLayers = attention?.optional("full_attention_layers") != nil
    let isolated = fields, software = framework
    job = Result { () throws(DocumentError) in
      var fields = isolated
      var job = try Self.job(
        &fields, gradientByteCount: howRun?.gradientByteCount, framework: software.flatMap(Capabilities.named))
      job.graphs = howRun?.graphs ?? .none
      if job.model.experts != nil { job.expertCapacity = howRun?.expertCapacity ?? .none }
      return job
    }
  }

  private static func job(
    _ fields: inout Fields, gradientByteCount: Int?, framework: Capabilities?
  ) throws(DocumentError) -> TrainingJob {
    let modelField = try fields.required("model")
    var shapes = try modelField.fields()
    let sequenceLength = try fields.required("sequence_length").integer(in: TrainingJob.Bounds.sequenceLength)
    let model = try ModelDescription(ofRun: &shapes, sequenceLength: sequenceLength)
    let precisionField = try fields.required("precision")
    // FP8 by itself is the recipe that a framework's users mean, Transformer Engine's first where no table says.
    let precision =
      try precisionField.string() == "fp8"
      ? framework?.plainFP8 ?? .fp8Delayed : precisionField.choice(of: Precision.self)
    let gradients = try fields.optional("gradient_accumulation_precision")?.choice(of: Precision.self)
    // Adam where it is not stated, with the states that frameworks keep unless told otherwise.
    let optimizer = try fields.optional("optimizer").map { (field) throws(DocumentError) in
      try Optimizer(field, precision: precision)
    }
    do {
      return try TrainingJob(
        model: model, sequenceLength: sequenceLength,
        globalBatch: fields.required("global_batch").integer(in: TrainingJob.Bounds.globalBatch),
        precision: precision,
        // Where it is not stated: fp32 accumulation is the rule under bf16 and the exception under fp16.
        accumulatesGradientsInFP32: gradients.map { !$0.is16Bit } ?? gradientByteCount.map { $0 == 4 }
          ?? (precision != .fp16),
        optimizer: optimizer ?? .adam)
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
    interBytesPerSecondPerKind = Self.rates(inWords: try fields.optional("inter")?.string() ?? "")
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
  /// What is stated under `measured`: each part by itself, so that one that makes no sense leaves the others.
  fileprivate init(of record: inout Fields) {
    var complaints: [DocumentError] = []
    func read<Value>(_ value: () throws(DocumentError) -> Value?) -> Value? {
      do throws(DocumentError) {
        return try value()
      } catch {
        complaints.append(error)
        return nil
      }
    }
    let field = read { () throws(DocumentError) in try record.required("measured") }
    var fields = read { () throws(DocumentError) in try field?.fields() }
    let seconds = read { () throws(DocumentError) in try fields?.optional("iteration_seconds")?.positiveNumber() }
    let failed = read { () throws(DocumentError) in try fields?.optional("failed")?.boolean() }
    let peak = read { () throws(DocumentError) in
      try fields?.optional("peak_bytes")?.integer(in: 1...1_000_000_000_000_000)
    }
    let contradicts = seconds != nil && failed == true
    if contradicts, let field {
      complaints.append(field.error(expected: "either iteration_seconds or \"failed\": true"))
    }
    iterationSeconds = contradicts ? nil : seconds
    hasFailed = !contradicts && failed == true
    peakBytes = contradicts ? nil : peak
    self.complaints = complaints
  }
}
