import Foundation
import TestSupport
import Testing

/// Every `sextant` command that the documentation shows can be run as it stands, page by page from top to bottom.
@Suite struct DocumentedCommandTests {
  static let pages: [String] = {
    let docs = (try? FileManager.default.contentsOfDirectory(atPath: "\(Shipped.root)/docs")) ?? []
    return ["README.md"] + docs.filter { $0.hasSuffix(".md") }.sorted().map { "docs/\($0)" }
  }()

  @Test func theReadMeShowsACommand() throws { #expect(try !Self.commands(of: "README.md").isEmpty) }

  @Test(arguments: pages)
  func everyCommandOfAPageRuns(page: String) async throws {
    let commands = try Self.commands(of: page)
    guard !commands.isEmpty else { return }
    // The repository as it is seen from its root, but what is written goes elsewhere.
    let folder = try Workspace()
    for name in try FileManager.default.contentsOfDirectory(atPath: Shipped.root) where !name.hasPrefix(".") {
      try FileManager.default.createSymbolicLink(
        atPath: folder.file(name), withDestinationPath: "\(Shipped.root)/\(name)")
    }
    for command in commands { try await folder.shell("'\(Workspace.executable)' \(command)").succeeded() }
  }

  /// The arguments of each `sextant` in the `sh` blocks of a page.
  private static func commands(of page: String) throws -> [String] {
    let text = try String(contentsOfFile: "\(Shipped.root)/\(page)", encoding: .utf8)
    var isInBlock = false
    var commands: [String] = []
    for line in text.replacingOccurrences(of: "\\\n", with: " ").split(separator: "\n") {
      if line.hasPrefix("```") {
        isInBlock = !isInBlock && line == "```sh"
      } else if isInBlock, let match = line.firstMatch(of: /(^|&& )(swift run .*?|\S*\/)?sextant (.*)/) {
        commands.append(String(match.3))
      }
    }
    return commands
  }
}
