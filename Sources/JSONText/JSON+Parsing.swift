import CJSONC

extension JSON {
  /// Reads a JSON document.
  ///
  /// json-c does the parsing; what it would let pass, ``JSONScanner`` has refused before.
  ///
  /// - Complexity: O(bytes) in time and memory; ``JSONLimits`` says how much memory that can be.
  /// - Throws: ``JSONSyntaxError`` for the first fault of the text, with its line and column.
  package init(parsing bytes: [UInt8], limits: JSONLimits = .standard) throws(JSONSyntaxError) {
    guard bytes.count <= limits.byteCount else {
      throw JSONSyntaxError(
        line: 1, column: 1, reason: .tooLong(byteCount: bytes.count, limit: limits.byteCount))
    }
    let scanner = try JSONScanner(scanning: bytes, limits: limits)
    self = try Self.parsed(bytes, depth: limits.depth, wideIntegers: scanner.wideIntegers)
  }

  /// Parses with json-c and copies the result out; every object of json-c is freed before this returns.
  private static func parsed(
    _ bytes: [UInt8], depth: Int, wideIntegers: [JSON]
  ) throws(JSONSyntaxError) -> JSON {
    // json-c counts one level more than the brackets that are open, for the scalar inside of them.
    guard let tokener = json_tokener_new_ex(Int32(depth) + 1) else {
      throw JSONSyntaxError(.refusedByParser("out of memory"), at: 0, in: bytes)
    }
    defer { json_tokener_free(tokener) }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8)
    var root = bytes.withUnsafeBytes { buffer in
      json_tokener_parse_ex(
        tokener, buffer.bindMemory(to: CChar.self).baseAddress, Int32(buffer.count))
    }
    if json_tokener_get_error(tokener) == json_tokener_continue {
      // A number at the end of the text could go on, for all json-c knows: a NUL tells it that it does not.
      root = json_tokener_parse_ex(tokener, "", 1)
    }
    // Not the pointer: `null` is a null pointer and no error.
    let outcome = json_tokener_get_error(tokener)
    defer { json_object_put(root) }
    guard outcome == json_tokener_success else {
      throw JSONSyntaxError(
        .refusedByParser(String(cString: json_tokener_error_desc(outcome))),
        at: json_tokener_get_parse_end(tokener), in: bytes)
    }
    var copy = JSONCopy(wideIntegers: wideIntegers[...])
    let value = copy.value(of: root)
    precondition(copy.wideIntegers.isEmpty, "json-c and the scan saw different integers")
    return value
  }
}

/// The copying of a json-c tree into values, in the order of the text.
private struct JSONCopy {
  /// The integers of magnitude 10¹⁸ and above that are still to come; json-c's own may be saturated.
  var wideIntegers: ArraySlice<JSON>

  /// The value of one node of the tree; recursion is bounded by the depth of the tree, which the scan has limited.
  mutating func value(of node: OpaquePointer?) -> JSON {
    switch json_object_get_type(node) {
    case json_type_null: return .null
    case json_type_boolean: return .boolean(json_object_get_boolean(node) != 0)
    case json_type_double: return .number(json_object_get_double(node))
    case json_type_int: return integer(of: node)
    case json_type_string:
      let bytes = UnsafeRawBufferPointer(
        start: json_object_get_string(node), count: Int(json_object_get_string_len(node)))
      return .string(String(decoding: bytes, as: UTF8.self))
    case json_type_array:
      let count = json_object_array_length(node)
      var elements: [JSON] = []
      elements.reserveCapacity(count)
      for index in 0..<count { elements.append(value(of: json_object_array_get_idx(node, index))) }
      return .array(elements)
    case json_type_object:
      var members: [JSONMember] = []
      members.reserveCapacity(Int(json_object_object_length(node)))
      var iterator = json_object_iter_begin(node)
      var end = json_object_iter_end(node)
      while json_object_iter_equal(&iterator, &end) == 0 {
        let key = String(cString: json_object_iter_peek_name(&iterator))
        members.append(JSONMember(key, value(of: json_object_iter_peek_value(&iterator))))
        json_object_iter_next(&iterator)
      }
      return .object(members)
    case let type: preconditionFailure("json-c has no type \(type.rawValue)")
    }
  }

  private mutating func integer(of node: OpaquePointer?) -> JSON {
    let value = json_object_get_int64(node)
    guard value.magnitude >= 1_000_000_000_000_000_000 else { return .integer(Int(value)) }
    guard let exact = wideIntegers.popFirst() else {
      preconditionFailure("json-c and the scan saw different integers")
    }
    return exact
  }
}
