public import ArgumentParser
import JSONText
public import Sextant

/// `sextant dry-run`.
struct DryRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dry-run",
    abstract: "Execute a plan, in miniature on numbers or at full size on a clock, and compare what happens.",
    discussion: """
      A small transformer is trained in one process, by ranks that compute and send what the plan says: its groups, \
      stages, schedule, layer ranges and collectives. Losses, gradient norms and parameters are compared with one rank \
      that trains alone, bytes sent and held with what the cost model counts for the same miniature, idle passes with \
      the schedule. Where the plan multiplies in FP8, MXFP8 or NVFP4, operands are rounded to that, by ranks and reference \
      alike; where they are not, the report says so. Exit code 3 when anything differs.

      With --timed the same programs run at full size in virtual time: computation takes what the cost model says, flows \
      that take the same links at the same time share them. The report says how far that is from the plan's prediction, \
      and why; the options from --ranks to --precision-emulation do not bear on it. --trace writes the iteration for Perfetto (ui.perfetto.dev) or chrome://tracing.

      Example: sextant dry-run plan.json --ranks 16
      Example: sextant dry-run plan.json --timed --trace trace.json
      """)

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Option(help: "The most ranks to execute, 1 to 1024; a plan with more is shrunk.")
  var ranks = 64

  @Option(help: "Optimizer steps, 1 to 100.")
  var steps = 3

  @Option(help: "planned (the plan's own), adam or sgd.")
  var optimizer = DryRun.Options.Optimizer.planned

  @Option(help: "Seed of parameters, tokens and dropout.")
  var seed: UInt64 = 1

  @Option(
    help: "Where tokens go to experts: balanced (as many to each, as the plan counts) or learned (by the routers).")
  var routing = DryRun.Options.Routing.balanced

  @Flag(help: "Give every rank a thread; the numbers are the same.")
  var threads = false

  @Flag(help: "Round what is kept or sent to what the plan stores; otherwise fp32.")
  var precisionEmulation = false

  @Flag(help: "Run one iteration at full size in virtual time instead of training in miniature.")
  var timed = false

  @Option(help: ArgumentHelp("Where to write a trace of the iteration; implies --timed.", valueName: "file"))
  var trace: String?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...1024).contains(ranks) else { throw ValidationError("--ranks is from 1 to 1024") }
    guard (1...100).contains(steps) else { throw ValidationError("--steps is from 1 to 100") }
  }

  func run() throws {
    try reportingErrors {
      if let trace { try tryWritingFile(at: trace) }
      let read = try Plan.file(plan)
      if timed || trace != nil { return try runTimed(read) }
      var options = DryRun.Options()
      options.rankLimit = ranks
      options.stepCount = steps
      options.optimizer = optimizer
      options.seed = seed
      options.routing = routing
      options.usesThreads = threads
      options.emulatesPrecision = precisionEmulation
      let run = try DryRun(read, options: options, source: plan)
      let report = run.execution.map { DryRunReport(miniature: $0.miniature, run: $0.run) }
      if json, let report { try emit(report.json.text(style: .pretty)) }
      if let sentence = DryRunReport.complaint(run.verdict) { throw complaint("\(plan): \(sentence)", .disagreement) }
      if !json, let report { try emit(report.text) }
    }
  }

  private func runTimed(_ read: Plan) throws {
    switch try TimedDryRun.run(read, source: plan) {
    case .failure(let refusal):
      throw complaint("\(plan): \(DryRunReport.complaint(refusal.verdict) ?? "")", .disagreement)
    case .success(let run):
      if let trace { try run.writeTrace(to: trace) }
      let report = TimedDryRunReport(run: run)
      try emit(json ? report.json.text(style: .pretty) : report.text)
    }
  }
}

extension DryRun.Options.Optimizer: ExpressibleByArgument {}
extension DryRun.Options.Routing: ExpressibleByArgument {}
