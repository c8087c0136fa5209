package import JSONText

/// The kinds of document, each with its major version; the value of the `schema` key.
package enum DocumentSchema: String, Sendable, CaseIterable {
  case cluster = "sextant.cluster/1"
  case links = "sextant.links/1"
  case device = "sextant.device/1"
  case model = "sextant.model/1"
  case job = "sextant.job/1"
  case plan = "sextant.plan/2"
  case run = "sextant.run/1"
  case collective = "sextant.collective/1"
  case configuration = "sextant.configuration/1"

  /// What plans were before they held their whole question; it is read.
  static let firstPlan = "sextant.plan/1"
}

/// Reads the document in a file.
///
/// - Parameters:
///   - path: the file; also what messages call it.
///   - decode: makes the value of the document's root.
/// - Throws: `DocumentError` for what is unreadable, broken or meaningless.
package func readDocument<Value>(
  at path: String, decode: (Field) throws(DocumentError) -> Value
) throws(DocumentError) -> Value {
  let bytes: [UInt8]
  do {
    bytes = try readFile(at: path, maximumByteCount: JSONLimits.standard.byteCount)
  } catch {
    throw DocumentError(source: path, location: "", expected: error.reason, found: nil)
  }
  return try decode(parse(bytes, source: path))
}

/// The lines of a file of documents, one a line, each with its place, `runs.jsonl:12`; empty lines are skipped.
/// - Throws: `DocumentError` where the file cannot be read.
func documentLines(of path: String) throws(DocumentError) -> [(source: String, bytes: [UInt8])] {
  let bytes: [UInt8]
  do {
    bytes = try readFile(at: path, maximumByteCount: 1 << 30)
  } catch {
    throw DocumentError(source: path, location: "", expected: error.reason, found: nil)
  }
  return bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated().compactMap { index, line in
    let isEmpty = line.allSatisfy { $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }
    return isEmpty ? nil : ("\(path):\(index + 1)", Array(line))
  }
}

/// The folder of a document, to which paths inside it are relative.
func folder(of path: String) -> String {
  let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
  return folder.isEmpty && !path.hasPrefix("/") ? "." : folder
}

/// Parses the bytes of a document called `source` in messages.
package func parse(_ bytes: [UInt8], source: String) throws(DocumentError) -> Field {
  do {
    return Field(try JSON(parsing: bytes), source: source)
  } catch {
    throw DocumentError(
      source: source, location: "line \(error.line), column \(error.column)", expected: "\(error.reason)", found: nil)
  }
}

/// Builds an object, leaving out the members without a value.
package func object(_ members: (String, JSON?)...) -> JSON {
  .object(members.compactMap { key, value in value.map { JSONMember(key, $0) } })
}

extension JSON {
  package static func strings(_ values: [String]) -> JSON { .array(values.map(JSON.string)) }
  package static func integers(_ values: some Sequence<Int>) -> JSON { .array(values.map(JSON.integer)) }
}
