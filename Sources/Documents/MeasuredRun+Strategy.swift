package import JSONText

extension MeasuredRun {
  /// What a run record says of how a strategy was run beside the strategy itself: software, routing.
  ///
  /// Read here are the bytes of a gradient; the rest is said of the run and bears on no price yet.
  package enum RunningKey: String, Sendable, CaseIterable {
    case gradientBytes = "gradient_bytes"
    case routing = "moe_routing"
    case graphs
    case attentionInFP8 = "fp8_attention"

    /// What it is, for schemas.
    package var summary: String {
      switch self {
      case .gradientBytes: "Size of an accumulated gradient in bytes; 2 in the weights' format."
      case .routing: "Whether experts' loads were balanced by force, cut to a capacity, or as they came; not priced."
      case .graphs: "What was launched by graphs; not priced."
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
  /// - Returns: the strategy alone, and bytes of a gradient where they are stated.
  static func running(_ field: Field) throws(DocumentError) -> (strategy: Field, gradientByteCount: Int?) {
    var fields = try field.fields()
    let bytes = try fields.optional(RunningKey.gradientBytes.rawValue)?.integer(in: 2...4)
    for key in [RunningKey.routing, .graphs] { _ = try fields.optional(key.rawValue)?.name() }
    _ = try fields.optional(RunningKey.attentionInFP8.rawValue)?.boolean()
    guard case .object(let members) = field.value else { return (field, bytes) }
    let own = members.filter { RunningKey(rawValue: $0.key) == nil }
    return (Field(.object(own), source: field.source, pointer: field.pointer), bytes)
  }
}
