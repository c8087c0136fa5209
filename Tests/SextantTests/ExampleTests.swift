import Foundation
import TestSupport
import Testing

/// The example package is built by this package as well, without access to anything that is not public.
@Suite struct ExampleTests {
  private static let folder = "\(Shipped.root)/docs/examples/plan-in-swift"

  private static func output(of program: String, _ arguments: String...) throws -> String {
    let process = Process(), pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(program)")
    return String(decoding: data, as: UTF8.self)
  }

  @Test func `The example runs, and its plan holds`() throws {
    let bundle = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
    let program = bundle.resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent("PlanInSwift")
    let lines = try Self.output(of: program.path).split(separator: "\n").map(String.init)
    #expect(lines.first?.hasPrefix("Best: tensor=") == true)
    #expect(lines.contains("Verified: true"))
    #expect(lines.contains("Dry-run: holds"))
    #expect(lines.last == "strategy: unknown key \"tenosr\", did you mean \"tensor\"?")
  }

  @Test func `The example's manifest is one, and names the library`() throws {
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("example-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: scratch) }
    let manifest = try Self.output(
      of: "/usr/bin/env", "swift", "package", "--package-path", Self.folder, "--scratch-path", scratch.path,
      "dump-package")
    #expect(manifest.contains("\"Sextant\"") && manifest.contains("\"PlanInSwift\""))
    #expect(manifest.contains("\"path\" : \"\(Shipped.root)\""))
  }

  @Test func `What the page for Swift shows is in the example`() throws {
    let page = try String(contentsOfFile: "\(Shipped.root)/docs/from-swift.md", encoding: .utf8)
    let sources = try ["Package.swift", "Sources/PlanInSwift/PlanInSwift.swift"].map {
      try String(contentsOfFile: "\(Self.folder)/\($0)", encoding: .utf8)
    }
    let lines = Set(sources.joined(separator: "\n").split(separator: "\n"))
    var isInBlock = false, count = 0
    for line in page.split(separator: "\n") {
      if line.hasPrefix("```") {
        isInBlock = line == "```swift"
      } else if isInBlock {
        count += 1
        #expect(lines.contains(line), "\(line)")
      }
    }
    #expect(count > 20)
  }
}
