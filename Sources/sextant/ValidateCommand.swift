public import ArgumentParser
public import Costing
import Documents
import JSONText

/// `sextant validate`.
struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate",
    abstract: "Compare predictions with measured runs.",
    discussion: """
      Errors of iteration time (successful runs with a model FLOP utilisation of at least 10 %, marked ones left out), of \
      peak memory, verdicts against outcomes, and regret: what following the predictions would have cost among runs that \
      compete.

      Example: sextant validate --runs runs.jsonl --by family
      """)

  @Option(help: ArgumentHelp("Files of run records, one JSON object a line.", valueName: "file"))
  var runs: [String]

  @Option(help: "Group by family, model, nodes, device, tensor, pipeline, data or zero_stage.")
  var by: Grouping = .family

  @Option(help: "List so many of the worst predictions.")
  var worst: Int = 0

  @Option(help: ArgumentHelp("Draw predicted against measured iteration times here, as SVG.", valueName: "file"))
  var plot: String?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (0...10_000).contains(worst) else { throw ValidationError("--worst is from 0 to 10000") }
  }

  func run() throws {
    try reportingErrors {
      var records: [MeasuredRun] = []
      for path in runs { records += try MeasuredRun.runs(contentsOf: path) }
      let report = ValidationReport(
        validation: Validation(runs: records, catalog: .ofInstallation()), grouping: by, worstCount: worst)
      if let plot {
        let svg = report.plot.svg
        guard !svg.isEmpty else { throw complaint("--plot: no run's time can be judged", .badInput) }
        try writeFileAtomically(Array(svg.utf8), to: plot)
      }
      try emit(json ? report.json.text(style: .pretty) : report.text)
    }
  }
}

extension Grouping: ExpressibleByArgument {}
