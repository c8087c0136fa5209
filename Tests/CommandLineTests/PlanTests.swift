import Documents
import Foundation
import JSONText
import TestSupport
import Testing

@Suite struct PlanTests {
  @Test func aPlanIsWrittenAsItIsPrintedAndExplainedAsItWasSummarised() async throws {
    let folder = try Workspace()
    let request = ["plan", "--cluster", "dgx-a100-1", "--model", "llama-3-8b", "--global-batch", "8"]
    let summary = try await folder.sextant(request + ["--output", "plan.json"]).succeeded()
    let document = try await folder.sextant(request + ["--json"]).succeeded()
    #expect(summary.contains("llama-3-8b (8,030,261,248 parameters) on dgx-a100-1"))
    #expect(try folder.text(of: "plan.json") == document)
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.certificate.ending == .exhausted)
    #expect(plan.job.globalBatch == 8)

    let explained = try await folder.sextant("explain", "plan.json").succeeded()
    // What is not computed again is marked.
    #expect(explained.hasPrefix("Other strategies and the search below are the file's own claim"))
    // A plan does not know what nobody stated.
    let plain = summary.replacing(" (default)", with: "")
    #expect(
      explained.contains(plain + "\nWhat the plan hangs on") || explained.contains(plain + "What the plan hangs on"))
    #expect(try await folder.sextant("explain", "plan.json", "--json").succeeded() == document)
    #expect(try folder.names == ["plan.json"])
  }

  @Test func aPlanIsTheSameFromRunToRunAndForAnyNumberOfThreads() async throws {
    let folder = try Workspace()
    var plans: [String] = []
    for threads in ["1", "2", "1", "7"] {
      plans.append(
        try await folder.sextant(
          "plan", "--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "64", "--json", "--threads", threads
        ).succeeded())
    }
    #expect(Set(plans).count == 1)
  }

  @Test func whatIsFixedIsInThePlan() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix",
      "tensor=2,zero_stage=1,recompute=full", "--output", "plan.json", "--top", "1"
    ).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.strategy.tensorDegree == 2)
    #expect(plan.strategy.zeroStage == .optimizer)
    #expect(plan.strategy.recompute == .full)
  }

  @Test func aJobFileSaysWhatTheOptionsWould() async throws {
    let folder = try Workspace()
    let job = try TrainingJob(model: Shipped.catalog.model("gpt2"), sequenceLength: 1_024, globalBatch: 16)
    try folder.write(job.json, to: "job.json")
    let fromFile = try await folder.sextant("plan", "--cluster", "dgx-a100-1", "--job", "job.json").succeeded()
    let fromOptions = try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16"
    ).succeeded()
    // The file states what the options leave open.
    #expect(fromOptions.contains("sequence 1,024 (default)") && !fromFile.contains("sequence 1,024 (default)"))
    #expect(fromFile.replacing(" (default)", with: "") == fromOptions.replacing(" (default)", with: ""))
  }

  @Test func anExistingPlanIsReplacedAndALinkToItStays() async throws {
    let folder = try Workspace()
    try folder.write("old", to: "real.json")
    try FileManager.default.createSymbolicLink(atPath: folder.file("plan.json"), withDestinationPath: "real.json")
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--output", "plan.json"
    ).succeeded()
    #expect(try Plan(contentsOf: folder.file("real.json")).job.globalBatch == 16)
    #expect(try folder.names == ["plan.json", "real.json"])
  }

  /// Seconds of search in any build.
  private let longRequest = [
    "plan", "--cluster", "dgx-a100-128", "--model", "megatron-1t", "--global-batch", "3072", "--top", "100",
    "--threads",
    "1",
  ]

  @Test func ctrlCWritesTheBestSoFarAndSaysSo() async throws {
    let folder = try Workspace()
    var delay = 1.0
    for _ in 0..<6 {
      let run = try await folder.sextant(longRequest + ["--output", "plan.json"], interruptedAfter: delay)
      if run.exitCode == 130, run.errors.isEmpty {
        #expect(run.output.contains("interrupted, within") || run.output.contains("interrupted before any strategy"))
        #expect(try Plan(contentsOf: folder.file("plan.json")).certificate.ending == .interrupted)
        return
      }
      // A fast machine was done before, a busy one had not yet begun.
      if run.exitCode == 0 {
        delay /= 2
      } else {
        run.failed(130, "interrupted before any strategy was completed")
        delay *= 2
      }
    }
    Issue.record("the search was never interrupted in its midst")
  }

  @Test func aTimeLimitGivesTheBestSoFarAndSaysSo() async throws {
    let folder = try Workspace()
    for limit in ["1", "2", "4", "8"] {
      let run = try await folder.sextant(longRequest + ["--time-limit", limit])
      if run.exitCode == 0 {
        // A fast machine is done before.
        #expect(run.output.contains("stopped by the time limit") || run.output.contains("optimal under the model"))
        return
      }
      run.failed(1, "the time limit was reached before any strategy was completed")
    }
    Issue.record("no strategy was completed")
  }
}
