import JSONText
import TestSupport
import Testing

@Suite("Writing")
struct TextTests {
  @Test(
    "Compact text is one line without spaces",
    arguments: [
      (.null, "null"),
      (true, "true"),
      (false, "false"),
      (-3, "-3"),
      (.integer(.min), "-9223372036854775808"),
      (.integer(.max), "9223372036854775807"),
      (.number(0.1), "0.1"),
      (.number(-0.0), "-0.0"),
      (.number(.leastNonzeroMagnitude), "5e-324"),
      (.string(""), "\"\""),
      (.string("a/\"\\\n\u{1}\u{7F}é😀"), "\"a/\\\"\\\\\\n\\u0001\u{7F}é😀\""),
      (.string("a\u{0}b"), "\"a\\u0000b\""),
      ([], "[]"),
      ([:], "{}"),
      (["b": [1, .null, [:]], "a/\n": ["": true]], #"{"b":[1,null,{}],"a/\n":{"":true}}"#),
    ] as [(JSON, String)])
  func compact(value: JSON, text: String) {
    #expect(value.text(style: .compact) == text)
  }

  @Test("Pretty text expands objects and keeps arrays of scalars on one line")
  func pretty() {
    let value: JSON = [
      "schema": .string("sextant.plan/1"), "empty": [:], "none": [],
      "ranks": [1, .number(2.5), .string("x"), .null, true],
      "stages": [["layers": [0, 8], "of": ["a": 1]], [], [[1, 2], [3]], 7],
    ]
    #expect(
      value.text(style: .pretty) == """
        {
          "schema": "sextant.plan/1",
          "empty": {},
          "none": [],
          "ranks": [1, 2.5, "x", null, true],
          "stages": [
            {
              "layers": [0, 8],
              "of": {
                "a": 1
              }
            },
            [],
            [
              [1, 2],
              [3]
            ],
            7
          ]
        }

        """)
    #expect(JSON.array([]).text(style: .pretty) == "[]\n")
    #expect(JSON.object([]).text(style: .pretty) == "{}\n")
    #expect(JSON.number(1).text(style: .pretty) == "1.0\n")
  }

  @Test(
    "A whole number given as a double reads back as a number of equal value",
    arguments: [312e12, 1, 1e16, 1e22, -4e300, 0x1p53, 0x1p63])
  func wholeDoubles(value: Double) throws {
    #expect(try parse(JSON.number(value).text(style: .compact)) == .number(value))
    #expect(try parse(JSON.number(value).text(style: .pretty)) == .number(value))
  }

  @Test("50,000 doubles of random bits survive writing and reading bit for bit")
  func randomDoubles() throws {
    var generator = SeededGenerator(seed: 42)
    var values: [Double] = [0, -0.0, .leastNonzeroMagnitude, .leastNormalMagnitude, .greatestFiniteMagnitude]
    while values.count < 50_000 {
      let value = Double(bitPattern: generator.next())
      if value.isFinite { values.append(value) }
    }
    let text = JSON.array(values.map { .number($0) }).text(style: .compact)
    guard case .array(let read) = try parse(text) else {
      Issue.record("not an array")
      return
    }
    let readBits = read.map { element -> UInt64? in
      if case .number(let value) = element { value.bitPattern } else { nil }
    }
    #expect(readBits == values.map(\.bitPattern))
  }

  @Test("20,000 integers of every length survive writing and reading")
  func randomIntegers() throws {
    var generator = SeededGenerator(seed: 43)
    let values = (0..<20_000).map { _ in
      JSON.integer(Int(truncatingIfNeeded: generator.next()) >> Int.random(in: 0...63, using: &generator))
    }
    #expect(try parse(JSON.array(values).text(style: .compact)) == .array(values))
  }

  @Test("Strings and keys of every class of Unicode survive scalar by scalar")
  func unicodeStrings() throws {
    var generator = SeededGenerator(seed: 44)
    let ranges: [ClosedRange<UInt32>] = [
      0x00...0x1F, 0x20...0x7F, 0x80...0x9F, 0xA0...0x7FF, 0x300...0x36F, 0x800...0xD7FF,
      0x1100...0x11FF, 0x2000...0x206F, 0xE000...0xFFFF, 0xFDD0...0xFDEF, 0x10000...0xFFFFF,
      0x1F1E6...0x1F9FF, 0xE0100...0xE01EF, 0x100000...0x10FFFF,
    ]
    for index in 0..<2_000 {
      var string = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 1...12, using: &generator) {
        let range = ranges[Int.random(in: ranges.indices, using: &generator)]
        if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) {
          string.append(scalar)
        }
      }
      let key = String(String.UnicodeScalarView(string.filter { $0.value != 0 }))
      let value = JSON.object([JSONMember(key, .string(String(string)))])
      for style in [JSONStyle.compact, .pretty] {
        guard case .object(let members) = try parse(value.text(style: style)),
          let member = members.first, case .string(let read) = member.value
        else {
          Issue.record("string \(index) came back as something else")
          continue
        }
        #expect(read.unicodeScalars.elementsEqual(string), "string \(index)")
        #expect(member.key.unicodeScalars.elementsEqual(key.unicodeScalars), "key \(index)")
      }
    }
  }

  @Test("Nesting as deep as any limit allows can be written and read back")
  func deepestNesting() throws {
    var value: JSON = 1
    for level in 0..<JSONLimits.greatestDepth { value = level % 2 == 0 ? [value] : ["a": value] }
    let limits = JSONLimits(byteCount: 1 << 20, depth: JSONLimits.greatestDepth)
    #expect(try parse(value.text(style: .compact), limits: limits) == value)
    #expect(try parse(value.text(style: .pretty), limits: limits) == value)
  }

  @Test("A number that is not finite cannot be written")
  func nonFinite() async {
    await #expect(processExitsWith: .failure) { _ = JSON.number(.nan).text(style: .compact) }
    await #expect(processExitsWith: .failure) { _ = JSON.array([.number(-.infinity)]).text(style: .pretty) }
  }

  @Test("An object with two equal keys or a key with U+0000 cannot be written")
  func badKeys() async {
    await #expect(processExitsWith: .failure) {
      _ = JSON.object([JSONMember("a", .null), JSONMember("a", .null)]).text(style: .compact)
    }
    await #expect(processExitsWith: .failure) {
      _ = JSON.object([JSONMember("a", .null), JSONMember("a", .null)]).text(style: .pretty)
    }
    await #expect(processExitsWith: .failure) {
      _ = JSON.object([JSONMember("a\u{0}", .null)]).text(style: .compact)
    }
  }
}

@Suite("Descriptions for messages")
struct DescriptionTests {
  @Test(
    "A value is quoted on one line",
    arguments: [
      (.null, "null"),
      (true, "true"),
      (-3, "-3"),
      (.number(2.5), "2.5"),
      (.string("fast"), "\"fast\""),
      (.string("a\n\u{2028}\u{202E}\u{1B}[31m\"\\"), "\"a\\u000a\\u2028\\u202e\\u001b[31m\\\"\\\\\""),
      (.string("é😀"), "\"é😀\""),
      ([], "[]"),
      ([1, [2], .string("x")], "[1, [2], \"x\"]"),
      (["nodes": 3, "a": [:]], "{\"nodes\": 3, \"a\": {}}"),
      (.string(String(repeating: "x", count: 100)), "\"\(String(repeating: "x", count: 38))…\""),
      (.array(Array(repeating: 7, count: 1_000)), "[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, …]"),
    ] as [(JSON, String)])
  func brief(value: JSON, brief: String) {
    #expect(value.briefDescription == brief)
  }

  @Test("A quoted value is about 40 characters long at most, however large or deep it is")
  func clipped() {
    var deep: JSON = .string(String(repeating: "\u{1}", count: 100))
    for _ in 0..<300 { deep = ["key": [deep]] }
    let values: [JSON] = [
      deep, .array(Array(repeating: deep, count: 100)),
      .array(Array(repeating: .number(-1.2345678901234567e-300), count: 100)),
      .object((0..<100).map { JSONMember("\($0)\u{10FFFF}\u{10FFFF}", .integer(.min)) }),
      .string(String(repeating: "\u{10FFFF}", count: 1_000)),
      .string("a" + String(repeating: "\u{301}", count: 100_000)),
    ]
    for value in values {
      let brief = value.briefDescription
      #expect(brief.unicodeScalars.count <= 56, "\(brief)")
      #expect(brief.allSatisfy { !$0.isNewline })
    }
  }
}
