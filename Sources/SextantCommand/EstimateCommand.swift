import ArgumentParser
import JSONText
import Sextant

/// `sextant estimate`.
struct EstimateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "estimate",
    abstract: "Say what one strategy would take, or what measured runs should have taken.",
    discussion: """
      Example: sextant estimate --cluster dgx-a100-16 --model gpt3-175b --global-batch 512 \
      --strategy tensor=8,pipeline=16,micro_batch=1,recompute=full

      With --runs every record of a file is predicted from what it states; what it does not state is assumed, and the \
      assumptions are listed. A record that cannot be predicted ends nothing: it is listed by id and line with the reason \
      (--strict stops at it). With --json that is one line for each record: id, iteration_seconds with _low and _high, peak_bytes, fits, \
      parameters, assumptions, and in unused what of the measurement makes no sense; or id, source and error where a record \
      cannot be predicted.
      """)

  @OptionGroup var workload: WorkloadOptions

  @Option(
    help: ArgumentHelp(
      "The strategy, such as tensor=8,pipeline=4,micro_batch=2; what is not given is 1, none or off, and data what remains.",
      valueName: "key=value,…"))
  var strategy: [String] = []

  @Option(help: ArgumentHelp("A file of run records, one JSON object a line.", valueName: "file"))
  var runs: String?

  @Option(
    help: ArgumentHelp(
      "A running configuration that import wrote: its strategy by its own layers, and as much of the job as it states.",
      valueName: "file"))
  var configuration: String?

  @OptionGroup var strictness: StrictOption

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard [!strategy.isEmpty, runs != nil, configuration != nil].count(where: { $0 }) == 1 else {
      throw ValidationError("give one of --strategy, --configuration and --runs")
    }
    if runs != nil, workload.isStated {
      throw ValidationError("--runs states cluster, model, batch, precision and framework itself")
    }
    if runs == nil, strictness.strict { throw ValidationError("--strict is about the records of --runs") }
  }

  func run() throws {
    try reportingErrors {
      if let runs {
        let report = try RunsReport(contentsOf: runs)
        try strictness.check(report.unused)
        try emit(report.text(asJSON: json))
        if report.isEmpty { throw complaint("\(runs): no record can be predicted", .badInput) }
      } else if let configuration {
        let running = try Configuration.file(configuration)
        let planner = try workload.planner(for: running)
        try report(planner.estimate(running), by: planner)
      } else {
        // Given several times, what each states holds.
        let stated = try Strategy(strategy.joined(separator: ","), source: "--strategy")
        let planner = try workload.planner()
        try report(planner.estimate(stated), by: planner)
      }
    }
  }

  private func report(_ estimate: Estimate, by planner: Planner) throws {
    let report = EstimateReport(
      estimate: estimate.document, framework: planner.framework, question: QuestionReport(of: planner))
    try emit(json ? report.json.text(style: .pretty) : report.text)
  }
}
