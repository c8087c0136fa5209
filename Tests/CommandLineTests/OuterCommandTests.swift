import Foundation
import TestSupport
import Testing

/// Workers with outer steps from the command line: planned, explained, verified, executed, and exported to nobody.
@Suite struct OuterCommandTests {
  private static func request(_ rest: String...) -> [String] {
    ["plan", "--cluster", "h100-sites-12", "--model", "gpt2", "--global-batch", "384", "--sequence", "1024"] + rest
  }

  @Test func aPlanGoesAllTheWayButToALauncher() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      Self.request(
        "--allow", "co2", "--outer-period", "50...500", "--outer-momentum", "0.25", "--outer-clip", "2",
        "--outer-penalty", "gap-aware", "--fix", "tensor=1,pipeline=1", "--output", folder.file("plan.json"))
    ).succeeded()
    for phrase in [
      "Algorithmically different: workers train apart from each other between outer steps (CO2)",
      "Algorithmically different: 3 workers", "can run each worker", "Workers: 3 of 4 nodes, an outer step every",
      "β 0.25, α 1.0, clip ±2.0, gap-aware penalty 1.0", "A round: ", "hidden, as from",
      "Against gradients of all devices in every iteration", "of its tokens/s", "first-order training",
    ] { #expect(text.contains(phrase), "\(phrase): \(text)") }
    let explained = try await folder.sextant("explain", folder.file("plan.json")).succeeded()
    #expect(explained.contains("given up: a gradient of another worker enters up to"))
    let verified = try await folder.sextant("verify", folder.file("plan.json")).succeeded()
    #expect(verified.contains("The plan holds"))
    let executed = try await folder.sextant("dry-run", folder.file("plan.json"), "--steps", "2").succeeded()
    #expect(executed.contains("The plan holds in miniature"))
    try await folder.sextant(
      "export", folder.file("plan.json"), "--for", "megatron-lm", "--output", folder.file("launch")
    ).failed(2, "no outer steps between workers")
    #expect(!FileManager.default.fileExists(atPath: folder.file("launch")))
    let plan = try String(contentsOfFile: folder.file("plan.json"), encoding: .utf8)
    for (part, other, complaint) in [
      ("\"staleness\": 1", "\"staleness\": 0", "/outer: outer is not what the strategy says"),
      ("\"outer_staleness\": 1", "\"outer_staleness\": 2", "expected an integer from 0 to 1"),
      ("\"outer_periods\": [50, 500]", "\"outer_periods\": [1, 2]", "changes values by more than is allowed"),
    ] {
      #expect(plan.contains(part), "\(part)")
      try plan.replacingOccurrences(of: part, with: other)
        .write(toFile: folder.file("edited.json"), atomically: true, encoding: .utf8)
      try await folder.sextant("explain", folder.file("edited.json")).failed(65, complaint)
    }
  }

  /// What runs under a framework is told what workers would gain, though the framework has none.
  @Test func workersAreAChangeOfWhatRuns() async throws {
    let folder = try Workspace()
    let examples = "\(Shipped.root)/docs/examples/running"
    _ = try await folder.sextant(
      "import", "--from", "deepspeed", "\(examples)/ds_config.json", "\(examples)/hostfile", "--model", "llama-3-8b",
      "--output", folder.file("running.json")
    ).succeeded()
    let text = try await folder.sextant(
      "plan", "--device", "a100-sxm4-80gb", "--devices", "32", "--per-node", "8", "--inter", "0.3GB/s", "--model",
      "llama-3-8b", "--global-batch", "256", "--sequence", "4096", "--compare", folder.file("running.json"), "--allow",
      "co2", "--outer-period", "12", "--fix", "tensor=1,pipeline=1"
    ).succeeded()
    #expect(text.contains("update: first-order -> outer (4 workers, every 12 iterations): "), "\(text)")
    #expect(text.contains("% less time"))
  }

  @Test func whatCannotBeIsRefusedInALine() async throws {
    let folder = try Workspace()
    for (flags, complaint) in [
      (["--allow", "co2"], "--outer-period has to say"), (["--outer-period", "12...48"], "is for --allow co2"),
      (["--allow", "co2", "--outer-period", "48...12"], "not \"48...12\""),
      (["--allow", "co2", "--outer-period", "0"], "not \"0\""),
      (["--allow", "co2", "--outer-period", "2000000"], "expected periods from 1 to 1000000"),
      (["--allow", "co2", "--outer-period", "1...2...3"], "not \"1...2...3\""),
      (["--allow", "co2,co3", "--outer-period", "12"], "not \"co3\""),
      (["--tolerance", "0.02"], "--tolerance is for --allow zero++, co2 and low-precision"),
      (["--fix", "worker=3"], "/worker: changes the optimisation: it needs co2 allowed"),
      (["--fix", "outer_period=12"], "/outer_period: changes the optimisation"),
      (["--allow", "co2", "--outer-period", "12", "--outer-momentum", "1"], "--outer-momentum: expected a number"),
      (["--allow", "co2", "--outer-period", "12", "--outer-clip", "nan"], "--outer-clip: expected a number"),
      (
        ["--allow", "co2", "--outer-period", "12", "--outer-penalty", "0.5"],
        "--outer-penalty: expected a number from 1"
      ),
      (["--allow", "co2", "--outer-period", "12", "--outer-penalty", "gap"], "--outer-penalty is a number from 1"),
    ] {
      try await folder.sextant(
        ["plan", "--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "64", "--sequence", "1024"] + flags
      ).failed(64, complaint)
    }
    for (strategy, complaint) in [
      ("worker=2", "are of update outer"), ("outer_period=12", "are of update outer"),
      ("update=outer,worker=8", "does not fill whole nodes of 8 devices"),
      ("update=outer,outer_format=int8", "nothing to round"), ("update=outer,worker=3", "not the 32 devices"),
      ("update=outer,worker=4,outer_staleness=2", "expected an integer from 0 to 1"),
    ] {
      try await folder.sextant(
        "estimate", "--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "64", "--sequence", "1024",
        "--strategy", strategy
      ).failed(65, complaint)
    }
    try await folder.sextant(
      "estimate", "--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "64", "--sequence", "1024",
      "--precision", "fp16", "--strategy", "update=outer,worker=4"
    ).failed(65, "skip steps of their own")
  }
}
