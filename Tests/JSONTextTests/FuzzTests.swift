import JSONText
import TestSupport
import Testing

/// 20,000 texts that nobody would write: each is read as a value that survives writing, or refused in one line.
@Suite("Fuzzing")
struct FuzzTests {
  private static let documents = [
    #"{"schema":"sextant.cluster/1","name":"é😀","levels":[{"span":8,"bytes_per_second":4.5e11},{"span":64}]}"#,
    #"[0,-0,-1.5e-3,9223372036854775807,-9223372036854775809,1e308,18446744073709551616,0.1]"#,
    #"{"a":{"b":{"c":[[],[{}],[[null,true,false]]]}},"\u00e9\n":"\ud83d\ude00\\\/\"","":"\u0000"}"#,
    "{\r\n\t\"a\" : [ 1 , 2 ] ,\n \"b\" : \"\u{7F}\u{2028}\u{10FFFF}\" }\n",
    #"["\ud800","\u12",NaN,Infinity,01,1.,'x',/* c */]"#,
  ].map { Array($0.utf8) }

  private static let fragments = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "\\udc00", "-", "0", "9", ".", "e",
    "E+", "null", "true", "NaN", "\"a\"", "\"a\":", "\u{0}", "\n", "é", "\u{FEFF}", "99999999999999999999",
    "//", "1e999", "{\"a\":1,\"a\":2}",
  ].map { Array($0.utf8) }

  @Test("Random bytes", arguments: FuzzRun.seeds(1, 2, 3, 4))
  func randomBytes(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for index in 0..<1_250 {
      var text: [UInt8] = []
      // Half are pieces of JSON in no order: plain random bytes fail at the first one.
      let takesFragments = index % 2 == 0
      for _ in 0..<Int.random(in: 0...24, using: &generator) {
        if takesFragments {
          text += Self.fragments[Int.random(in: Self.fragments.indices, using: &generator)]
        } else {
          text.append(UInt8.random(in: 0...255, using: &generator))
        }
      }
      checkOutcome(of: text, "seed \(seed), text \(index)")
    }
  }

  @Test("Mutated documents", arguments: FuzzRun.seeds(11, 12, 13, 14, 15, 16))
  func mutatedDocuments(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var acceptedCount = 0
    for index in 0..<2_500 {
      var text = Self.documents[index % Self.documents.count]
      for _ in 0..<Int.random(in: 1...3, using: &generator) where !text.isEmpty {
        let place = Int.random(in: text.indices, using: &generator)
        let end = min(place + Int.random(in: 1...6, using: &generator), text.count)
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: text[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: text[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: text.removeSubrange(place..<end)
        case 3: text.insert(contentsOf: text[place..<end], at: place)
        case 4:
          let fragment = Self.fragments[Int.random(in: Self.fragments.indices, using: &generator)]
          text.insert(contentsOf: fragment, at: place)
        default: text.removeSubrange(place...)
        }
      }
      if checkOutcome(of: text, "seed \(seed), text \(index)") { acceptedCount += 1 }
    }
    // The mutations are gentle enough that both outcomes are tried.
    #expect((100...2_000).contains(acceptedCount))
  }

  /// Returns whether the text was accepted.
  @discardableResult
  private func checkOutcome(of text: [UInt8], _ comment: Comment) -> Bool {
    do throws(JSONSyntaxError) {
      let value = try JSON(parsing: text)
      for style in [JSONStyle.compact, .pretty] {
        #expect(try parse(value.text(style: style)) == value, comment)
      }
      return true
    } catch {
      #expect(error.line >= 1 && error.column >= 1, comment)
      #expect(error.line <= text.count { $0 == UInt8(ascii: "\n") } + 1, comment)
      #expect(error.column <= text.count + 1, comment)
      #expect(error.description.allSatisfy { !$0.isNewline }, comment)
      if case .refusedByParser(let message) = error.reason {
        Issue.record("the scan let pass what json-c refuses: \(message); \(comment)")
      }
      return false
    }
  }
}
