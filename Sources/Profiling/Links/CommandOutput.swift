import Foundation
import Synchronization

/// A program that runs, and what it has printed so far; no more than ``byteLimit`` of it is kept.
final class CommandOutput: Sendable {
  /// How a program ended.
  enum Ending: Equatable {
    /// With exit code 0, having printed this.
    case ended(String)
    case failed(String)
    /// It was still running and was ended.
    case stopped
  }

  static let byteLimit = 16 << 20

  private struct State {
    var output: [UInt8] = []
    var errors: [UInt8] = []
    var openPipeCount = 2
  }

  private let process = Process()
  private let program: String
  private let state = Mutex(State())
  private let startFailure: String?

  /// - Precondition: there is a word, the program.
  init(words: [String]) {
    program = words[0]
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = words
    process.standardInput = FileHandle.nullDevice
    let output = Pipe(), errors = Pipe()
    process.standardOutput = output
    process.standardError = errors
    do {
      try process.run()
      startFailure = nil
    } catch {
      startFailure = "cannot start \(words[0])"
      return
    }
    for (pipe, isOutput) in [(output, true), (errors, false)] {
      Thread.detachNewThread { [self] in
        while true {
          let data = pipe.fileHandleForReading.availableData
          if data.isEmpty { break }
          state.withLock { state in
            if isOutput, state.output.count < Self.byteLimit { state.output += data }
            if !isOutput { state.errors = (state.errors + data).suffix(2_000) }
          }
        }
        state.withLock { $0.openPipeCount -= 1 }
      }
    }
  }

  /// Until it has ended and all it printed was read.
  var isRunning: Bool { startFailure == nil && (process.isRunning || state.withLock { $0.openPipeCount > 0 }) }

  /// Whether the program itself has not ended, whatever its children do.
  var isProgramRunning: Bool { startFailure == nil && process.isRunning }

  /// Asks it to end, as SIGTERM does: a launcher then ends what it started on other hosts.
  func askToEnd() { if isProgramRunning { process.terminate() } }

  /// How it ended; ends it if it has not.
  func end() -> Ending {
    if let startFailure { return .failed(startFailure) }
    if process.isRunning {
      kill(process.processIdentifier, SIGKILL)
      return .stopped
    }
    let (output, errors) = state.withLock { ($0.output, $0.errors) }
    guard process.terminationReason == .exit, process.terminationStatus == 0 else {
      let line = String(decoding: errors, as: UTF8.self).split(whereSeparator: \.isNewline).last
      return .failed(
        "\(program) ended with exit code \(process.terminationStatus)" + (line.map { ": \($0.prefix(200))" } ?? ""))
    }
    return .ended(String(decoding: output, as: UTF8.self))
  }
}
