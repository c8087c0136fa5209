import Foundation
import JSONText
import TestSupport
import Testing

/// One finished run of the built `sextant`.
struct CommandRun: Sendable {
  let arguments: String
  let exitCode: Int32
  let output: String
  let errors: String

  /// Checks for success: exit code 0 and nothing on standard error; returns the output.
  @discardableResult
  func succeeded(_ location: SourceLocation = #_sourceLocation) -> String {
    #expect(exitCode == 0, "\(arguments): \(errors)", sourceLocation: location)
    #expect(errors.isEmpty, "\(arguments)", sourceLocation: location)
    return output
  }

  /// Checks for failure: the exit code, nothing on standard output, and one line on
  /// standard error that has each phrase.
  func failed(_ code: Int32, _ phrases: String..., at location: SourceLocation = #_sourceLocation) {
    #expect(exitCode == code, "\(arguments): \(errors)", sourceLocation: location)
    #expect(output.isEmpty, "\(arguments)", sourceLocation: location)
    #expect(
      errors.hasPrefix("sextant: ") && errors.hasSuffix("\n"), "\(arguments): \(errors)", sourceLocation: location)
    #expect(errors.count { $0 == "\n" } == 1, "\(arguments): \(errors)", sourceLocation: location)
    for phrase in phrases {
      #expect(errors.contains(phrase), "\(arguments)", sourceLocation: location)
    }
  }
}

/// A folder of its own for one test, removed with it, in which `sextant` is run.
final class Workspace: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("sextant-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a name in the folder, for messages that quote it.
  func file(_ name: String) -> String { "\(path)/\(name)" }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
  }

  func write(_ json: JSON, to name: String) throws { try write(json.text(style: .pretty), to: name) }

  func text(of name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }

  /// The names in the folder, sorted, but for those that catch the output of a process.
  var names: [String] {
    get throws {
      try FileManager.default.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") }.sorted()
    }
  }

  /// The executable, which SwiftPM builds next to the test bundle.
  static let executable: String = {
    let bundle = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
    return bundle.resolvingSymlinksInPath().deletingLastPathComponent().appendingPathComponent("sextant").path
  }()

  /// Runs `sextant` in the folder.
  ///
  /// - Parameter device: what takes standard output in place of the result.
  func sextant(
    _ arguments: String..., outputTo device: String? = nil
  ) async throws -> CommandRun { try await run(Self.executable, arguments, outputTo: device) }

  /// Runs `sextant` in the folder.
  ///
  /// - Parameter interruptedAfter: when to press Ctrl-C, seconds.
  func sextant(_ arguments: [String], interruptedAfter: Double? = nil) async throws -> CommandRun {
    try await run(Self.executable, arguments, interruptedAfter: interruptedAfter)
  }

  /// Runs a line of a shell in the folder.
  ///
  /// - Parameter body: what happens beside it, given the number of the process.
  func shell(
    _ line: String, beside body: (@Sendable (pid_t) -> Void)? = nil
  ) async throws -> CommandRun { try await run("/bin/sh", ["-c", line], beside: body) }

  private func run(
    _ executable: String, _ arguments: [String], outputTo device: String? = nil, interruptedAfter: Double? = nil,
    beside body: (@Sendable (pid_t) -> Void)? = nil
  ) async throws -> CommandRun {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: path)
    // Files and no pipes: nobody has to read while the process runs.
    let name = ".run-\(UUID().uuidString)"
    let outputPath = device ?? file("\(name).out"), errorPath = file("\(name).err")
    for created in [outputPath, errorPath] where created != device {
      _ = FileManager.default.createFile(atPath: created, contents: nil)
    }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: outputPath)
    process.standardError = FileHandle(forWritingAtPath: errorPath)

    let timeLimitSeconds = 60.0
    let exitCode: Int32 = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { ended in
        // As a shell says it: a signal is 128 and its number.
        continuation.resume(
          returning: ended.terminationReason == .exit ? ended.terminationStatus : 128 + ended.terminationStatus)
      }
      do {
        try process.run()
      } catch {
        continuation.resume(throwing: error)
        return
      }
      let identifier = process.processIdentifier
      if let interruptedAfter {
        DispatchQueue.global().asyncAfter(deadline: .now() + interruptedAfter) {
          if process.isRunning { kill(identifier, SIGINT) }
        }
      }
      if let body { Thread.detachNewThread { body(identifier) } }
      DispatchQueue.global().asyncAfter(deadline: .now() + timeLimitSeconds) {
        if process.isRunning { kill(identifier, SIGKILL) }
      }
    }
    return CommandRun(
      arguments: arguments.joined(separator: " "), exitCode: exitCode,
      output: device == nil ? try String(contentsOfFile: outputPath, encoding: .utf8) : "",
      errors: try String(contentsOfFile: errorPath, encoding: .utf8))
  }
}
