import Costing
import Foundation

/// The page of a model's accuracy: figures that are measured, in the middle of what people wrote about them.
///
/// What stands between the two markers is replaced; everything else is kept as it is.
struct AccuracyReport {
  let validation: Validation

  static let begin = "<!-- figures: begin -->"
  static let end = "<!-- figures: end -->"

  /// Groupings that have a table of their own beside the one by source.
  private static let groupings: [(grouping: Grouping, title: String)] = [
    (.device, "device"), (.nodes, "nodes"), (.tensor, "tensor degree"), (.pipeline, "pipeline degree"),
    (.zeroStage, "ZeRO stage"), (.release, "release"),
  ]

  /// A page with its figures replaced; nil when it has no markers, or not in their order.
  func page(replacingFiguresOf text: String, plots: (times: String, errors: String)) -> String? {
    guard let begin = text.range(of: Self.begin),
      let end = text.range(of: Self.end, range: begin.upperBound..<text.endIndex)
    else { return nil }
    return text[..<begin.upperBound] + "\n\n" + figures(plots: plots) + "\n" + text[end.lowerBound...]
  }

  private func figures(plots: (times: String, errors: String)) -> String {
    var text = """
      \(validation.cases.count) of \(validation.cases.count + validation.refused.count) records are predicted. Errors of the
      iteration time are of successful runs with a model FLOP utilisation of at least 10 %, noisy ones left out.

      | source | runs | time median | mean | bias | order | in range | memory median | failed runs seen | sound ones called unfit | regret median | mean |
      |---|---|---|---|---|---|---|---|---|---|---|---|

      """
    for (name, part) in validation.grouped(by: .family) where isJudged(part) { text += row(name, part) }
    text += row("**all**", validation)
    text += """

      ![Iteration times, predicted against measured](\(plots.times))

      ![Errors of iteration times by source](\(plots.errors))

      """
    for (grouping, title) in Self.groupings {
      text += "\n| \(title) | runs | time median | mean | bias |\n|---|---|---|---|---|\n"
      for (name, part) in validation.grouped(by: grouping) where part.timeErrors.count > 0 {
        text += "| \(name) | " + cells(part.timeErrors) + " |\n"
      }
    }
    return text
  }

  private func isJudged(_ part: Validation) -> Bool {
    part.timeErrors.count > 0 || part.memoryErrors.count > 0 || part.confusion.failedRecognisedShare != nil
  }

  private func row(_ name: String, _ part: Validation) -> String {
    let confusion = part.confusion, regret = Regret(part.cases)
    func percent(_ share: Double?) -> String { share.map(Format.percent) ?? "" }
    let last = [
      part.timeErrors.rankCorrelation.map { String(format: "%.3f", $0) } ?? "",
      percent(part.coveredShare),
      part.memoryErrors.count > 0 ? Format.percent(part.memoryErrors.medianAbsolute) : "",
      percent(confusion.failedRecognisedShare),
      confusion.failedRecognisedShare == nil ? "" : percent(confusion.succeededCalledUnfitShare),
      percent(regret.median), percent(regret.mean),
    ]
    return "| \(name) | " + cells(part.timeErrors) + " | " + last.joined(separator: " | ") + " |\n"
  }

  private func cells(_ errors: ErrorSummary) -> String {
    guard errors.count > 0 else { return "0 | | |" }
    return [
      "\(errors.count)", Format.percent(errors.medianAbsolute), Format.percent(errors.meanAbsolute),
      String(format: "%+.1f %%", errors.bias * 100),
    ].joined(separator: " | ")
  }
}
