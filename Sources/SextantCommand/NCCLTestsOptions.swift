import ArgumentParser
import Sextant

/// How the site's nccl-tests are run.
struct NCCLTestsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The command that starts ranks on hosts; {hosts} and {ranks} stand for what they are in each run.",
      valueName: "command"))
  var launcher = "mpirun -np {ranks} --host {hosts}"

  @Option(help: ArgumentHelp("What to run on each pair of hosts.", valueName: "command"))
  var pairTest = "sendrecv_perf -b 4M -e 1G -f 4 -g 1"

  @Option(help: ArgumentHelp("What to run on all hosts together, such as all_reduce_perf.", valueName: "command"))
  var groupTest: String?

  @Option(help: ArgumentHelp("The most a run may take.", valueName: "seconds"))
  var runTimeout = 120.0

  func validate() throws {
    guard !Self.words(pairTest).isEmpty else { throw ValidationError("--pair-test is a command") }
    guard groupTest.map({ !Self.words($0).isEmpty }) ?? true else { throw ValidationError("--group-test is a command") }
    guard (0.1...86_400).contains(runTimeout) else { throw ValidationError("--run-timeout is from 0.1 to 86400") }
  }

  var engine: LinkMeasurement.Engine {
    .ncclTests(
      launcher: Self.words(launcher), pair: Self.words(pairTest), group: groupTest.map(Self.words),
      timeLimitSeconds: runTimeout)
  }

  private static func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }
}
