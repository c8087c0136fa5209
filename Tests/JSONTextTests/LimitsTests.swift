import JSONText
import Testing

@Suite("Limits")
struct LimitsTests {
  private static func brackets(_ depth: Int, around inside: String = "") -> [UInt8] {
    Array(
      (String(repeating: "[", count: depth) + inside + String(repeating: "]", count: depth)).utf8)
  }

  @Test("The limit on depth is exact, for arrays and objects, empty or not", arguments: [1, 2, 64, 512])
  func depthIsExact(depth: Int) {
    let limits = JSONLimits(byteCount: 1 << 20, depth: depth)
    let tooDeep = JSONSyntaxError(
      line: 1, column: depth + 1, reason: .tooDeep(limit: depth))
    #expect(refusal(Self.brackets(depth), limits: limits) == nil)
    #expect(refusal(Self.brackets(depth, around: "1"), limits: limits) == nil)
    #expect(refusal(Self.brackets(depth - 1, around: "{\"a\":1}"), limits: limits) == nil)
    #expect(refusal(Self.brackets(depth + 1), limits: limits) == tooDeep)
    #expect(refusal(Self.brackets(depth, around: "{}"), limits: limits) == tooDeep)
  }

  @Test("With depth 0 only scalars pass")
  func depthZero() throws {
    let limits = JSONLimits(byteCount: 100, depth: 0)
    #expect(try parse("1", limits: limits) == 1)
    #expect(refusal(Array("[]".utf8), limits: limits)?.reason == .tooDeep(limit: 0))
  }

  @Test("A million opening brackets are refused at the first one too many")
  func depthBomb() {
    let arrays = refusal([UInt8](repeating: UInt8(ascii: "["), count: 1_000_000))
    #expect(arrays == JSONSyntaxError(line: 1, column: 65, reason: .tooDeep(limit: 64)))
    let objects = refusal(Array(String(repeating: "{\"a\":", count: 100_000).utf8))
    #expect(objects == JSONSyntaxError(line: 1, column: 321, reason: .tooDeep(limit: 64)))
  }

  @Test("A text over the limit on bytes is refused before it is read")
  func byteCount() throws {
    let limits = JSONLimits(byteCount: 4, depth: 1)
    #expect(try parse("1234", limits: limits) == 1234)
    #expect(
      refusal(Array("\"\u{0}\n??".utf8), limits: limits)
        == JSONSyntaxError(line: 1, column: 1, reason: .tooLong(byteCount: 5, limit: 4)))
  }

  @Test("Values and objects are counted, since each costs json-c more memory than text")
  func counts() throws {
    let limits = JSONLimits(byteCount: 100, depth: 4, valueCount: 4, objectCount: 2)
    #expect(try parse("[1,2,3]", limits: limits) == [1, 2, 3])
    #expect(
      refusal(Array("[1,2,[4]]".utf8), limits: limits)
        == JSONSyntaxError(line: 1, column: 7, reason: .tooManyValues(limit: 4)))
    #expect(try parse("[{},{}]", limits: limits) == [[:], [:]])
    #expect(
      refusal(Array("[{},{},{}]".utf8), limits: limits)
        == JSONSyntaxError(line: 1, column: 8, reason: .tooManyObjects(limit: 2)))
  }

  @Test("Long texts of one kind are read or refused without quadratic work")
  func longTexts() throws {
    let count = 300_000
    #expect(
      refusal([UInt8](repeating: UInt8(ascii: " "), count: count))
        == JSONSyntaxError(line: 1, column: count + 1, reason: .emptyText))
    let string = String(repeating: "a", count: count)
    #expect(try parse("\"\(string)\"") == .string(string))
    #expect(
      refusal([UInt8](repeating: UInt8(ascii: "9"), count: count))?.reason == .numberOutOfRange)
    let escapes = String(repeating: #"\ud83d\ude00"#, count: 20_000)
    #expect(try parse("\"\(escapes)\"") == .string(String(repeating: "😀", count: 20_000)))
  }

  @Test("A repeated key is found among 40,000 keys of one object")
  func manyKeys() throws {
    let members = (0..<40_000).map { "\"key \($0)\":\($0)" }.joined(separator: ",")
    guard case .object(let read) = try parse("{\(members)}") else {
      Issue.record("not an object")
      return
    }
    #expect(read.count == 40_000)
    #expect(read.enumerated().allSatisfy { $1 == JSONMember("key \($0)", .integer($0)) })
    #expect(
      refusal(Array("{\(members),\n\"key 17\":0}".utf8))
        == JSONSyntaxError(line: 2, column: 1, reason: .duplicateKey("key 17")))
  }

  @Test("Combining marks, whose comparison is quadratic in Swift, are limited to 30 in a row")
  func combiningMarks() throws {
    let marks = String(repeating: "\u{301}\u{323}", count: 15)
    #expect(try parse("\"a\(marks)b\(marks)\"") == .string("a\(marks)b\(marks)"))
    #expect(
      refusal(Array("\"a\(marks)\u{301}\"".utf8))
        == JSONSyntaxError(line: 1, column: 33, reason: .tooManyCombiningMarks(limit: 30)))
    let flood = String(repeating: #"\u0323\u0301"#, count: 20_000)
    #expect(refusal(Array("{\"\(flood)\":1}".utf8))?.reason == .tooManyCombiningMarks(limit: 30))
  }
}
