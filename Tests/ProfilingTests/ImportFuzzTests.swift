import Documents
import Foundation
import Profiling
import TestSupport
import Testing

/// Whatever a file holds, a reader reads it or refuses it in one short line.
@Suite struct ImportFuzzTests {
  private static let texts = Excerpt.all + FieldLog.all

  @Test func everyExcerptIsRecognisedAndRead() throws {
    for (name, text) in Excerpt.all {
      let file = name == "oldAllToAll" ? "alltoall.log" : "tool.log"
      let ranks = name == "osuAllGather" ? 8 : nil
      #expect(throws: Never.self, "\(name)") { try Excerpt.findings(text, source: file, ImportContext(ranks: ranks)) }
    }
  }

  @Test(arguments: texts.map(\.name), FuzzRun.seeds(1, 2))
  func mutatedTextIsReadOrRefusedInOneLine(name: String, seed: UInt64) throws {
    let text = Array(try #require(Self.texts.first { $0.name == name }).text.utf8)
    var mutator = DocumentMutator(seed: seed)
    for index in 0..<150 {
      check(mutator.mutated(text: text), "\(name), seed \(seed), text \(index)", format: nil)
    }
  }

  @Test(arguments: texts.map(\.name))
  func truncatedTextIsReadOrRefusedInOneLine(name: String) throws {
    let text = Array(try #require(Self.texts.first { $0.name == name }).text.utf8)
    for count in stride(from: 0, to: text.count, by: 7) {
      check(Array(text[..<count]), "\(name), \(count) bytes", format: nil)
    }
  }

  /// Lines that are lost, doubled, moved, joined, wrapped, or behind something that is a prefix or looks like one.
  @Test(arguments: texts.map(\.name), FuzzRun.seeds(3, 4))
  func linesInDisorderAreReadOrRefusedInOneLine(name: String, seed: UInt64) throws {
    let lines = try #require(Self.texts.first { $0.name == name }).text.split(separator: "\n").map(String.init)
    let prefixes = [
      "0: ", "1: ", "[1,0]<stdout>:", "[0] ", "> ", "gpu-1: ", "2026-01-31T10:11:12Z ", "Jan 31 10:11:12 ", "x[1]: ",
      "[",
      "(a pid=1) ", "[pod/", "c  | ", "\u{1B}[1m", "```", "#",
    ]
    var mutator = DocumentMutator(seed: seed)
    for index in 0..<100 {
      var changed = lines
      let common = mutator.number(in: 0...2) == 0 ? "" : mutator.element(of: prefixes)
      changed = changed.map { common + $0 }
      for _ in 0..<mutator.number(in: 1...6) where !changed.isEmpty {
        let place = mutator.number(in: 0...changed.count - 1), other = mutator.number(in: 0...changed.count - 1)
        switch mutator.number(in: 0...5) {
        case 0: changed.remove(at: place)
        case 1: changed.insert(changed[other], at: place)
        case 2: changed.swapAt(place, other)
        case 3: if place + 1 < changed.count { changed[place] += changed.remove(at: place + 1) }
        case 4: changed[place] = mutator.element(of: prefixes) + changed[place]
        default:
          let half = changed[place].count / 2
          changed.insert(String(changed[place].suffix(half)), at: place + 1)
          changed[place] = String(changed[place].dropLast(half))
        }
      }
      check(
        Array(changed.joined(separator: "\n").utf8), "\(name), seed \(seed), lines \(index)",
        format: index % 5 == 0 ? mutator.element(of: ImportFormat.allCases) : nil)
    }
  }

  /// Every reader is given what is meant for every other one.
  @Test(arguments: ImportFormat.allCases)
  func textOfAnotherToolIsReadOrRefusedInOneLine(format: ImportFormat) throws {
    for (name, text) in Self.texts { check(Array(text.utf8), "\(name) as \(format.rawValue)", format: format) }
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
