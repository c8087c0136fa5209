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
    (["--device", "a100-sxm4-80gb", "--runs", "twice.jsonl"], 65, "two records have the id \"run-1\""),
  ])
  func badInputIsOneLine(arguments: [String], code: Int32, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 2), to: "runs.jsonl")
    try folder.write("", to: "empty.jsonl")
    let torn = (1...12).map { MeasuredRecords.record("run-\($0)", seconds: $0 % 2 == 0 ? 1e-3 : 1e3) + "\n" }
    try folder.write(torn.joined(), to: "torn.jsonl")
    try folder.write(torn[0] + torn[0], to: "twice.jsonl")
    try await folder.sextant(["calibrate"] + arguments + ["--output", "profile.json"]).failed(code, phrase)
    #expect(try folder.names == ["empty.jsonl", "runs.jsonl", "torn.jsonl", "twice.jsonl"])
  }

  @Test func aFittedProfileIsWrittenAsItIsPrintedAndCanBeRead() async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 12), to: "runs.jsonl")
    let request = ["calibrate", "--runs", "runs.jsonl", "--device", "a100-sxm4-80gb"]
    try await folder.sextant(request + ["--output", "profile.json"]).succeeded()
    let printed = try await folder.sextant(request + ["--json", "--threads", "1"]).succeeded()
    #expect(try folder.text(of: "profile.json") == printed)
    #expect(try DeviceProfile(contentsOf: folder.file("profile.json")).name == "a100-sxm4-80gb")
    try await folder.sextant(request + ["--output", "/dev/full"]).failed(1, "cannot write /dev/full")
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
    #expect(text.contains("1 × on another device, h100-sxm5-80gb: foreign"))
    let collectives = ["calibrate", "--device", "a100-sxm4-80gb", "--collectives", table, "--output", "first.json"]
    try await folder.sextant(collectives).succeeded()
    let first = try DeviceProfile(contentsOf: folder.file("first.json"))
    #expect(try DeviceProfile(contentsOf: folder.file("both.json")).fabric == first.fabric)
  }
}
