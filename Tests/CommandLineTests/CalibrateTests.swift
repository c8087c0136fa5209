import Documents
import Foundation
import JSONText
import TestSupport
import Testing

@Suite struct CalibrateTests {
  @Test(arguments: [
    (["--device", "a100-sxm4-80gb", "--runs", "none.jsonl"], 65 as Int32, "none.jsonl: No such file"),
    (["--device", "a100-sxm4-80bg", "--runs", "runs.jsonl"], 65, "did you mean \"a100-sxm4-80gb\"?"),
    (["--device", "a100-sxm4-80gb", "--runs", "empty.jsonl"], 65, "--runs: "),
    (["--device", "a100-sxm4-80gb", "--runs", "runs.jsonl", "--folds", "weather"], 64, "weather"),
    (["--device", "a100-sxm4-80gb"], 64, "--runs"), (["--runs", "runs.jsonl"], 64, "--device"),
    (["--device", "a100-sxm4-80gb", "--collectives", "empty.jsonl"], 65, "--collectives: only 0 timed collectives"),
    (["--device", "a100-sxm4-80gb", "--collectives", "runs.jsonl"], 65, "runs.jsonl:1: /schema"),
    (["--device", "a100-sxm4-80gb", "--collectives", "empty.jsonl", "--folds", "model"], 64, "--folds"),
    (["--device", "a100-sxm4-80gb", "--runs", "torn.jsonl"], 65, "contradict one another or the device profile"),
    (["--device", "a100-sxm4-80gb", "--runs", "mixed.jsonl", "--strict"], 65, "mixed.jsonl:13: line 1, column"),
    (["--device", "a100-sxm4-80gb", "--runs", "twice.jsonl"], 65, "has the id of the record at twice.jsonl:1"),
    (
      ["--device", "a100-sxm4-80gb", "--runs", "runs.jsonl", "--together", "a100-sxm4-80gb"], 65,
      "--together: a100-sxm4-80gb is fitted already"
    ),
    (
      ["--device", "a100-sxm4-80gb", "--runs", "runs.jsonl", "--together", "h100-sxm5-80bg"], 65,
      "did you mean \"h100-sxm5-80gb\"?"
    ),
    (
      ["--device", "a100-sxm4-80gb", "--collectives", "empty.jsonl", "--together", "h100-sxm5-80gb"], 64,
      "--together fits to runs"
    ),
  ])
  func badInputIsOneLine(arguments: [String], code: Int32, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 2), to: "runs.jsonl")
    try folder.write("", to: "empty.jsonl")
    let torn = (1...12).map { MeasuredRecords.record("run-\($0)", seconds: $0 % 2 == 0 ? 1e-3 : 1e3) + "\n" }
    try folder.write(torn.joined(), to: "torn.jsonl")
    try folder.write(torn[0] + torn[0], to: "twice.jsonl")
    try folder.write(
      MeasuredRecords.text(runCount: 12) + "half a line\n" + MeasuredRecords.record("vague", strategy: "{}"),
      to: "mixed.jsonl")
    try await folder.sextant(["calibrate"] + arguments + ["--output", "profile.json"]).failed(code, phrase)
    #expect(try folder.names == ["empty.jsonl", "mixed.jsonl", "runs.jsonl", "torn.jsonl", "twice.jsonl"])
  }

  @Test func aFittedProfileIsWrittenAsItIsPrintedAndCanBeRead() async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 12), to: "runs.jsonl")
    let request = ["calibrate", "--runs", "runs.jsonl", "--device", "a100-sxm4-80gb"]
    try await folder.sextant(request + ["--output", "profile.json"]).succeeded()
    let printed = try await folder.sextant(request + ["--json", "--threads", "1"]).succeeded()
    #expect(try folder.text(of: "profile.json") == printed)
    #expect(try DeviceProfile(contentsOf: folder.file("profile.json")).name == "a100-sxm4-80gb")
    // Of a device that has no runs among them nothing is learned.
    let together = request + ["--together", "h100-sxm5-80gb", "--together", "v100-sxm2-32gb", "--json"]
    #expect(try await folder.sextant(together).succeeded() == printed)
    try await folder.sextant(request + ["--output", "/dev/full"]).failed(1, "cannot write /dev/full")
  }

  @Test func aBadRecordIsLeftOutAndListedAndTheFitIsThatOfTheOthers() async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 12), to: "clean.jsonl")
    let bad = [
      "half a line", MeasuredRecords.record("run-3", seconds: 50), MeasuredRecords.record("vague", strategy: "{}"),
      MeasuredRecords.record("empty", measured: "{}"), #"{"schema": "sextant.run/1", "id": "stub"}"#,
    ]
    try folder.write(MeasuredRecords.text(runCount: 12) + bad.joined(separator: "\n"), to: "runs.jsonl")
    func fit(_ file: String) async throws -> String {
      try await folder.sextant("calibrate", "--device", "a100-sxm4-80gb", "--runs", file).succeeded()
    }
    let (clean, text) = (try await fit("clean.jsonl"), try await fit("runs.jsonl"))
    #expect(text.hasPrefix(clean))
    #expect(text.contains("5 records are left out:\n"))
    for line in [
      "runs.jsonl:13\n", "has the id of the record at runs.jsonl:3: run-3 (runs.jsonl:14)\n",
      "strategy does not state tensor: vague (runs.jsonl:15)\n", "nothing was measured: empty (runs.jsonl:16)\n",
      "expected the key \"family\", found none: stub (runs.jsonl:17)\n",
    ] {
      #expect(text.contains(line), "\(line)")
    }
  }

  /// Peaks of runs that nobody timed: one in twenty more than is predicted, which the fit takes up.
  @Test func memoryWithoutATimeIsFittedTo() async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 10), to: "timed.jsonl")
    let lines = try await folder.sextant("estimate", "--runs", "timed.jsonl", "--json").succeeded()
    let peaks = try lines.split(separator: "\n").map { line -> Int in
      guard case .object(let members) = try JSON(parsing: Array(line.utf8)),
        case .integer(let bytes)? = members.first(where: { $0.key == "peak_bytes" })?.value
      else { return 0 }
      return bytes
    }
    let records = peaks.enumerated().map { index, bytes in
      MeasuredRecords.record(
        "run-\(index + 1)", layerCount: 4 * (index + 1), measured: "{\"peak_bytes\": \(bytes / 100 * 105)}")
    }
    try folder.write(records.joined(separator: "\n"), to: "runs.jsonl")
    let request = ["calibrate", "--device", "a100-sxm4-80gb", "--runs", "runs.jsonl"]
    let text = try await folder.sextant(request + ["--part", "memory"]).succeeded()
    #expect(!text.contains("left out") && text.contains("memory/"))
    try await folder.sextant(request).failed(65, "only 0 runs on a100-sxm4-80gb can be fitted to")
  }

  @Test func aBadTimingIsLeftOutAndListed() async throws {
    let folder = try Workspace()
    let table = try String(
      contentsOfFile: "\(Shipped.root)/Tests/CostingTests/Inputs/collectives.jsonl", encoding: .utf8)
    try folder.write(#"{"schema": "sextant.collective/1", "ranks": 8}"# + "\n" + table, to: "timings.jsonl")
    let request = ["calibrate", "--device", "a100-sxm4-80gb", "--collectives", "timings.jsonl"]
    let text = try await folder.sextant(request).succeeded()
    #expect(text.contains("1 record is left out:\n  1 × expected the key \"source\", found none: timings.jsonl:1\n"))
    try await folder.sextant(request + ["--strict", "--output", "x.json"]).failed(
      65, "timings.jsonl:1: expected the key")
    #expect(try folder.names == ["timings.jsonl"])
  }

  @Test func timedCollectivesAreFittedFirstAndHeld() async throws {
    let folder = try Workspace()
    let table = "\(Shipped.root)/Tests/CostingTests/Inputs/collectives.jsonl"
    try folder.write(
      MeasuredRecords.text(runCount: 12) + MeasuredRecords.record("foreign", device: "h100-sxm5-80gb") + "\n",
      to: "runs.jsonl")
    let text = try await folder.sextant([
      "calibrate", "--device", "a100-sxm4-80gb", "--collectives", table, "--runs", "runs.jsonl", "--output",
      "both.json",
    ]).succeeded()
    #expect(text.contains("8 ranks on one node"))
    #expect(text.contains("9 timings of other devices are left out"))
    #expect(text.contains("1 × on another device, h100-sxm5-80gb: foreign (runs.jsonl:13)"))
    let collectives = ["calibrate", "--device", "a100-sxm4-80gb", "--collectives", table, "--output", "first.json"]
    try await folder.sextant(collectives).succeeded()
    let first = try DeviceProfile(contentsOf: folder.file("first.json"))
    #expect(try DeviceProfile(contentsOf: folder.file("both.json")).fabric == first.fabric)
  }
}
