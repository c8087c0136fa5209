import ArgumentParser
import Documents
import JSONText

/// Records that could not be used, or not as a whole: counted, and listed by id and line under the reason.
struct LeftOutRecords {
  /// By reason, the most frequent first.
  private let groups: [(reason: String, names: [String])]
  /// What has become of them: `left out`.
  private let what: String

  /// - Parameter what: what has become of them, to follow "12 records are".
  init(_ records: [LeftOutRecord], what: String = "left out") {
    groups = Dictionary(grouping: records, by: \.reason).map { ($0.key, $0.value.map(\.name)) }
      .sorted { ($1.names.count, $0.reason) < ($0.names.count, $1.reason) }
    self.what = what
  }

  /// Those of which a part is not used, though the rest is.
  static func usedInPart(_ parts: [LeftOutRecord]) -> LeftOutRecords {
    LeftOutRecords(parts, what: "used but for a part")
  }

  /// One line a reason; empty without records.
  var text: String {
    guard !groups.isEmpty else { return "" }
    let count = groups.reduce(0) { $0 + $1.names.count }
    return "\(Format.count(count, of: "record")) \(count == 1 ? "is" : "are") \(what):\n"
      + groups.map { "  \($0.names.count) × \($0.reason): \($0.names.joined(separator: ", "))\n" }.joined()
  }

  /// A list for programs: `id` (null where the line does not tell it), `source` and `reason` of each.
  static func json(_ records: [LeftOutRecord]) -> JSON {
    .array(
      records.map {
        .object([
          JSONMember("id", $0.id.map(JSON.string) ?? .null), JSONMember("source", .string($0.source)),
          JSONMember("reason", .string($0.reason)),
        ])
      })
  }
}

/// What to do about records that cannot be used.
struct StrictOption: ParsableArguments {
  @Flag(
    help: """
      Stop at the first record that cannot be used as it stands (exit 65), and write nothing; else such records are \
      listed by id and line, and the others are used.
      """)
  var strict = false

  /// With `--strict`, refuses records with something wrong.
  func check(_ records: [LeftOutRecord]) throws {
    let faults = strict ? records.filter(\.isFault) : []
    guard let first = faults.first else { return }
    let others = faults.count == 1 ? "" : "; with --strict, and so are \(Format.count(faults.count - 1)) more"
    throw complaint(first.complaint + others, .badInput)
  }
}
