import Foundation
import JSONText
import TestSupport
import Testing

@Suite struct DryRunCommandTests {
  /// A plan of two stages, two tensor ranks and two replicas, made once.
  private static let plan = Task {
    let folder = try Workspace()
    let text = try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix",
      "tensor=2,pipeline=2,virtual_stages=1", "--json"
    ).succeeded()
    return try JSON(parsing: Array(text.utf8))
  }

  private static func folder(_ edit: (JSON) -> JSON = { $0 }) async throws -> Workspace {
    let folder = try Workspace()
    try folder.write(edit(try await plan.value), to: "plan.json")
    return folder
  }

  @Test func aPlanHoldsInMiniature() async throws {
    let text = try await Self.folder().sextant("dry-run", "plan.json", "--steps", "2").succeeded()
    for phrase in [
      "The plan holds in miniature: 8 ranks (tensor 2, data 2, pipeline 2) trained 12 layers for 2 steps",
      "Smaller than planned: ", "hidden size 768 → ", "embedding  nvlink", "activations", "Bubble: 2 idle passes",
    ] {
      #expect(text.contains(phrase), "\(phrase) in \(text)")
    }
  }

  /// What is multiplied in FP8 is planned, priced, exported and executed so; without gradients it is executed in bf16, which is
  /// said.
  @Test func aPlanWithNarrowProductsSaysHowItIsExecuted() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "dgx-h100-1", "--model", "gpt2", "--global-batch", "16", "--precision",
      "fp8-current-scaling",
      "--fix", "tensor=2,sequence_parallel=true", "--output", "plan.json"
    ).succeeded()
    let text = try await folder.sextant("dry-run", "plan.json", "--steps", "1").succeeded()
    #expect(text.contains("The plan holds in miniature"))
    #expect(
      text.contains("Operands of products are rounded to those of fp8-current-scaling, in the ranks and in the ref"))
    #expect(text.contains("Weights of products are cast before replicas gather them, 8 bits each"))
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "out").succeeded()
    #expect(
      try folder.text(of: "out/megatron-arguments.txt").contains("--fp8-format\nhybrid\n--fp8-recipe\ntensorwise"))
    try await folder.sextant(
      "plan", "--cluster", "dgx-h100-1", "--model", "gpt2", "--global-batch", "16", "--precision", "fp8-delayed",
      "--allow", "zeroth-order", "--fix", "update=zeroth-order", "--output", "losses.json"
    ).succeeded()
    let losses = try await folder.sextant("dry-run", "losses.json", "--steps", "1").succeeded()
    #expect(losses.contains("Products are executed in bf16 and not in fp8-delayed: what is cast is not tried."))
    let json = try await folder.sextant("dry-run", "plan.json", "--steps", "1", "--json").succeeded()
    #expect(json.contains("\"products\": \"fp8-current-scaling\""))
  }

  @Test func aPlanRunsOnTheClock() async throws {
    let folder = try await Self.folder()
    let text = try await folder.sextant("dry-run", "plan.json", "--trace", "trace.json").succeeded()
    for phrase in [
      "On the clock an iteration takes ", "2 ranks of 8 simulated, one for each stage", "stage  compute",
      "Activations held",
    ] {
      #expect(text.contains(phrase), "\(phrase) in \(text)")
    }
    let trace = try JSON(parsing: Array(folder.text(of: "trace.json").utf8))
    guard case .object(let members) = trace else {
      Issue.record("the trace is no object")
      return
    }
    #expect(members.map(\.key) == ["displayTimeUnit", "traceEvents"])
    let document = try await folder.sextant("dry-run", "plan.json", "--timed", "--json").succeeded()
    #expect(document.contains("\"iteration_seconds\"") && document.contains("\"peak_activation_bytes\""))
  }

  @Test func aTraceThatCannotBeWrittenIsAFailure() async throws {
    try await Self.folder().sextant("dry-run", "plan.json", "--trace", "no/such/folder/trace.json")
      .failed(1, "no/such/folder/trace.json")
  }

  @Test func anEditedPlanDoesNotRunOnTheClock() async throws {
    let folder = try await Self.folder { $0.replacing("/prediction/iteration_seconds", with: .number(1)) }
    try await folder.sextant("dry-run", "plan.json", "--timed").failed(3, "was edited after it was written")
  }

  @Test func threadsGiveTheSameDocument() async throws {
    let folder = try await Self.folder()
    let turns = try await folder.sextant("dry-run", "plan.json", "--json").succeeded()
    #expect(try await folder.sextant("dry-run", "plan.json", "--json", "--threads").succeeded() == turns)
    guard case .object(let members) = try JSON(parsing: Array(turns.utf8)) else {
      Issue.record("the document is no object")
      return
    }
    #expect(members.first?.key == "holds" && members.first?.value == .boolean(true))
  }

  @Test func fewerRanksAreSaid() async throws {
    let folder = try await Self.folder()
    try await folder.sextant("dry-run", "plan.json", "--ranks", "4").failed(65, "needs 8 ranks, but only 4 are allowed")
  }

  @Test func anEditedPredictionDoesNotHold() async throws {
    let folder = try await Self.folder { $0.replacing("/prediction/iteration_seconds", with: .number(1)) }
    try await folder.sextant("dry-run", "plan.json")
      .failed(3, "was edited after it was written: /prediction/iteration_seconds states 1.0")
  }

  @Test func anEditedGroupIsBadInput() async throws {
    let folder = try await Self.folder { $0.replacing("/groups/data", with: .array([])) }
    try await folder.sextant("dry-run", "plan.json").failed(65, "groups is not what the strategy says")
  }

  @Test(arguments: [["--steps", "0"], ["--ranks", "0"], ["--optimizer", "lion"], ["--steps", "x"], []])
  func aWrongFlagIsAUsageError(flags: [String]) async throws {
    let folder = try await Self.folder()
    let plan = flags.isEmpty ? [] : ["plan.json"]
    try await folder.sextant(["dry-run"] + plan + flags).failed(64, "(see sextant --help)")
  }
}
