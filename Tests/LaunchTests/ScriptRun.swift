import Foundation
import Testing

@testable import Launch

/// A launch folder on disk whose scripts are really run, with stand-ins for what starts ranks on a cluster.
///
/// Stand-ins record their arguments and start the ranks' scripts with the environment that the real ones give.
final class ScriptRun: Sendable {
  /// The folder that holds all of it.
  let root: String
  /// The launch folder, of a name that shells trip over.
  let launch: String
  private var records: String { "\(root)/records" }
  private var commands: String { "\(root)/commands" }

  struct Ending: Sendable {
    let exitCode: Int32
    let output: String
    let errors: String
  }

  /// What a rank's program was started with.
  struct Rank: Sendable, Equatable {
    var rank: String
    var localRank: String
    var worldSize: String
    var master: String
    var port: String
    var folder: String
    var environment: String
    var words: [String]
  }

  init(_ files: [LaunchFile], folderName: String = "a b'c\"d$e`f\ng\\h") throws {
    root = FileManager.default.temporaryDirectory.appendingPathComponent("launch-\(UUID().uuidString)").path
    launch = "\(root)/\(folderName)"
    for folder in ["\(root)/records", "\(root)/commands", launch] {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }
    for file in files { try write(file.text, to: "\(launch)/\(file.name)", isExecutable: file.isExecutable) }
    for (name, text) in StandIns.all { try write(text, to: "\(commands)/\(name)", isExecutable: true) }
  }

  deinit { try? FileManager.default.removeItem(atPath: root) }

  private func write(_ text: String, to path: String, isExecutable: Bool) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    if isExecutable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path) }
  }

  /// Gives settings values, as a user's editor would.
  func set(_ settings: [(name: String, value: String)], appending lines: String = "") throws {
    let path = "\(launch)/settings.sh"
    var text = try String(contentsOfFile: path, encoding: .utf8)
    for (name, value) in settings {
      let line = try #require(
        text.split(separator: "\n", omittingEmptySubsequences: false).first { $0.hasPrefix("\(name)=") })
      text = text.replacingOccurrences(of: "\n\(line)\n", with: "\n\(name)=\(Shell.quoted(value))\n")
    }
    try write(text + lines, to: path, isExecutable: false)
  }

  func replace(_ name: String, with text: String) throws {
    try write(text, to: "\(launch)/\(name)", isExecutable: name.hasSuffix(".sh"))
  }

  /// Runs a script of the launch folder from elsewhere.
  ///
  /// - Parameter terminatedAtRankCount: how many ranks' programs are started when SIGTERM is sent; nil sends none.
  func run(
    _ script: String, _ arguments: [String] = [], on host: String = "login", environment: [String: String] = [:],
    terminatedAtRankCount: Int? = nil
  ) async throws -> Ending {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/bash")
    process.arguments = ["\(launch)/\(script)"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: root)
    var variables = ["PATH": "\(commands):/usr/bin:/bin", "FAKE_HOST": host, "RECORDS": records, "TMPDIR": root]
    variables.merge(environment) { $1 }
    process.environment = variables
    let name = "\(root)/\(UUID().uuidString)"
    for suffix in ["out", "err"] { _ = FileManager.default.createFile(atPath: "\(name).\(suffix)", contents: nil) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: "\(name).out")
    process.standardError = FileHandle(forWritingAtPath: "\(name).err")
    let exitCode: Int32 = try await withCheckedThrowingContinuation { continuation in
      process.terminationHandler = { ended in
        continuation.resume(
          returning: ended.terminationReason == .exit ? ended.terminationStatus : 128 + ended.terminationStatus)
      }
      do { try process.run() } catch {
        continuation.resume(throwing: error)
        return
      }
      if let terminatedAtRankCount { terminate(process, atRankCount: terminatedAtRankCount) }
      DispatchQueue.global().asyncAfter(deadline: .now() + 60) {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
      }
    }
    return Ending(
      exitCode: exitCode, output: try String(contentsOfFile: "\(name).out", encoding: .utf8),
      errors: try String(contentsOfFile: "\(name).err", encoding: .utf8))
  }

  /// Sends SIGTERM once so many ranks' programs are started, however long a busy machine takes for that.
  private func terminate(_ process: Process, atRankCount count: Int) {
    DispatchQueue.global().asyncAfter(deadline: .now() + 0.1) {
      guard process.isRunning else { return }
      if (try? self.ranks().count) == count { return process.terminate() }
      self.terminate(process, atRankCount: count)
    }
  }

  /// What a stand-in recorded under a name, word by word; nil where it was not started.
  func record(_ name: String) throws -> [String]? {
    guard let data = FileManager.default.contents(atPath: "\(records)/\(name)") else { return nil }
    return data.split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  /// The ranks whose programs were started, in order.
  func ranks() throws -> [Rank] {
    let names = try FileManager.default.contentsOfDirectory(atPath: records).filter { $0.hasPrefix("rank-") }
    return try names.compactMap { name in
      guard let words = try record(name), words.count >= 7 else { return nil }
      return Rank(
        rank: words[0], localRank: words[1], worldSize: words[2], master: words[3], port: words[4], folder: words[5],
        environment: words[6], words: Array(words.dropFirst(7)))
    }.sorted { (Int($0.rank) ?? -1) < (Int($1.rank) ?? -1) }
  }
}
