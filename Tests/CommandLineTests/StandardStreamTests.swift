import Foundation
import Testing

/// Whatever is wrong with the streams that a process is given, it ends with the exit code that was meant, and writes
/// nothing where it does not belong.
@Suite struct StandardStreamTests {
  private static let sextant = "'\(Workspace.executable)'"

  /// Commands that complain, with their exit codes.
  static let complaints: [(command: String, code: Int32)] = [
    ("plan --bogus", 64), ("verify nothing.json", 65),
    ("plan --cluster dgx-a100-1 --model megatron-1t --global-batch 64", 2),
  ]

  @Test(arguments: complaints, ["2> /dev/full", "2>&-"])
  func aComplaintThatCannotBeWrittenChangesNoExitCode(
    complaint: (command: String, code: Int32), redirection: String
  ) async throws {
    let run = try await Workspace().shell("\(Self.sextant) \(complaint.command) > /dev/null \(redirection)")
    #expect(run.exitCode == complaint.code)
  }

  @Test(arguments: complaints)
  func aComplaintWhoseReaderHasGoneChangesNoExitCode(complaint: (command: String, code: Int32)) async throws {
    let folder = try Workspace()
    // The other end is closed before anything is said.
    _ = try await folder.shell(
      "{ sleep 0.3; \(Self.sextant) \(complaint.command) > /dev/null; echo $? > code; } 2>&1 | true; "
        + "while ! [ -s code ]; do sleep 0.1; done")
    #expect(try folder.text(of: "code") == "\(complaint.code)\n")
  }

  @Test(arguments: ["--help", "plan --help", "--version"], ["> /dev/full", ">&-"])
  func helpThatCannotBeWrittenIsAFailure(command: String, redirection: String) async throws {
    let run = try await Workspace().shell("\(Self.sextant) \(command) \(redirection)")
    run.failed(1, "standard output: cannot write")
  }

  @Test func aFileThatIsOpenedDoesNotTakeTheNumberOfAClosedStream() async throws {
    let folder = try Workspace()
    let run = try await folder.shell(
      "\(Self.sextant) plan --cluster dgx-a100-1 --model gpt2 --global-batch 16 --output plan.json >&- 2>&- <&-; "
        + "code=$?; \(Self.sextant) verify plan.json > /dev/null && exit $code")
    // The plan is whole and nothing but a plan; what was printed could not be.
    #expect(run.exitCode == 1 && run.errors.isEmpty)
  }

  /// A limit on the size of files sends its signal in the middle of writing.
  @Test func aSignalInTheMiddleOfAFileLeavesNone() async throws {
    let folder = try Workspace()
    let run = try await folder.shell(
      "ulimit -c 0; ulimit -f 16; exec env --default-signal=XFSZ \(Self.sextant) plan --cluster dgx-a100-1 --model gpt2 --global-batch 16 "
        + "--output plan.json > /dev/null")
    #expect(run.exitCode == 128 + SIGXFSZ, "\(run.errors)")
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { !$0.hasPrefix(".run-") }
    #expect(left.isEmpty, "\(left)")
  }
}
