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
  ])
  func badInputIsOneLine(arguments: [String], code: Int32, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(MeasuredRecords.text(runCount: 2), to: "runs.jsonl")
    try folder.write("", to: "empty.jsonl")
    try await folder.sextant(["calibrate"] + arguments + ["--output", "profile.json"]).failed(code, phrase)
    #expect(try folder.names == ["empty.jsonl", "runs.jsonl"])
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
}
