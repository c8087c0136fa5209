import ArgumentParser
import Costing
import Documents
import JSONText

/// `sextant validate`.
struct ValidateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "validate",
    abstract: "Compare predictions with measured runs.",
    discussion: """
      Errors of iteration time (successful runs with a model FLOP utilisation of at least 10 %, marked ones left out), the \
      share of these that lies in the predicted range of nine in ten, errors of \
      peak memory, verdicts against outcomes, and regret: what following the predictions would have cost among runs that \
      compete.

      A record is used for what it has: a time without a peak, a peak without a time. One that cannot be used ends \
      nothing: it is listed by id and line with the reason (--strict stops at it).

      Example: sextant validate --runs runs.jsonl --by family
      """)

  @Option(help: ArgumentHelp("Files of run records, one JSON object a line.", valueName: "file"))
  var runs: [String]

  @Option(help: "Group by family, model, nodes, device, release, tensor, pipeline, data or zero_stage.")
  var by: Grouping = .family

  @Option(help: "List so many of the worst predictions.")
  var worst: Int = 0

  @Option(help: ArgumentHelp("Draw predicted against measured iteration times here, as SVG.", valueName: "file"))
  var plot: String?

  @Option(
    help: ArgumentHelp(
      "Replace the figures of this page, between its two markers, and draw its plots beside it.", valueName: "file"))
  var report: String?

  @OptionGroup var strictness: StrictOption

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (0...10_000).contains(worst) else { throw ValidationError("--worst is from 0 to 10000") }
  }

  func run() throws {
    try reportingErrors {
      if let plot { try tryWritingFile(at: plot) }
      if let report { try tryWritingFile(at: report) }
      var lines: [Result<MeasuredRun, LeftOutRecord>] = []
      for path in runs { lines += try MeasuredRun.file(path).lines }
      let validation = Validation(lines: lines, catalog: .ofInstallation())
      try strictness.check(validation.refused + validation.unusedParts)
      let table = ValidationReport(validation: validation, grouping: by, worstCount: worst)
      if let plot {
        let svg = table.plot.svg
        guard !svg.isEmpty else { throw complaint("--plot: no run's time can be judged", .badInput) }
        try writeFileAtomically(Array(svg.utf8), to: plot)
      }
      if let report { try rewrite(page: report, validation: validation) }
      try emit(json ? table.json.text(style: .pretty) : table.text)
      if validation.cases.isEmpty { throw complaint("--runs: no record can be judged", .badInput) }
    }
  }

  /// Replaces the figures of a page and draws its plots: `accuracy.md` has `accuracy.svg` and `accuracy-errors.svg`.
  private func rewrite(page path: String, validation: Validation) throws {
    let plots = ValidationReport(validation: validation, grouping: .family, worstCount: 0)
    let (times, errors) = (plots.plot.svg, plots.errorChart.svg)
    guard !times.isEmpty else { throw complaint("--report: no run's time can be judged", .badInput) }
    let bytes: [UInt8]
    do {
      bytes = try readFile(at: path, maximumByteCount: 1 << 24)
    } catch {
      throw complaint("\(path): \(error.reason)", .badInput)
    }
    let stem = path.hasSuffix(".md") ? String(path.dropLast(3)) : path
    let name = stem.split(separator: "/").last.map(String.init) ?? stem
    guard
      let page = AccuracyReport(validation: validation).page(
        replacingFiguresOf: String(decoding: bytes, as: UTF8.self),
        plots: (times: "\(name).svg", errors: "\(name)-errors.svg"))
    else {
      throw complaint(
        "\(path): the markers \"\(AccuracyReport.begin)\" and \"\(AccuracyReport.end)\" are not there", .badInput)
    }
    try writeFileAtomically(Array(times.utf8), to: "\(stem).svg")
    try writeFileAtomically(Array(errors.utf8), to: "\(stem)-errors.svg")
    try writeFileAtomically(Array(page.utf8), to: path)
  }
}

extension Grouping: ExpressibleByArgument {}
