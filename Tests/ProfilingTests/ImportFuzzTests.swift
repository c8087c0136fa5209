import Documents
import Foundation
import Profiling
import TestSupport
import Testing

/// Whatever a file holds, a reader reads it or refuses it in one short line.
@Suite struct ImportFuzzTests {
  @Test func everyExcerptIsRecognisedAndRead() throws {
    for (name, text) in Excerpt.all {
      let file = name == "oldAllToAll" ? "alltoall.log" : "tool.log"
      let ranks = name == "osuAllGather" ? 8 : nil
      #expect(throws: Never.self, "\(name)") { try Excerpt.findings(text, source: file, ImportContext(ranks: ranks)) }
    }
  }

  @Test(arguments: Excerpt.all.map(\.name), FuzzRun.seeds(1, 2))
  func mutatedTextIsReadOrRefusedInOneLine(name: String, seed: UInt64) throws {
    let text = Array(try #require(Excerpt.all.first { $0.name == name }).text.utf8)
    var mutator = DocumentMutator(seed: seed)
    for index in 0..<150 {
      check(mutator.mutated(text: text), "\(name), seed \(seed), text \(index)", format: nil)
    }
  }

  @Test(arguments: Excerpt.all.map(\.name))
  func truncatedTextIsReadOrRefusedInOneLine(name: String) throws {
    let text = Array(try #require(Excerpt.all.first { $0.name == name }).text.utf8)
    for count in stride(from: 0, to: text.count, by: 7) {
      check(Array(text[..<count]), "\(name), \(count) bytes", format: nil)
    }
  }

  /// Every reader is given what is meant for every other one.
  @Test(arguments: ImportFormat.allCases)
  func textOfAnotherToolIsReadOrRefusedInOneLine(format: ImportFormat) throws {
    for (name, text) in Excerpt.all { check(Array(text.utf8), "\(name) as \(format.rawValue)", format: format) }
    for text in ["", "\n", "{", "{}", "[]", "null", "\u{0}", "#", "- - - -", String(repeating: "[", count: 100_000)] {
      check(Array(text.utf8), "\(text.prefix(10)) as \(format.rawValue)", format: format)
    }
    check([0xFF, 0xFE, 0x00, 0x41], "bytes as \(format.rawValue)", format: format)
  }

  @Test func yamlThatNestsOrRefersIsRefused() throws {
    for text in [
      "switches:\n" + String(repeating: "- ", count: 50_000), "switches: " + String(repeating: "[", count: 50_000),
      "switches: &a [x]\nblocks: *a\n", "switches:\n" + String(repeating: " ", count: 5_000) + "a: b\n",
    ] {
      #expect(throws: DocumentError.self) {
        try ImportFormat.findings(of: ToolText(Array(text.utf8), source: "t.yaml"), format: .topologyYAML)
      }
    }
  }

  private func check(_ bytes: [UInt8], _ comment: String, format: ImportFormat?) {
    do throws(DocumentError) {
      var context = ImportContext(ranks: 8)
      context.collective = .allToAll
      let found = try ImportFormat.findings(of: ToolText(bytes, source: "tool.log"), format: format, context: context)
      // What is read must make a document that is read again.
      if let links = try ImportedLinks([found, found], name: "fuzz").links {
        let again = try MeasuredLinks(Field(links.json, source: "again"))
        #expect(again == links, "\(comment)")
        _ = LinkHealth(links)
      }
    } catch {
      let sentence = error.description
      #expect(sentence.hasPrefix("tool.log: "), "\(comment): \(sentence)")
      #expect(sentence.count <= 600, "\(comment): \(sentence.prefix(200))")
      #expect(sentence == sentence.oneLine, "\(comment)")
    }
  }
}
