import Foundation
import JSONText
import Testing

/// Folders that are written as a whole.
@Suite struct FolderTests {
  /// A folder of its own for one test.
  private final class Place {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("folders-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    var names: [String] {
      get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }

    func text(_ name: String) throws -> String { try String(contentsOfFile: self(name), encoding: .utf8) }
  }

  private func file(_ name: String, _ text: String, isExecutable: Bool = false) -> FolderFile {
    FolderFile(name: name, bytes: Array(text.utf8), isExecutable: isExecutable)
  }

  @Test(arguments: ["new", "a b'c\n\"d", "new/"])
  func aFolderIsMade(name: String) throws {
    let place = try Place()
    try writeFolderAtomically([file("a", "1"), file("run", "2", isExecutable: true)], to: place(name))
    #expect(try folderNames(at: place(name)) == ["a", "run"])
    #expect(try place.text("\(name)/a") == "1")
    #expect(FileManager.default.isExecutableFile(atPath: place("\(name)/run")))
    #expect(!FileManager.default.isExecutableFile(atPath: place("\(name)/a")))
    #expect(try place.names.count == 1)
  }

  @Test func whatElseIsInTheFolderStays() throws {
    let place = try Place()
    try writeFolderAtomically([file("a", "1"), file("b", "1")], to: place("x"))
    try writeFileAtomically(Array("log".utf8), to: place("x/log"))
    try FileManager.default.createDirectory(atPath: place("x/checkpoints"), withIntermediateDirectories: true)
    try writeFolderAtomically([file("a", "2"), file("c", "2")], to: place("x"), discarding: ["b"])
    #expect(try folderNames(at: place("x")) == ["a", "c", "checkpoints", "log"])
    #expect(try place.text("x/a") == "2" && place.text("x/log") == "log")
    #expect(try place.names == ["x"])
  }

  @Test func aLinkToAFolderStaysALink() throws {
    let place = try Place()
    try FileManager.default.createDirectory(atPath: place("real"), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(atPath: place("link"), withDestinationPath: "real")
    try writeFolderAtomically([file("a", "1")], to: place("link"))
    #expect(try place.text("real/a") == "1")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: place("link")) == "real")
  }

  @Test(arguments: [("no/such/x", "No such file or directory"), ("file", "is not a folder"), ("", "No such file")])
  func whatCannotBeWrittenLeavesNothing(name: String, reason: String) throws {
    let place = try Place()
    try writeFileAtomically([1], to: place("file"))
    let error = #expect(throws: FileError.self) {
      try writeFolderAtomically([file("a", "1")], to: name.isEmpty ? "" : place(name))
    }
    #expect(error?.reason.hasPrefix(reason) == true, "\(error as Any)")
    #expect(try place.names == ["file"])
  }

  @Test func whereNothingIsThereAreNoNames() throws {
    #expect(try folderNames(at: Place()("nothing")) == nil)
  }
}
