import Documents
import JSONText
import TestSupport
import Testing

/// Complaints that were once too long for a terminal, broke their line, or spoke Swift.
@Suite struct ComplaintTests {
  @Test func brokenTextIsExplainedInWordsAndNotInSwift() {
    let error = #expect(throws: DocumentError.self) { try parse(Array(#"{"a":}"#.utf8), source: "bad.json") }
    #expect(error?.description == #"bad.json: line 1, column 6: expected a value, found "}""#)
  }

  @Test func anUnknownKeyOrNameOfAnyLengthIsQuotedInPart() {
    let long = String(repeating: "n", count: 5_000)
    for refusal in [
      #expect(throws: DocumentError.self) {
        try Field(.object([JSONMember(long, .null)]), source: "document").fields().finish()
      },
      #expect(throws: DocumentError.self) { try Shipped.catalog.cluster(long) },
      #expect(throws: DocumentError.self) { try StrategyPattern(text: long, source: "--fix") },
      #expect(throws: DocumentError.self) { try StrategyPattern(text: "\(long)=1,\(long)=2", source: "--fix") },
    ] {
      #expect((refusal?.description.count ?? .max) < 600)
    }
  }

  @Test func theNextLineCharacterAndTerminalSequencesAreShownAndNotSent() {
    let error = DocumentError(source: "a\u{85}b", location: "", expected: "c\u{9B}2J", found: nil)
    #expect(error.description == #"a\u{85}b: c\u{9b}2J"#)
  }
}
