import Documents
import Foundation
import Testing

@testable import Profiling

/// The driver of nccl-tests, with a launcher that replays what the real programs print.
@Suite struct NCCLTestsRunTests {
  /// A folder with a program that prints the excerpt of its third argument.
  private static func launcher() throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sextant-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for (name, text) in Excerpt.all { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
    let script = "#!/bin/sh\n[ $3 = hang ] && exec sleep 100000\ncat '\(folder.path)'/$3\n"
    let path = folder.appendingPathComponent("launch").path
    try Data(script.utf8).write(to: URL(fileURLWithPath: path))
    chmod(path, 0o755)
    return path
  }

  private func run(
    hosts: [String], pair: String, group: String? = nil, timeLimitSeconds: Double = 30
  ) throws -> NCCLTestsRun.Outcome {
    try NCCLTestsRun(
      hosts: hosts, launcher: [Self.launcher(), "{hosts}", "{ranks}"], pairCommand: [pair],
      groupCommand: group.map { [$0] }, timeLimitSeconds: timeLimitSeconds, isLoaded: true
    ).outcome(name: "test", isInterrupted: { false }, progress: { _, _ in })
  }

  @Test func outputInTheRealLayoutsIsRead() throws {
    let outcome = try run(hosts: ["a", "b", "c"], pair: "wideSendReceive", group: "newAllReduce")
    #expect(outcome.runCount == 4 && outcome.failures.isEmpty, "\(outcome.failures)")
    let links = try #require(outcome.links)
    // The pairs are the hosts as they were given, whatever the program calls them.
    #expect(links.nodeNames == ["a", "b", "c"])
    for from in 0..<3 {
      for to in 0..<3 where from != to {
        #expect(abs((links.snapshots[0].bytesPerSecond[from][to] ?? 0) / 50e9 - 1) < 1e-3)
      }
    }
    // The log is one of 96 ranks, on however many hosts.
    let collective = try #require(links.collectives.first { $0.kind == .allReduce })
    #expect(collective.rankCount == 96 && collective.nodeCount == 3)
    #expect(abs(collective.points[0].seconds / 2_684.4e-6 - 1) < 1e-9)
  }

  @Test func aRunThatHangsIsEndedAndTheRestCounts() throws {
    // The program would run for a day: that there is an outcome at all shows that each run was ended.
    let outcome = try run(hosts: ["a", "b", "c"], pair: "hang", group: "newAllReduce", timeLimitSeconds: 3)
    #expect(
      outcome.failures.count == 3 && outcome.failures.allSatisfy { $0.hasSuffix("did not end within 3 s") },
      "\(outcome.failures)")
    #expect(outcome.links != nil)
  }

  @Test func aRunThatIsCalledOffDoesNotCountAsLate() throws {
    var askedCount = 0
    let outcome = try NCCLTestsRun(
      hosts: ["a", "b"], launcher: [Self.launcher(), "{hosts}", "{ranks}"], pairCommand: ["hang"], groupCommand: nil,
      timeLimitSeconds: 86_400, isLoaded: true
    ).outcome(
      name: "test",
      isInterrupted: {
        askedCount += 1
        return askedCount > 5
      }, progress: { _, _ in })
    #expect(outcome.wasInterrupted && outcome.links == nil)
    #expect(outcome.failures == ["a ↔ b: was called off"])
  }

  @Test func aProgramThatIsNotThereIsNamed() throws {
    let outcome = try NCCLTestsRun(
      hosts: ["a", "b"], launcher: ["/no/such/program"], pairCommand: ["sendrecv_perf"], groupCommand: nil,
      timeLimitSeconds: 5, isLoaded: false
    ).outcome(name: "test", isInterrupted: { false }, progress: { _, _ in })
    #expect(outcome.links == nil)
    #expect(outcome.failures.count == 1 && outcome.failures[0].contains("/no/such/program"), "\(outcome.failures)")
  }
}
