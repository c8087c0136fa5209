import CJSONC

/// How a value is laid out as text.
package enum JSONStyle: Sendable {
  /// One line without spaces and without a line feed at its end, as JSON Lines needs it.
  case compact

  /// For people: two spaces of indentation, arrays of scalars on one line, a line feed at the end.
  case pretty
}

extension JSON {
  /// The JSON text of the value: the same bytes for the same value, everywhere.
  ///
  /// A number is written in the shortest form that reads back as the same double, always with a decimal point or an
  /// exponent, so that it reads back as ``JSON/number(_:)``. `/` and non-ASCII characters stand for themselves.
  /// A string with more than 30 combining marks in a row is written and cannot be read back.
  ///
  /// - Complexity: O(length of the text).
  /// - Precondition: every number is finite; no object has two equal keys or a key with U+0000; nesting is at most
  ///   ``JSONLimits/greatestDepth``; the text of all strings together is below 300 MB, as json-c counts in 32 bits.
  package func text(style: JSONStyle) -> String {
    switch style {
    case .compact: return compactText
    case .pretty:
      var text = ""
      appendPretty(to: &text, depth: 0)
      return text + "\n"
    }
  }

  /// The text of the value on one line, by json-c.
  ///
  /// The corresponding C function is `json_object_to_json_string_length`.
  private var compactText: String {
    var textByteCountBound = 0
    let node = jsonCNode(depth: 0, textByteCountBound: &textByteCountBound)
    defer { json_object_put(node) }
    // json-c drops what does not fit its buffer without a word.
    precondition(textByteCountBound < Int(Int32.max), "the text would be too long for json-c")
    var byteCount = 0
    // A null pointer is json-c's `null`, and is written as such.
    guard
      let start = json_object_to_json_string_length(
        node, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &byteCount)
    else { preconditionFailure("json-c is out of memory") }
    return String(decoding: UnsafeRawBufferPointer(start: start, count: byteCount), as: UTF8.self)
  }

  /// The value as a tree of json-c, which the caller frees; nil is `null`.
  ///
  /// Adds to `textByteCountBound` at least as many bytes as json-c will write.
  private func jsonCNode(depth: Int, textByteCountBound: inout Int) -> OpaquePointer? {
    // Every scalar but a string is shorter than this, its comma included.
    textByteCountBound += 32
    let node: OpaquePointer?
    switch self {
    case .null: return nil
    case .boolean(let value): node = json_object_new_boolean(value ? 1 : 0)
    case .integer(let value): node = json_object_new_int64(Int64(value))
    case .number(let value):
      precondition(value.isFinite, "JSON has no text for the number \(value)")
      node = json_object_new_double_s(value, value.description)
    case .string(let value):
      var value = value
      node = value.withUTF8 { utf8 in
        textByteCountBound += Self.boundOfEscapedByteCount(utf8.count)
        return utf8.withMemoryRebound(to: CChar.self) {
          // An empty buffer may have no address, and json-c would copy from it.
          $0.isEmpty
            ? json_object_new_string("")
            : json_object_new_string_len($0.baseAddress, Int32($0.count))
        }
      }
    case .array(let elements):
      Self.checkDepth(depth + 1)
      // Without a size, json-c makes room for 32 elements in every array.
      node = json_object_new_array_ext(Int32(max(elements.count, 1)))
      for element in elements {
        let added = json_object_array_add(
          node, element.jsonCNode(depth: depth + 1, textByteCountBound: &textByteCountBound))
        precondition(added == 0, "json-c is out of memory")
      }
    case .object(let members):
      Self.checkDepth(depth + 1)
      Self.checkKeys(of: members)
      node = json_object_new_object()
      for member in members {
        textByteCountBound += Self.boundOfEscapedByteCount(member.key.utf8.count)
        let added = json_object_object_add(
          node, member.key,
          member.value.jsonCNode(depth: depth + 1, textByteCountBound: &textByteCountBound))
        precondition(added == 0, "json-c is out of memory")
      }
    }
    guard let node else { preconditionFailure("json-c is out of memory") }
    return node
  }

  /// The most bytes a string of `utf8Count` bytes can have as text, every byte a `\u` escape.
  private static func boundOfEscapedByteCount(_ utf8Count: Int) -> Int {
    precondition(utf8Count < Int(Int32.max) / 6, "the text would be too long for json-c")
    return utf8Count * 6
  }

  /// Appends the value in the pretty style, whose layout json-c cannot make; `depth` arrays and objects are open.
  private func appendPretty(to text: inout String, depth: Int) {
    switch self {
    case .array(let elements) where elements.contains(where: \.isContainer):
      let indentation = String(repeating: "  ", count: depth)
      Self.checkDepth(depth + 1)
      for (index, element) in elements.enumerated() {
        text += index == 0 ? "[\n  \(indentation)" : ",\n  \(indentation)"
        element.appendPretty(to: &text, depth: depth + 1)
      }
      text += "\n\(indentation)]"
    case .array(let scalars):
      Self.checkDepth(depth + 1)
      text += "["
      for (index, scalar) in scalars.enumerated() {
        if index > 0 { text += ", " }
        text += scalar.compactText
      }
      text += "]"
    case .object(let members) where !members.isEmpty:
      let indentation = String(repeating: "  ", count: depth)
      Self.checkDepth(depth + 1)
      Self.checkKeys(of: members)
      for (index, member) in members.enumerated() {
        text += index == 0 ? "{\n  \(indentation)" : ",\n  \(indentation)"
        text += JSON.string(member.key).compactText
        text += ": "
        member.value.appendPretty(to: &text, depth: depth + 1)
      }
      text += "\n\(indentation)}"
    case .null, .boolean, .integer, .number, .string, .object: text += compactText
    }
  }

  private var isContainer: Bool {
    switch self {
    case .array, .object: true
    case .null, .boolean, .integer, .number, .string: false
    }
  }

  private static func checkDepth(_ depth: Int) {
    precondition(
      depth <= JSONLimits.greatestDepth,
      "JSON text cannot be nested deeper than \(JSONLimits.greatestDepth)")
  }

  /// Traps on what json-c would silently merge or cut off.
  private static func checkKeys(of members: [JSONMember]) {
    precondition(
      Set(members.lazy.map(\.key)).count == members.count, "an object has two members of one key")
    precondition(
      !members.contains { $0.key.utf8.contains(0) }, "a key of an object contains U+0000")
  }
}
