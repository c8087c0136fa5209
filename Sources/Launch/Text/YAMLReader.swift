package import Documents
import JSONText
import Yams

/// Reads a YAML document as the JSON value that it says, for those who read settings by key.
///
/// - Throws: `DocumentError` with the line of what is broken, of a key that is no text or stands twice, and of a document
///   that aliases blow up.
package func parseYAML(_ text: String, source: String) throws(DocumentError) -> Field {
  try refuseDepth(of: text, source: source)
  let node: Node
  do {
    guard let composed = try Yams.compose(yaml: text) else {
      throw DocumentError(source: source, location: "", expected: "expected a YAML document", found: "nothing")
    }
    node = composed
  } catch let error as DocumentError {
    throw error
  } catch {
    throw DocumentError(source: source, location: "", expected: "expected YAML: \("\(error)".oneLine)", found: nil)
  }
  var reader = YAMLReader(source: source)
  return Field(try reader.json(of: node), source: source)
}

/// Refuses nesting that a reader that calls itself would not survive.
private func refuseDepth(of text: String, source: String) throws(DocumentError) {
  var depth = 0
  for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
    for byte in line.utf8 {
      if "[{".utf8.contains(byte) { depth += 1 }
      if "]}".utf8.contains(byte) { depth = max(0, depth - 1) }
    }
    guard depth <= 64, line.prefix(while: { " -?:\t".contains($0) }).count <= 200 else {
      throw DocumentError(
        source: source, location: "line \(index + 1)", expected: "expected at most 64 levels of nesting", found: nil)
    }
  }
}

private struct YAMLReader {
  let source: String
  private var nodeCount = 0
  private static let nodeLimit = 100_000

  init(source: String) { self.source = source }

  mutating func json(of node: Node) throws(DocumentError) -> JSON {
    nodeCount += 1
    guard nodeCount <= Self.nodeLimit else { throw broken(node, "at most \(Self.nodeLimit) values") }
    switch node {
    case .mapping(let mapping):
      var members: [JSONMember] = []
      var keys: Set<String> = []
      for (keyNode, value) in mapping {
        guard case .scalar(let scalar) = keyNode, !scalar.string.unicodeScalars.contains("\0") else {
          throw broken(keyNode, "a key that is text")
        }
        guard keys.insert(scalar.string).inserted else {
          throw broken(keyNode, "a key that stands once, not \"\(scalar.string.oneLine)\" again")
        }
        members.append(JSONMember(scalar.string, try json(of: value)))
      }
      return .object(members)
    case .sequence(let sequence):
      var values: [JSON] = []
      for value in sequence { values.append(try json(of: value)) }
      return .array(values)
    case .scalar(let scalar):
      let isQuoted = scalar.style == .singleQuoted || scalar.style == .doubleQuoted
      return isQuoted ? .string(scalar.string) : value(of: node, text: scalar.string)
    case .alias: throw broken(node, "values, not aliases")
    }
  }

  /// YAML's own reading of an unquoted word; quoted ones are text.
  private func value(of node: Node, text: String) -> JSON {
    if node.null != nil { return .null }
    if let flag = node.bool { return .boolean(flag) }
    if let integer = node.int { return .integer(integer) }
    if let number = node.float, number.isFinite { return .number(number) }
    return .string(text)
  }

  private func broken(_ node: Node, _ expected: String) -> DocumentError {
    DocumentError(
      source: source, location: node.mark.map { "line \($0.line), column \($0.column)" } ?? "",
      expected: "expected \(expected)", found: nil)
  }
}
