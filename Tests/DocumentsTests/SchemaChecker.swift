import Foundation
import JSONText
import TestSupport

/// The checkout that the tests are part of.
enum Checkout {
  static let root = Shipped.root
  static let inputs = "\(root)/Tests/DocumentsTests/Inputs"

  /// The names, without `.json`, of the JSON files in a folder of the checkout, sorted; none if there is no folder.
  static func names(in folder: String) -> [String] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)")) ?? []
    return entries.filter { $0.hasSuffix(".json") }.map { String($0.dropLast(5)) }.sorted()
  }

  static func json(_ path: String) throws -> JSON {
    try JSON(parsing: readFile(at: "\(root)/\(path)", maximumByteCount: 1 << 26))
  }
}

/// Checks documents against the JSON Schemas (draft 2020-12) of `docs/schemas`.
///
/// Knows the keywords that those schemas use; any other is a complaint, so that none is passed over.
struct SchemaChecker {
  private let schemas: [String: JSON]

  init() throws {
    var schemas: [String: JSON] = [:]
    for name in Checkout.names(in: "docs/schemas") {
      schemas["\(name).json"] = try Checkout.json("docs/schemas/\(name).json")
    }
    self.schemas = schemas
  }

  /// The schema of a kind of document, such as `cluster`.
  func schema(ofKind kind: String) -> JSON? { schemas["\(kind).schema.json"] }

  /// The first thing that is wrong with a document of a kind; nil if nothing is.
  func complaint(about value: JSON, ofKind kind: String) -> String? {
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
    // The one pattern in use: no control characters.
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
      ("pattern", .string(#"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"#), _), ("minimum", _, _), ("maximum", _, _),
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
  func member(_ key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  var word: String? { if case .string(let word) = self { word } else { nil } }

  /// The number; not a number for anything else.
  var double: Double {
    switch self {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    default: .nan
    }
  }

  /// The names of JSON Schema; an integer is any number without a fraction.
  func isOfType(_ type: String) -> Bool {
    switch (type, self) {
    case ("null", .null), ("boolean", .boolean), ("string", .string), ("array", .array), ("object", .object),
      ("number", .integer), ("number", .number), ("integer", .integer):
      true
    case ("integer", .number(let number)): number == number.rounded()
    default: false
    }
  }
}

// MARK: - What a schema describes

extension JSON {
  /// The bounds of all numbers that a schema describes.
  var bounds: [Double] {
    switch self {
    case .object(let keywords):
      keywords.flatMap { keyword in
        ["minimum", "maximum", "exclusiveMinimum"].contains(keyword.key) ? [keyword.value.double] : keyword.value.bounds
      }
    case .array(let schemas): schemas.flatMap(\.bounds)
    default: []
    }
  }

  /// The properties of all objects that a schema describes in its own file, but not the conditions of a oneOf on
  /// properties that are described elsewhere.
  var describedProperties: [(key: String, property: JSON)] {
    guard case .object(let keywords) = self else {
      if case .array(let schemas) = self { return schemas.flatMap(\.describedProperties) }
      return []
    }
    return keywords.flatMap { keyword -> [(key: String, property: JSON)] in
      switch (keyword.key, keyword.value) {
      case ("properties", .object(let properties)):
        return properties.flatMap { [($0.key, $0.value)] + $0.value.describedProperties }
      case ("oneOf", .array(let branches)) where member("properties") != nil:
        return branches.filter { $0.member("type") != nil }.flatMap(\.describedProperties)
      default: return keyword.value.describedProperties
      }
    }
  }
}
