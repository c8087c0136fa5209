import Documents
import JSONText
import Testing

@testable import Launch

/// The readers of TOML, YAML and command lines, on what is sound and what is not.
@Suite struct TextReaderTests {
  private func toml(_ text: String) throws -> JSON { try parseTOML(text, source: "x.toml").value }

  private func object(_ members: (String, JSON)...) -> JSON { .object(members.map { JSONMember($0.0, $0.1) }) }

  @Test func tablesKeysAndValuesAreWhatTOMLSays() throws {
    let text = """
      # a comment
      title = "a \\"b\\" \\u00e9\\n"  # another
      raw = 'C:\\x'
      long = \"\"\"
      one
      two \\
         three\"\"\"
      [a.b]
      c = 1_000
      d.e = -0.5e3
      "f g" = [1, 2,
        3, # three
      ]
      [a]
      h = { x = true, y.z = 0xff }
      [[list]]
      n = 1
      [[list]]
      n = 2
      day = 1979-05-27
      """
    #expect(
      try toml(text)
        == object(
          ("title", .string("a \"b\" é\n")), ("raw", .string("C:\\x")), ("long", .string("one\ntwo three")),
          (
            "a",
            object(
              (
                "b",
                object(
                  ("c", .integer(1_000)), ("d", object(("e", .number(-500)))),
                  ("f g", .array([.integer(1), .integer(2), .integer(3)])))
              ), ("h", object(("x", .boolean(true)), ("y", object(("z", .integer(255)))))))
          ),
          (
            "list", .array([object(("n", .integer(1))), object(("n", .integer(2)), ("day", .string("1979-05-27")))])
          )))
  }

  @Test(arguments: [
    ("[a", 1, 3), ("[[[[", 1, 3), ("a = 1\na = 2", 2, 5), ("[a]\n[a]", 2, 4), ("a = 01", 1, 5), ("a = [1, 2", 1, 10),
    ("a = \"x", 1, 7), ("a = nan", 1, 5), ("a.b = 1\n[a]", 2, 4), ("a = { b = 1", 1, 12), ("= 1", 1, 1),
    ("a = 1 b = 2", 1, 7), ("a = \"\\q\"", 1, 8), ("x = 1_", 1, 5), ("a = 99999999999999999999", 1, 5),
  ])
  func brokenTOMLIsRefusedWithItsPlace(text: String, line: Int, column: Int) {
    #expect { try toml(text) } throws: { error in
      "\(error)".hasPrefix("x.toml: line \(line), column \(column): expected ")
    }
  }

  @Test func depthIsBounded() {
    for text in ["a = " + String(repeating: "[", count: 100_000), "a = " + String(repeating: "{b=", count: 100_000)] {
      #expect { try toml(text) } throws: { "\($0)".contains("at most 64 levels") }
    }
    #expect { try parseYAML(String(repeating: "[", count: 100_000), source: "x.yaml") } throws: { error in
      "\(error)".contains("at most 64 levels")
    }
  }

  @Test func everyPrefixOfATextIsReadOrRefusedInOneLine() throws {
    let text = "[a.b]\nc = [1, {d = \"e\\n\"}, 'f']\n[[g]]\nh = 1.5 # i\n\"j\" = \"\"\"k\"\"\"\n"
    for count in 0...text.count {
      do { _ = try toml(String(text.prefix(count))) } catch { #expect(!"\(error)".contains("\n")) }
    }
  }

  @Test func yamlIsReadAsItsOwnTypes() throws {
    let text = "a: 1\nb: 1.0e-05\nc: null\nd: '4'\ne: [x, true]\nf:\n  g: bfloat16\n"
    #expect(
      try parseYAML(text, source: "x.yaml").value
        == object(
          ("a", .integer(1)), ("b", .number(1e-5)), ("c", .null), ("d", .string("4")),
          ("e", .array([.string("x"), .boolean(true)])), ("f", object(("g", .string("bfloat16"))))))
    #expect { try parseYAML("a: [1", source: "x.yaml") } throws: { "\($0)".hasPrefix("x.yaml: ") }
    #expect(throws: DocumentError.self) { try parseYAML("", source: "x.yaml") }
  }

  @Test func wordsAreTheShells() throws {
    let text = "a 'b c' \"d \\\" \\x $e\" f\\ g \\\n  h # not this\ni=\"j k\"l;m"
    #expect(
      try parseCommandLine(text, source: "x.sh") == ["a", "b c", "d \" \\x $e", "f g", "h", "i=j kl", "m"])
    #expect(throws: DocumentError.self) { try parseCommandLine("a 'b", source: "x.sh") }
  }
}
