import Documents
import JSONText
import TestSupport
import Testing

/// The keys that a target reads, with their types: facts from its sources, which every file of ours is checked against.
struct TargetTable {
  private let keys: [String: JSON]

  /// - Parameter name: of a file in `Inputs/targets`.
  init(_ name: String) throws {
    let path = "\(Shipped.root)/Tests/LaunchTests/Inputs/targets/\(name).json"
    let field = try parse(readFile(at: path, maximumByteCount: 1 << 20), source: path)
    var fields = try field.fields()
    _ = try fields.required("source").string()
    guard case .object(let members) = try fields.required("keys").value else { throw field.error(expected: "keys") }
    keys = Dictionary(uniqueKeysWithValues: members.map { ($0.key, $0.value) })
  }

  /// Records an issue for a key that the target does not read, or a value that is not of its type.
  func check(_ key: String, _ value: JSON, _ comment: String) {
    guard let type = keys[key] else {
      Issue.record("\(key) is no key of the target: \(comment)")
      return
    }
    #expect(Self.admits(type, value), "\(key) is \(value.briefDescription), not \(type.briefDescription): \(comment)")
  }

  /// The same for every leaf of an object whose inner objects are sections.
  func check(_ value: JSON, below prefix: String, _ comment: String) {
    guard case .object(let members) = value else { return }
    for member in members {
      let key = prefix.isEmpty ? member.key : "\(prefix).\(member.key)"
      if case .object = member.value {
        check(member.value, below: key, comment)
      } else {
        check(key, member.value, comment)
      }
    }
  }

  private static func admits(_ type: JSON, _ value: JSON) -> Bool {
    switch (type, value) {
    case (.array(let choices), _): choices.contains(value)
    case (.string("integer"), .integer), (.string("boolean"), .boolean), (.string("text"), .string): true
    case (.string("number"), .integer), (.string("number"), .number), (.string("list"), .array): true
    case (_, .null), (.string("any"), _), (.string("object"), .object): true
    default: false
    }
  }
}
