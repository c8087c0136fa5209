package import JSONText

/// Checks documents against the JSON Schemas (draft 2020-12) of `docs/schemas`.
///
/// Knows the keywords that those schemas use; any other is a complaint, so that none is passed over.
package struct SchemaChecker {
  private let schemas: [String: JSON]

  /// - Parameter schemas: by the name of their file.
  package init(_ schemas: [String: JSON]) { self.schemas = schemas }

  /// The schema of a kind of document, such as `cluster`.
  package func schema(ofKind kind: String) -> JSON? { schemas["\(kind).schema.json"] }

  /// The first thing that is wrong with a document of a kind; nil if nothing is.
  package func complaint(about value: JSON, ofKind kind: String) -> String? {
    let file = "\(kind).schema.json"
    guard let schema = schemas[file] else { return "there is no \(file)" }
    return complaint(about: value, at: "", schema, file)
  }

  private func complaint(about value: JSON, at pointer: String, _ schema: JSON, _ file: String) -> String? {
    guard case .object(let keywords) = schema else { return "\(file): a schema is not an object" }
    for keyword in keywords {
      if let complaint = complaint(about: value, at: pointer, keyword, in: schema, file) { return complaint }
    }
    return nil
  }

  private func complaint(
    about value: JSON, at pointer: String, _ keyword: JSONMember, in schema: JSON, _ file: String
  ) -> String? {
    func unless(_ isGood: Bool) -> String? {
      isGood ? nil : "\(pointer): \(value.briefDescription) against \(keyword.key) \(keyword.value.briefDescription)"
    }
    switch (keyword.key, keyword.value, value) {
    case ("$schema", _, _), ("$defs", _, _), ("title", _, _), ("description", _, _): return nil
    case ("$ref", .string(let reference), _):
      guard let (target, targetFile) = resolve(reference, from: file) else { return "\(file): no \(reference)" }
      return complaint(about: value, at: pointer, target, targetFile)
    case ("oneOf", .array(let branches), _):
      let complaints = branches.compactMap { complaint(about: value, at: pointer, $0, file) }
      return complaints.count == branches.count - 1 ? nil : "\(pointer): none or several of oneOf; \(complaints)"
    case ("type", .string(let type), _): return unless(value.isOfType(type))
    case ("type", .array(let types), _): return unless(types.contains { value.isOfType($0.word ?? "") })
    case ("enum", .array(let values), _): return unless(values.contains(value))
    case ("const", let constant, _): return unless(value == constant)
    case ("required", .array(let keys), .object):
      return unless(keys.allSatisfy { value.member($0.word ?? "") != nil })
    case ("dependentRequired", .object(let triggers), .object):
      return unless(
        triggers.allSatisfy { trigger in
          guard value.member(trigger.key) != nil, case .array(let keys) = trigger.value else { return true }
          return keys.allSatisfy { value.member($0.word ?? "") != nil }
        })
    case ("properties", .object(let properties), .object):
      for property in properties {
        if let member = value.member(property.key),
          let complaint = complaint(about: member, at: "\(pointer)/\(property.key)", property.value, file)
        {
          return complaint
        }
      }
      return nil
    case ("additionalProperties", .boolean(false), .object(let members)):
      return unless(members.allSatisfy { schema.member("properties")?.member($0.key) != nil })
    case ("items", let items, .array(let elements)):
      for (index, element) in elements.enumerated() {
        if let complaint = complaint(about: element, at: "\(pointer)/\(index)", items, file) { return complaint }
      }
      return nil
    case ("minItems", .integer(let least), .array(let elements)): return unless(elements.count >= least)
    case ("maxItems", .integer(let most), .array(let elements)): return unless(elements.count <= most)
    case ("uniqueItems", .boolean(true), .array(let elements)):
      return unless(elements.indices.allSatisfy { !elements[..<$0].contains(elements[$0]) })
    case ("minLength", .integer(let least), .string(let text)): return unless(text.unicodeScalars.count >= least)
    case ("maxLength", .integer(let most), .string(let text)): return unless(text.unicodeScalars.count <= most)
    // Numbers between points.
    case ("pattern", .string(#"^[0-9]{1,4}(\.[0-9]{1,4}){1,3}$"#), .string(let text)):
      let parts = text.split(separator: ".", omittingEmptySubsequences: false)
      return unless(
        (2...4).contains(parts.count)
          && parts.allSatisfy { (1...4).contains($0.count) && $0.allSatisfy { ("0"..."9").contains($0) } })
    // No control characters.
    case ("pattern", .string(#"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"#), .string(let text)):
      let controls = Array(0x7F...0x9F) + [0x2028, 0x2029]
      return unless(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !controls.contains(Int($0.value)) })
    case ("minimum", let bound, .integer), ("minimum", let bound, .number): return unless(value.double >= bound.double)
    case ("maximum", let bound, .integer), ("maximum", let bound, .number): return unless(value.double <= bound.double)
    case ("exclusiveMinimum", let bound, .integer), ("exclusiveMinimum", let bound, .number):
      return unless(value.double > bound.double)
    case ("required", _, _), ("dependentRequired", _, _), ("properties", _, _),
      ("additionalProperties", .boolean(false), _), ("items", _, _),
      ("minItems", _, _), ("maxItems", _, _), ("uniqueItems", _, _), ("minLength", _, _), ("maxLength", _, _),
      ("pattern", .string(#"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"#), _),
      ("pattern", .string(#"^[0-9]{1,4}(\.[0-9]{1,4}){1,3}$"#), _), ("minimum", _, _), ("maximum", _, _),
      ("exclusiveMinimum", _, _):
      return nil  // It is about another type than the value's.
    default: return "\(file): the keyword \(keyword.key) is not known to this checker"
    }
  }

  /// `#/$defs/NAME`, `FILE` or `FILE#/$defs/NAME`.
  private func resolve(_ reference: String, from file: String) -> (schema: JSON, file: String)? {
    let halves = reference.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let targetFile = halves[0].isEmpty ? file : halves[0]
    var target = schemas[targetFile]
    for key in halves.count > 1 ? halves[1].split(separator: "/") : [] { target = target?.member(String(key)) }
    return target.map { ($0, targetFile) }
  }
}

extension JSON {
  /// The value of a member of an object; nil for another value or key.
  package func member(_ key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  package var word: String? { if case .string(let word) = self { word } else { nil } }

  /// The number; not a number for anything else.
  package var double: Double {
    switch self {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    default: .nan
    }
  }

  /// The names of JSON Schema; an integer is any number without a fraction.
  fileprivate func isOfType(_ type: String) -> Bool {
    switch (type, self) {
    case ("null", .null), ("boolean", .boolean), ("string", .string), ("array", .array), ("object", .object),
      ("number", .integer), ("number", .number), ("integer", .integer):
      true
    case ("integer", .number(let number)): number == number.rounded()
    default: false
    }
  }
}
