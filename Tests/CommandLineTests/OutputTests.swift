import Foundation
import Testing

/// What cannot be written is a failure in one line, and what was there before stays.
@Suite struct OutputTests {
  private let request = ["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--output"]

  @Test func aFullDiskIsAFailure() async throws {
    try await Workspace().sextant(request + ["/dev/full"])
      .failed(1, "cannot write /dev/full: No space left on device")
  }

  @Test func aDirectoryIsNotOverwritten() async throws {
    let folder = try Workspace()
    try FileManager.default.createDirectory(atPath: folder.file("plan.json"), withIntermediateDirectories: false)
    try await folder.sextant(request + ["plan.json"]).failed(1, "cannot write plan.json: is a directory")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("plan.json")).isEmpty)
  }

  @Test(arguments: [
    ("file/plan.json", "Not a directory"), ("missing/plan.json", "No such file or directory"),
    ("", "cannot write \"\""),
    ("/proc/plan.json", "cannot write /proc/plan.json"),
  ])
  func aPlaceThatIsNoneIsAFailure(path: String, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write("a file", to: "file")
    try await folder.sextant(request + [path]).failed(1, phrase)
    #expect(try folder.names == ["file"])
    #expect(try folder.text(of: "file") == "a file")
  }

  @Test func aReadOnlyFileStaysAsItIs() async throws {
    guard getuid() != 0 else { return }
    let folder = try Workspace()
    try folder.write("kept", to: "plan.json")
    try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: folder.file("plan.json"))
    try await folder.sextant(request + ["plan.json"]).failed(1, "cannot write plan.json: Permission denied")
    #expect(try folder.text(of: "plan.json") == "kept")
  }

  @Test func badInputLeavesTheOutputAlone() async throws {
    let folder = try Workspace()
    try folder.write("kept", to: "plan.json")
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "missing.json", "--global-batch", "16", "--output", "plan.json"
    ).failed(65, "missing.json")
    #expect(try folder.text(of: "plan.json") == "kept")
  }

  @Test func standardOutputThatIsFullIsAFailure() async throws {
    try await Workspace().sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", outputTo: "/dev/full"
    ).failed(1, "standard output: cannot write")
  }

  /// Once the process died of a signal, without a word.
  @Test func aReaderThatHasGoneAwayIsAFailureAndNotASignal() async throws {
    let folder = try Workspace()
    let line =
      "{ sleep 0.2; '\(Workspace.executable)' plan --help >/dev/null; "
      + "'\(Workspace.executable)' plan --cluster dgx-a100-1 --model gpt2 --global-batch 16; echo $? >code; } | true; "
      + "while ! [ -s code ]; do sleep 0.1; done"
    let run = try await folder.shell(line)
    #expect(run.errors == "sextant: standard output: cannot write\n")
    #expect(try folder.text(of: "code") == "1\n")
  }

  /// What takes long begins only once there is a place for its outcome.
  @Test(arguments: [
    ["plan", "--cluster", "missing", "--model", "gpt2", "--global-batch", "16", "--output", "no/x.json"],
    ["calibrate", "--runs", "missing", "--device", "missing", "--output", "no/x.json"],
    ["validate", "--runs", "missing", "--plot", "no/x.svg"],
    ["validate", "--runs", "missing", "--report", "no/x.md"],
    ["import", "missing", "--from", "megatron-lm", "--output", "no/x.json"],
    ["profile", "import", "missing", "--output", "no/x.json"],
    ["dry-run", "missing", "--trace", "no/x.json"],
    ["export", "missing", "--launcher", "slurm", "--output", "no/folder"],
    ["profile", "links", "--rank", "0", "--size", "2", "--rendezvous", "127.0.0.1:0", "--output", "no/x.json"],
  ])
  func anOutputIsTriedBeforeAnythingElse(arguments: [String]) async throws {
    let folder = try Workspace()
    try await folder.sextant(arguments).failed(1, "cannot write no/")
    #expect(try folder.names.isEmpty)
  }

  @Test func aTryLeavesWhatIsThere() async throws {
    let folder = try Workspace()
    try folder.write("kept", to: "x.json")
    try await folder.sextant("calibrate", "--runs", "missing", "--device", "missing", "--output", "x.json")
      .failed(65, "missing")
    #expect(try folder.text(of: "x.json") == "kept")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count { $0.hasSuffix(".tmp") } == 0)
  }
}
