package import JSONText

extension MeasuredRun {
  /// What a run record says of how a strategy was run beside the strategy itself: software, routing.
  ///
  /// Read here are the bytes of a gradient, what was launched by graphs, and whether experts took a fixed number of rows; the
  /// rest is said of the run and bears on no price yet.
  package enum RunningKey: String, Sendable, CaseIterable {
    case gradientBytes = "gradient_bytes"
    case routing = "moe_routing"
    case graphs
    case attentionInFP8 = "fp8_attention"

    /// What it is, for schemas.
    package var summary: String {
      switch self {
      case .gradientBytes: "Size of an accumulated gradient in bytes; 2 in the weights' format."
      case .routing:
        "Whether experts' loads were balanced by force (balanced), cut and padded to a capacity of their mean (drop), or as they came."
      case .graphs: "What was launched by graphs: none, router, partial or full-iteration."
      case .attentionInFP8: "Whether attention ran in FP8; not priced."
      }
    }

    /// Values that it may have, as a schema says it.
    package var schema: [JSONMember] {
      switch self {
      case .gradientBytes: [JSONMember("type", .strings(["integer", "null"]))]
      case .routing, .graphs: [JSONMember("type", .strings(["string", "null"]))]
      case .attentionInFP8: [JSONMember("type", .strings(["boolean", "null"]))]
      }
    }
  }

  /// Parts a record's strategy from what it says of how it was run.
  ///
  /// - Returns: the strategy alone, and the rest as far as it is stated.
  static func running(_ field: Field) throws(DocumentError) -> Running {
    var fields = try field.fields()
    let bytes = try fields.optional(RunningKey.gradientBytes.rawValue)?.integer(in: 2...4)
    let dropsTokens = try fields.optional(RunningKey.routing.rawValue)?.name() == "drop"
    let graphs = try fields.optional(RunningKey.graphs.rawValue)?.choice(of: LaunchGraphs.self)
    _ = try fields.optional(RunningKey.attentionInFP8.rawValue)?.boolean()
    var running = Running(
      strategy: field, gradientByteCount: bytes, graphs: graphs ?? .none,
      expertCapacity: dropsTokens ? ExpertCapacity(factor: 1, pads: true) : .none)
    if case .object(let members) = field.value {
      let own = members.filter { RunningKey(rawValue: $0.key) == nil }
      running.strategy = Field(.object(own), source: field.source, pointer: field.pointer)
    }
    return running
  }

  /// How a strategy was run, and the strategy alone.
  struct Running {
    var strategy: Field
    let gradientByteCount: Int?
    let graphs: LaunchGraphs
    let expertCapacity: ExpertCapacity
  }
}
