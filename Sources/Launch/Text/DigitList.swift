/// A list of numbers as Python has it, of lists, sums and multiples: `([0]*3+[1]*58)`, `[1,1,1,0]*3`.
///
/// Megatron-LM takes what its layers are so (`_eval_pattern` of `training/arguments.py`, d98e8a64), of digits, commas,
/// brackets, parentheses, `+` and `*`.
struct DigitList: Equatable {
  let numbers: [Int]

  init(_ numbers: [Int]) { self.numbers = numbers }

  /// The list in few letters: runs of alike numbers are multiplied.
  var text: String {
    var terms: [String] = []
    var place = 0
    while place < numbers.count {
      let end = numbers[place...].firstIndex { $0 != numbers[place] } ?? numbers.count
      terms.append("[\(numbers[place])]" + (end - place > 1 ? "*\(end - place)" : ""))
      place = end
    }
    return "(\(terms.joined(separator: "+")))"
  }

  /// Reads a list; nil where the text is none, nests deeper than ``mostNesting``, or has more than `most` numbers anywhere.
  init?(_ text: String, most: Int) {
    var parser = Parser(characters: Array(text.filter { $0 != " " })[...], most: most)
    guard case .list(let numbers)? = parser.sum(depth: 0), parser.characters.isEmpty else { return nil }
    self.numbers = numbers
  }

  /// Parentheses in each other: more than anybody writes, and few enough to be followed.
  private static let mostNesting = 16

  private struct Parser {
    enum Value {
      case list([Int])
      case number(Int)
    }

    var characters: ArraySlice<Character>
    let most: Int

    private mutating func take(_ character: Character) -> Bool {
      guard characters.first == character else { return false }
      characters.removeFirst()
      return true
    }

    private mutating func number() -> Int? {
      let digits = characters.prefix { $0.isASCII && $0.isNumber }
      characters = characters[digits.endIndex...]
      return Int(String(digits))
    }

    mutating func sum(depth: Int) -> Value? {
      guard var value = product(depth: depth) else { return nil }
      while take("+") {
        guard case .list(let left) = value, case .list(let right)? = product(depth: depth),
          left.count + right.count <= most
        else { return nil }
        value = .list(left + right)
      }
      return value
    }

    private mutating func product(depth: Int) -> Value? {
      guard var value = factor(depth: depth) else { return nil }
      while take("*") {
        guard let next = factor(depth: depth) else { return nil }
        switch (value, next) {
        case (.list(let list), .number(let times)), (.number(let times), .list(let list)):
          guard times <= most / max(1, list.count) else { return nil }
          value = .list(Array(repeatElement(list, count: times).joined()))
        case (.number, .number), (.list, .list): return nil
        }
      }
      return value
    }

    private mutating func factor(depth: Int) -> Value? {
      if take("(") {
        guard depth < mostNesting, let value = sum(depth: depth + 1), take(")") else { return nil }
        return value
      }
      guard take("[") else { return number().map(Value.number) }
      var numbers: [Int] = []
      while !take("]") {
        guard let next = number(), numbers.count < most, take(",") || characters.first == "]" else { return nil }
        numbers.append(next)
      }
      return .list(numbers)
    }
  }
}
