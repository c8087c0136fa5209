package import JSONText

/// A JSON value together with where it stands, so that every complaint can point at it.
package struct Field: Sendable {
  package let value: JSON
  package let source: String
  package let pointer: String

  package init(_ value: JSON, source: String, pointer: String = "") {
    self.value = value
    self.source = source
    self.pointer = pointer
  }

  /// The complaint that this field is not what was expected; quotes what it is.
  package func error(expected: String) -> DocumentError {
    DocumentError(
      source: source, location: pointer, expected: "expected \(expected)", found: value.briefDescription)
  }

  /// The complaint that this field, though well formed, contradicts something else.
  package func conflict(_ sentence: String) -> DocumentError {
    DocumentError(source: source, location: pointer, expected: sentence, found: nil)
  }

  package func string() throws(DocumentError) -> String {
    guard case .string(let text) = value else { throw error(expected: "a string") }
    return text
  }

  /// A string of 1 to 200 characters without control characters: what may name a thing.
  package func name() throws(DocumentError) -> String {
    let text = try string()
    guard !text.isEmpty, text.count <= 200, text == text.oneLine else {
      throw error(expected: "a name of 1 to 200 printable characters")
    }
    return text
  }

  package func boolean() throws(DocumentError) -> Bool {
    guard case .boolean(let flag) = value else { throw error(expected: "true or false") }
    return flag
  }

  package func integer(in range: ClosedRange<Int>) throws(DocumentError) -> Int {
    let wanted = "an integer from \(range.lowerBound) to \(range.upperBound)"
    switch value {
    case .integer(let number) where range.contains(number): return number
    case .number(let number):
      // 4096.0 and 1e6 are integers too: some tools write every number with a point.
      guard number == number.rounded(.towardZero), number >= Double(range.lowerBound),
        number <= Double(range.upperBound),
        let exact = Int(exactly: number), range.contains(exact)
      else { throw error(expected: wanted) }
      return exact
    default: throw error(expected: wanted)
    }
  }

  /// True, false, or an integer of a range.
  package func flagOrCount(in range: ClosedRange<Int>) throws(DocumentError) -> JSON {
    if case .boolean(let flag) = value { return .boolean(flag) }
    do {
      return .integer(try integer(in: range))
    } catch {
      throw self.error(expected: "true, false or an integer from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// A finite number in a range; `expected` says the range in words.
  package func number(in range: ClosedRange<Double>, expected: String) throws(DocumentError) -> Double {
    let number: Double
    switch value {
    case .integer(let integer): number = Double(integer)
    case .number(let double): number = double
    default: throw error(expected: expected)
    }
    guard range.contains(number) else { throw error(expected: expected) }
    return number
  }

  /// A number from 10^-24 to 10^24: no rate, time or size of this world is smaller or larger, and what is computed from
  /// such numbers stays finite.
  package func positiveNumber() throws(DocumentError) -> Double {
    try number(in: 1e-24...1e24, expected: "a positive number from 1e-24 to 1e24")
  }

  package func nonNegativeNumber() throws(DocumentError) -> Double {
    try number(in: 0...1e24, expected: "a number from 0 to 1e24")
  }

  /// A positive number that was computed from others: of any size.
  package func positiveResult() throws(DocumentError) -> Double {
    try number(in: Double.leastNormalMagnitude...Double.greatestFiniteMagnitude, expected: "a positive number")
  }

  /// A number that was computed from others and is not negative: of any size.
  package func nonNegativeResult() throws(DocumentError) -> Double {
    try number(in: 0...Double.greatestFiniteMagnitude, expected: "a number that is not negative")
  }

  /// A share of a whole that is divided by: from a billionth to 1.
  package func fraction() throws(DocumentError) -> Double {
    try number(in: 1e-9...1, expected: "a fraction from 1e-9 to 1")
  }

  /// A share of a whole, from 0 to 1.
  package func fractionOrZero() throws(DocumentError) -> Double {
    try number(in: 0...1, expected: "a fraction from 0 to 1")
  }

  package func array(count range: ClosedRange<Int> = 0...1_000_000) throws(DocumentError) -> [Field] {
    guard case .array(let values) = value else { throw error(expected: "an array") }
    guard range.contains(values.count) else {
      throw DocumentError(
        source: source, location: pointer,
        expected: "expected an array of \(range.lowerBound) to \(range.upperBound) elements", found: "\(values.count)")
    }
    return values.enumerated().map { Field($1, source: source, pointer: "\(pointer)/\($0)") }
  }

  /// One of a closed list of words.
  package func choice<Choice>(of type: Choice.Type) throws(DocumentError) -> Choice
  where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
    let choices = Array(type.allCases)
    return choices[try place(among: choices.map { .string($0.rawValue) })]
  }

  /// Where the value is in a closed list of scalars.
  package func place(among choices: [JSON]) throws(DocumentError) -> Int {
    guard let place = choices.firstIndex(of: value) else {
      throw error(expected: "one of \(choices.map { $0.text(style: .compact) }.joined(separator: ", "))")
    }
    return place
  }

  /// The names of an array that are among known ones, each once, in the order of these.
  package func members(among names: [String]) throws(DocumentError) -> [String] {
    var places: Set<Int> = []
    for entry in try array(count: 0...names.count) {
      let place = try entry.place(among: names.map(JSON.string))
      guard places.insert(place).inserted else { throw entry.conflict("\(names[place]) is there twice") }
    }
    return places.sorted().map { names[$0] }
  }

  /// The members of an object, to be taken key by key.
  package func fields() throws(DocumentError) -> Fields { try Fields(self) }

  package var isString: Bool { if case .string = value { true } else { false } }
  package var isArray: Bool { if case .array = value { true } else { false } }
}

/// The members of a JSON object, taken key by key; ``finish()`` refuses what nobody asked for.
package struct Fields {
  /// The object itself, for complaints about it as a whole.
  package let whole: Field
  private let members: [String: JSON]
  private let order: [String]
  private var known: [String] = []

  package init(_ field: Field) throws(DocumentError) {
    guard case .object(let members) = field.value else { throw field.error(expected: "an object") }
    whole = field
    order = members.map(\.key)
    self.members = Dictionary(members.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
  }

  /// The field at a key that must be there.
  package mutating func required(_ key: String) throws(DocumentError) -> Field {
    known.append(key)
    guard let value = members[key] else {
      throw DocumentError(
        source: whole.source, location: whole.pointer, expected: "expected the key \"\(key)\"", found: "none")
    }
    return at(key, value)
  }

  /// The field at a key that may be absent; null counts as absent.
  package mutating func optional(_ key: String) -> Field? {
    known.append(key)
    guard let value = members[key], value != .null else { return nil }
    return at(key, value)
  }

  /// Whether a key is there, be its value null.
  package func states(_ key: String) -> Bool { members[key] != nil }

  /// The keys that are there with another value than null, in their order.
  package var statedKeys: [String] { order.filter { members[$0] != .null } }

  /// Refuses a key that no call asked for, naming the nearest that would have been understood.
  ///
  /// - Parameter hint: what to write in place of a key that is another's word; nil where that is not known.
  package func finish(hint: (String) -> String? = { _ in nil }) throws(DocumentError) {
    for key in order where !known.contains(key) {
      let meant =
        (hint(key)
        ?? key.nearest(among: known.filter { members[$0] == nil }).map { "did you mean \"\($0)\"?" })
        .map { ", \($0)" } ?? ""
      throw DocumentError(
        source: whole.source, location: whole.pointer,
        expected: "unknown key \(JSON.string(key).briefDescription)\(meant)", found: nil)
    }
  }

  /// Checks the `schema` key: this kind, and this major version or an earlier one that is still read.
  /// - Returns: whether it is the earlier one.
  package mutating func schema(_ schema: DocumentSchema, orEarlier earlier: String) throws(DocumentError) -> Bool {
    let field = try required("schema")
    let stated = try field.string()
    guard stated == schema.rawValue || stated == earlier else {
      throw field.error(expected: "\"\(schema.rawValue)\" or \"\(earlier)\"")
    }
    return stated == earlier
  }

  /// Checks the `schema` key: this kind and this major version.
  package mutating func schema(_ schema: DocumentSchema) throws(DocumentError) {
    let field = try required("schema")
    guard try field.string() == schema.rawValue else { throw field.error(expected: "\"\(schema.rawValue)\"") }
  }

  private func at(_ key: String, _ value: JSON) -> Field {
    // RFC 6901: "~" and "/" inside a key are escaped.
    let escaped = key.split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
      .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
    return Field(value, source: whole.source, pointer: "\(whole.pointer)/\(escaped)")
  }
}
