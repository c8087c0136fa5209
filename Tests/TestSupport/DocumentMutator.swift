package import JSONText

/// Makes documents that nobody would write out of documents that somebody would, the same ones for the same seed.
package struct DocumentMutator {
  private var generator: SeededGenerator

  package init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  /// A whole number in a range.
  package mutating func number(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

  /// One of some values.
  package mutating func element<Value>(of values: [Value]) -> Value {
    values[Int.random(in: values.indices, using: &generator)]
  }

  // MARK: Structure

  /// The document with one to three changes, each somewhere: another value, another number, a key or an element that is
  /// gone, renamed, doubled or swapped.
  package mutating func mutated(_ document: JSON) -> JSON {
    var result = document
    for _ in 0..<number(in: 1...3) {
      result = changed(result, at: randomPath(in: result)[...]) { $0.changedValue($1) }
    }
    return result
  }

  /// The document with one to three of its numbers replaced by others of the same kind: most are still read.
  package mutating func withOtherNumbers(_ document: JSON) -> JSON {
    var result = document
    for _ in 0..<number(in: 1...3) {
      // Walks that end on something else are not taken.
      for _ in 0..<100 {
        let path = randomPath(in: result, stopsEarly: false)
        switch Self.value(at: path[...], in: result) {
        case .integer, .number: result = changed(result, at: path[...]) { $0.otherNumber($1) }
        default: continue
        }
        break
      }
    }
    return result
  }

  /// A value of any kind, three levels deep at most.
  package mutating func randomValue(depth: Int = 0) -> JSON {
    switch number(in: 0...(depth < 3 ? 8 : 5)) {
    case 0: return .null
    case 1: return .boolean(number(in: 0...1) == 0)
    case 2: return .integer(element(of: Self.integers))
    case 3: return .number(element(of: Self.numbers))
    case 4, 5: return .string(element(of: Self.strings))
    case 6: return .array((0..<number(in: 0...4)).map { _ in randomValue(depth: depth + 1) })
    default:
      var members: [JSONMember] = []
      for _ in 0..<number(in: 0...4) {
        let key = element(of: Self.keys)
        if !members.contains(where: { $0.key == key }) {
          members.append(JSONMember(key, randomValue(depth: depth + 1)))
        }
      }
      return .object(members)
    }
  }

  private static let integers = [
    0, 1, -1, 2, 3, 7, 8, 12, 64, 1_000, 4_096, 16_384, 65_536, 131_072, 1_048_576, 16_777_216, 134_217_728,
    1_000_000_000_000, 1_000_000_000_000_000, 1_000_000_000_000_000_000, .max, .max - 1, .min,
  ]

  private static let numbers = [
    0.0, -0.0, 0.5, 1.5, -1, 1e-3, 1e-9, 1e-24, 1e-300, .leastNonzeroMagnitude, .leastNormalMagnitude, 1, 2, 8, 1e3,
    1e9,
    1e12, 1e18, 9.3e18, 1e24, 1e30, .greatestFiniteMagnitude, 0.999_999_999_999,
  ]

  private static let strings = [
    "", "a", "fast", "bf16", "fp64", "none", "full", "unknown-name", "gpt2", "dgx-a100-1", "../up.json", "/", "no.json",
    "sextant.cluster/1", "sextant.model/2", "line\nbreak", "next\u{85}line", "\u{2028}", "\u{1B}[2J", "\u{9B}2J", "é😀",
    "\u{0}",
    String(repeating: "long ", count: 200), String(repeating: "n", count: 3_000),
    String(repeating: "e\u{301}\u{302}\u{303}", count: 150),
  ]

  private static let keys =
    strings.filter { !$0.contains("\u{0}") } + [
      "schema", "name", "layers", "nodes", "nodse", "span", "model", "tensor", "moe", "model_type", "num_experts",
      "a/b~c",
    ]

  private mutating func changedValue(_ value: JSON) -> JSON {
    switch (value, number(in: 0...3)) {
    case (.object(let members), 1...) where !members.isEmpty: return .object(changedMembers(members))
    case (.array(let elements), 1...) where !elements.isEmpty: return .array(changedElements(elements))
    case (.integer, 1...), (.number, 1...): return otherNumber(value)
    default: return randomValue(depth: 1)
    }
  }

  private mutating func changedMembers(_ members: [JSONMember]) -> [JSONMember] {
    var members = members
    let place = number(in: 0...members.count - 1), other = number(in: 0...members.count - 1)
    switch number(in: 0...3) {
    case 0: members.remove(at: place)
    case 1:
      let (first, second) = (members[place], members[other])
      members[place] = JSONMember(first.key, second.value)
      members[other] = JSONMember(second.key, first.value)
    case 2:
      let key = number(in: 0...1) == 0 ? element(of: Self.keys) : members[place].key + "x"
      if !members.contains(where: { $0.key == key }) { members[place] = JSONMember(key, members[place].value) }
    default:
      let key = element(of: Self.keys)
      if !members.contains(where: { $0.key == key }) { members.insert(JSONMember(key, randomValue()), at: place) }
    }
    return members
  }

  private mutating func changedElements(_ elements: [JSON]) -> [JSON] {
    var elements = elements
    let place = number(in: 0...elements.count - 1)
    switch number(in: 0...3) {
    case 0: elements.remove(at: place)
    case 1: elements.insert(elements[place], at: place)
    case 2: elements.swapAt(place, number(in: 0...elements.count - 1))
    default: elements = []
    }
    return elements
  }

  private mutating func otherNumber(_ value: JSON) -> JSON {
    switch (value, number(in: 0...4)) {
    case (.integer(let integer), 0): .integer(integer &+ 1)
    case (.integer(let integer), 1): .integer(integer &* 2)
    case (.integer(let integer), 2): .integer(integer / 2)
    case (.integer(let integer), 3) where integer <= 1 << 53: .number(Double(integer))
    case (.integer, _): .integer(element(of: Self.integers))
    case (.number(let double), 0) where abs(double) < 1e300: .number(double * 1e6)
    case (.number(let double), 1): .number(double * 1e-6)
    case (.number(let double), 2): .number(-double)
    default: .number(element(of: Self.numbers))
    }
  }

  /// A walk from the root into a random child, again and again, so that no large table takes nearly all changes.
  private mutating func randomPath(in document: JSON, stopsEarly: Bool = true) -> [Int] {
    var path: [Int] = []
    var value = document
    while let children = value.children, !children.isEmpty, !stopsEarly || number(in: 0...5) > 0 {
      path.append(number(in: 0...children.count - 1))
      value = children[path[path.count - 1]]
    }
    return path
  }

  private static func value(at path: ArraySlice<Int>, in value: JSON) -> JSON {
    guard let index = path.first, let children = value.children else { return value }
    return self.value(at: path.dropFirst(), in: children[index])
  }

  private mutating func changed(
    _ value: JSON, at path: ArraySlice<Int>, by change: (inout Self, JSON) -> JSON
  ) -> JSON {
    guard let index = path.first else { return change(&self, value) }
    switch value {
    case .array(var elements):
      elements[index] = changed(elements[index], at: path.dropFirst(), by: change)
      return .array(elements)
    case .object(var members):
      let member = members[index]
      members[index] = JSONMember(member.key, changed(member.value, at: path.dropFirst(), by: change))
      return .object(members)
    default: return value
    }
  }

  // MARK: Text

  /// The text with one to three changes: bits that flip, bytes that are replaced, doubled, inserted or cut off.
  package mutating func mutated(text: [UInt8]) -> [UInt8] {
    var text = text
    for _ in 0..<number(in: 1...3) where !text.isEmpty {
      let place = number(in: 0...text.count - 1)
      let end = min(place + number(in: 1...8), text.count)
      switch number(in: 0...6) {
      case 0: text[place] ^= 1 << UInt8(number(in: 0...7))
      case 1: text[place] = UInt8(number(in: 0...255))
      case 2: text.removeSubrange(place..<end)
      case 3: text.insert(contentsOf: text[place..<end], at: place)
      case 4: text.insert(contentsOf: Array(element(of: Self.fragments).utf8), at: place)
      case 5: text[place] = UInt8(ascii: "0") + UInt8(number(in: 0...9))
      default: text.removeSubrange(place...)
      }
    }
    return text
  }

  private static let fragments = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "-", "0", "9", ".", "e9", "null", "NaN", "Infinity", "1e999", "\n", "é",
    "\u{FEFF}", "99999999999999999999", "//", "\"name\": 1,", "\u{0}",
  ]
}

extension JSON {
  /// The values inside an array or an object; nil for a scalar.
  fileprivate var children: [JSON]? {
    switch self {
    case .array(let elements): elements
    case .object(let members): members.map(\.value)
    default: nil
    }
  }
}
