/// Records that could not be used: counted, and listed by id under the reason.
struct LeftOutRecords {
  /// By reason, the most frequent first.
  private let groups: [(reason: String, ids: [String])]

  init(_ records: [(id: String, reason: String)]) {
    groups = Dictionary(grouping: records, by: \.reason).map { ($0.key, $0.value.map(\.id)) }
      .sorted { ($1.ids.count, $0.reason) < ($0.ids.count, $1.reason) }
  }

  /// One line a reason; empty without records.
  var text: String {
    guard !groups.isEmpty else { return "" }
    let count = groups.reduce(0) { $0 + $1.ids.count }
    return "\(Format.count(count)) records are left out:\n"
      + groups.map { "  \($0.ids.count) × \($0.reason): \($0.ids.joined(separator: ", "))\n" }.joined()
  }
}
