import Documents
import JSONText
import TestSupport

/// The folders of the goldens.
enum GoldenFolder {
  private static let root = Shipped.root + "/Tests/GoldenTests"
  /// The questions: they are written by hand or were drawn once, and no run changes them.
  static let inputs = root + "/Inputs"
  /// The answers of the code that recorded them.
  static let recorded = root + "/Recorded"
}

/// A job on a cluster, by the names of its parts.
struct WorkloadInput {
  /// A shipped name, or the name of a file in the goldens' own inputs, which ends in `.json`.
  let cluster: String
  /// A shipped name.
  let model: String
  let sequenceLength: Int
  let globalBatch: Int
  let precision: Precision
  /// A framework of the device profile; nil takes the first.
  let framework: String?
}

/// A strategy to be priced: one line of `Inputs/strategies.jsonl`.
struct StrategyInput {
  let id: String
  let workload: WorkloadInput
  /// The nodes in the layout's places; nil is the cluster's order.
  let nodeOrder: [Int]?
  /// In the form that `--strategy` reads.
  let strategy: String
  /// Layers of each virtual stage.
  let layers: [Int]
  /// Recomputed layers of each chunk of every stage; nil where stages do as the strategy says.
  let recomputed: [Int]?
  /// Whether each stage offloads its optimizer states; stated together with `recomputed`.
  let offloads: [Bool]?
  /// What stages may choose in the bound that leaves them free.
  let choosesRecomputation: Bool
  let choosesOffload: Bool
  /// Bytes that stages may take in that bound beyond what has headroom.
  let extraBytes: Int

  static func all() throws -> [StrategyInput] {
    try RecordFile(contentsOf: GoldenFolder.inputs + "/strategies.jsonl") { (field) throws(DocumentError) in
      try StrategyInput(field)
    }.lines.map { try $0.get() }
  }
}

/// A search: one line of `Inputs/searches.jsonl`.
struct SearchInput {
  /// Also the name of the plan's file.
  let id: String
  let workload: WorkloadInput
  /// In the form that `--fix` reads.
  let fixed: String
  /// The accepted relative error of quantised collectives; nil allows none.
  let tolerance: Double?

  static func all() throws -> [SearchInput] {
    try RecordFile(contentsOf: GoldenFolder.inputs + "/searches.jsonl") { (field) throws(DocumentError) in
      try SearchInput(field)
    }.lines.map { try $0.get() }
  }
}

extension WorkloadInput {
  init(_ fields: inout Fields) throws(DocumentError) {
    cluster = try fields.required("cluster").name()
    model = try fields.required("model").name()
    sequenceLength = try fields.required("sequence_length").integer(in: TrainingJob.Bounds.sequenceLength)
    globalBatch = try fields.required("global_batch").integer(in: TrainingJob.Bounds.globalBatch)
    precision = try fields.required("precision").choice(of: Precision.self)
    framework = try fields.optional("framework")?.name()
  }
}

extension StrategyInput {
  init(_ field: Field) throws(DocumentError) {
    func array<Value>(
      _ field: Field?, of element: (Field) throws(DocumentError) -> Value
    ) throws(DocumentError) -> [Value]? {
      guard let field else { return nil }
      var values: [Value] = []
      for entry in try field.array() { values.append(try element(entry)) }
      return values
    }
    func integer(_ field: Field) throws(DocumentError) -> Int { try field.integer(in: 0...1_048_576) }
    func boolean(_ field: Field) throws(DocumentError) -> Bool { try field.boolean() }
    var fields = try field.fields()
    id = try fields.required("id").name()
    workload = try WorkloadInput(&fields)
    nodeOrder = try array(fields.optional("node_order"), of: integer)
    strategy = try fields.required("strategy").string()
    layers = try array(fields.required("layers"), of: integer) ?? []
    recomputed = try array(fields.optional("recomputed"), of: integer)
    offloads = try array(fields.optional("offloads"), of: boolean)
    choosesRecomputation = try fields.optional("chooses_recomputation")?.boolean() ?? false
    choosesOffload = try fields.optional("chooses_offload")?.boolean() ?? false
    extraBytes = try fields.optional("extra_bytes")?.integer(in: -1_000_000_000_000...1_000_000_000_000) ?? 0
    try fields.finish()
  }
}

extension SearchInput {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    id = try fields.required("id").name()
    workload = try WorkloadInput(&fields)
    fixed = try fields.optional("fixed")?.string() ?? ""
    tolerance = try fields.optional("tolerance")?.fraction()
    try fields.finish()
  }
}
