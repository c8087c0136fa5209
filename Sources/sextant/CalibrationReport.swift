import Costing
import Foundation

/// What a person sees of a calibration: coefficients, errors before the eye and left out, and the outliers.
struct CalibrationReport {
  let outcome: Calibration.Outcome

  var text: String {
    [coefficients, errors, folds, outliers].filter { !$0.isEmpty }.joined(separator: "\n")
  }

  private var coefficients: String {
    var table = Table(header: ["coefficient", "before", "after", "±", ""], leftColumns: [0, 4])
    for fitted in outcome.coefficients {
      table.add([
        fitted.name, String(format: "%.4g", fitted.before), String(format: "%.4g", fitted.after),
        fitted.isIdentified ? Format.percent(fitted.relativeDeviation) : "",
        fitted.isIdentified ? "" : "not told by these runs, kept",
      ])
    }
    return table.text
  }

  private var errors: String {
    var table = Table(header: ["fitted runs"] + Self.errorColumns)
    for (name, part) in outcome.validation.grouped(by: .family) { table.add(row(name, part)) }
    table.add(row("all", outcome.validation))
    return table.text
  }

  private var folds: String {
    guard !outcome.folds.isEmpty else { return "" }
    var table = Table(header: ["left out of the fit"] + Self.errorColumns)
    for fold in outcome.folds { table.add(row(fold.name, fold.validation)) }
    let cases = outcome.folds.flatMap(\.validation.cases)
    table.add(row("all", Validation(cases: cases)))
    return table.text
  }

  private var outliers: String {
    guard !outcome.outliers.isEmpty else { return "" }
    var table = Table(header: ["\(outcome.outliers.count) runs that the fit disregards", "error"])
    for outlier in outcome.outliers.prefix(20) {
      table.add([outlier.id, String(format: "%+.0f %%", outlier.error * 100)])
    }
    return table.text
  }

  private static let errorColumns = [
    "runs", "time median", "mean", "bias", "runs", "memory median", "mean", "bias",
  ]

  private func row(_ name: String, _ validation: Validation) -> [String] {
    [name] + columns(validation.timeErrors) + columns(validation.memoryErrors)
  }

  private func columns(_ errors: ErrorSummary) -> [String] {
    guard errors.count > 0 else { return ["", "", "", ""] }
    return [
      "\(errors.count)", Format.percent(errors.medianAbsolute), Format.percent(errors.meanAbsolute),
      String(format: "%+.1f %%", errors.bias * 100),
    ]
  }
}
