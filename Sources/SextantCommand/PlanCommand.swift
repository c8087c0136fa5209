import ArgumentParser
import JSONText
import Sextant

/// `sextant plan`.
struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Find the best way to train a model on a cluster.",
    discussion: """
      Example: sextant plan --cluster dgx-a100-16 --model gpt3-175b --global-batch 512 --output plan.json

      Several numbers of nodes or batches are a table: time, tokens per second, costs where a device's price is given, and \
      the best marked. Example: sextant plan --cluster dgx-h100-16 --nodes 2,4,8,16 --model llama-3-8b --global-batch 512 \
      --price-per-device-hour 2.5
      """)

  @OptionGroup var workload: WorkloadOptions

  @Option(
    help: ArgumentHelp(
      "Parts of the strategy that are not to be searched, such as tensor=8,zero_stage=1.", valueName: "key=value,…"))
  var fix: [String] = []

  @OptionGroup var methods: AllowanceOptions

  @Option(
    help: ArgumentHelp(
      """
      Share by which the plan may be slower than the fastest to be plainer, 0 to 0.5: fewer mechanisms, then lower degrees. \
      Without it 0.01, or the difference that measured runs of such jobs do not tell apart, where that is known and more.
      """,
      valueName: "fraction"))
  var margin: Double?

  @Option(help: "How many of the best to list, 1 to 100.")
  var top: Int = 5

  @Option(help: "Threads that price strategies; the plan does not depend on it.")
  var threads: Int?

  @Option(
    help: ArgumentHelp("Stop after so many seconds with the best so far; such a plan says so.", valueName: "seconds"))
  var timeLimit: Double?

  @Option(
    help: ArgumentHelp(
      "Compare with a running configuration that import wrote, and say what to change first.", valueName: "file"))
  var compare: String?

  @OptionGroup var sweep: SweepOptions

  @Option(help: ArgumentHelp("Write the plan here, or the table of several as JSON.", valueName: "file"))
  var output: String?

  @Flag(help: "Print the plan itself, or the table as JSON, instead of a summary.")
  var json = false

  func validate() throws {
    guard (1...100).contains(top) else { throw ValidationError("--top is from 1 to 100") }
    guard (0...0.5).contains(margin ?? 0) else { throw ValidationError("--margin is from 0 to 0.5") }
    guard (1...256).contains(threads ?? 1) else { throw ValidationError("--threads is from 1 to 256") }
    guard (timeLimit ?? 1) > 0, (timeLimit ?? 1) <= 1e9 else {
      throw ValidationError("--time-limit is above 0 and at most 1e9 seconds, not \(timeLimit ?? 0)")
    }
    guard compare == nil || !isSweep else {
      throw ValidationError("--compare is about one plan, and not about a table")
    }
  }

  func run() throws {
    try reportingErrors {
      if let output { try tryWritingFile(at: output) }
      if isSweep { return try runSweep() }
      let fixed = try self.fixed()
      let planner = try workload.planner()
      let running = try compare.map { (path) throws(SextantError) in try Configuration.file(path) }
      // What contradicts the question is said before the search.
      if let running { _ = try planner.estimate(running) }
      let interruption = Interruption()
      var progress = ProgressLine()
      let answer = try planner.best(
        fixing: fixed, allowing: methods.allowance(), options: options, isInterrupted: { interruption.isRequested },
        progress: { done, total in progress.show(done: done, of: total, doing: "strategies") })
      progress.clear()
      switch answer {
      case .failure(let no):
        switch no.reason {
        case .interrupted: throw complaint("\(no)", .interrupted)
        case .timeLimit: throw complaint("\(no)", .failure)
        case .noStrategy, .memory: throw complaint(InfeasibilityReport(no: no).sentence, .infeasible)
        }
      case .success(let plan):
        if let output { try plan.write(to: output) }
        let comparison = try running.map { (running) throws(SextantError) in
          try planner.comparison(of: running, with: plan)
        }
        let beside = comparison.map { ComparisonReport(comparison: $0).text } ?? ""
        try emit(
          json
            ? comparison?.json(beside: plan) ?? plan.json
            : PlanReport(plan: plan.document, defaults: planner.defaults).text + beside)
        if plan.certificate.ending == .interrupted { throw ExitStatus.interrupted.code }
      }
    }
  }

  /// Whether the answer is a table.
  private var isSweep: Bool { workload.asksForSeveral || sweep.isStated }

  /// What is not searched; given several times, what each states holds.
  private func fixed() throws -> Strategy? {
    fix.isEmpty ? nil : try Strategy(fix.joined(separator: ","), source: "--fix")
  }

  private var options: Planner.Options {
    var options = Planner.Options()
    options.resultCount = top
    options.margin = margin
    options.threads = threads
    options.timeLimitSeconds = timeLimit
    return options
  }

  private func runSweep() throws {
    let fixed = try self.fixed()
    let planners = try workload.planners()
    let interruption = Interruption()
    var progress = ProgressLine()
    let found = try Planner.sweep(
      planners, fixing: fixed, allowing: methods.allowance(), options: options,
      pricePerDeviceHour: sweep.pricePerDeviceHour, tokens: sweep.tokens,
      isInterrupted: { interruption.isRequested },
      progress: { row, done, total in
        progress.show(done: done, of: total, doing: "row \(row + 1) of \(planners.count): strategies")
      })
    progress.clear()
    guard !found.rows.isEmpty else {
      throw interruption.isRequested
        ? complaint("interrupted before any row of the table was done", .interrupted)
        : complaint("the time limit was reached before any row of the table was done", .failure)
    }
    if let output { try found.write(to: output) }
    let question = planners.first.map { QuestionReport(of: $0).sharedText } ?? ""
    try emit(json ? found.json : SweepReport(sweep: found.document, question: question).text)
    if interruption.isRequested { throw ExitStatus.interrupted.code }
    if found.fastest == nil { throw ExitStatus.infeasible.code }
  }
}
