import Documents
import Testing

/// Options that are given more than once: nothing is dropped.
@Suite struct RepeatedOptionTests {
  private let plan = ["plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16"]

  @Test func whatIsFixedTwiceIsFixedTogether() async throws {
    let folder = try Workspace()
    try await folder.sextant(plan + ["--fix", "tensor=1", "--fix", "pipeline=2", "--output", "plan.json"]).succeeded()
    let read = try Plan(contentsOf: folder.file("plan.json"))
    #expect(read.question.fixed.tensorDegree == 1 && read.question.fixed.pipelineDegree == 2)
    try await folder.sextant(plan + ["--fix", "tensor=1", "--fix", "tensor=2"])
      .failed(65, "--fix: the key \"tensor\" is given twice")
  }

  @Test func aStrategyMayBeStatedInParts() async throws {
    let estimate = ["estimate"] + plan.dropFirst()
    let whole = try await Workspace().sextant(estimate + ["--strategy", "tensor=2,pipeline=2"]).succeeded()
    let parts = try await Workspace().sextant(estimate + ["--strategy", "tensor=2", "--strategy", "pipeline=2"])
      .succeeded()
    #expect(whole == parts)
  }

  @Test func whatIsAllowedTwiceIsAllowed() async throws {
    let allowed = ["--tolerance", "0.02", "--allow", "zero++", "--allow", "zero++"]
    try await Workspace().sextant(plan + allowed).succeeded()
    try await Workspace().sextant(plan + ["--tolerance", "0.02", "--allow", "zero++", "--allow", "zero--"])
      .failed(64, "--allow knows zero++, zeroth-order, co2, low-precision, not \"zero--\"")
  }

  @Test(arguments: [
    (["--cluster", "dgx-a100-4"], "--cluster is given twice, as \"dgx-a100-1\" and as \"dgx-a100-4\""),
    (["--global-batch=32"], "--global-batch is given twice, as \"16\" and as \"32\""),
    (["--output", "a.json", "--output", "b.json"], "--output is given twice, as \"a.json\" and as \"b.json\""),
  ])
  func anOptionThatContradictsItselfIsRefused(arguments: [String], phrase: String) async throws {
    let folder = try Workspace()
    try await folder.sextant(plan + arguments).failed(64, phrase)
    #expect(try folder.names.isEmpty)
  }

  @Test func severalFilesOfRunsAreEstimatedOneByOne() async throws {
    try await Workspace().sextant("estimate", "--runs", "a.jsonl", "--runs", "b.jsonl")
      .failed(64, "--runs is given twice, as \"a.jsonl\" and as \"b.jsonl\"")
    // What takes several reads them in their order.
    try await Workspace().sextant("validate", "--runs", "a.jsonl", "--runs", "b.jsonl").failed(65, "a.jsonl")
  }

  @Test(arguments: ["loopback", "coordinate"])
  func aFlagAndItsOppositeAreRefused(flag: String) async throws {
    let run = try await Workspace().sextant("profile", "links", "--\(flag)", "--no-\(flag)")
    run.failed(64, "--no-\(flag)", "--\(flag)")
  }

  @Test func anOptionThatIsRepeatedAsItIsHolds() async throws {
    try await Workspace().sextant(plan + ["--model", "gpt2", "--json", "--json"]).succeeded()
  }

  @Test(arguments: ["1e30", "nan", "inf", "-1", "0"])
  func aTimeLimitThatIsNoneSaysWhatIsAllowed(limit: String) async throws {
    try await Workspace().sextant(plan + ["--time-limit=\(limit)"])
      .failed(64, "--time-limit is above 0 and at most 1e9 seconds, not ")
  }
}
