import Costing
import Documents
import Foundation

/// What a person sees of a calibration: coefficients, errors before the eye and left
/// out, the outliers, and what could not be fitted to.
struct CalibrationReport {
  /// The profile that the calibration started from.
  private let base: DeviceProfile
  /// The fit to timed collectives, and how many were of other devices.
  var collectives: (outcome: CollectiveFit.FittedLinks, otherDeviceCount: Int)?
  /// Records of timed collectives that could not be read.
  var unread: [LeftOutRecord] = []
  /// What layouts under several releases told of these.
  var releases: ReleaseFit.FittedReleases?
  /// The fit to runs.
  var runs: Calibration.FittedProfile?

  init(profile: DeviceProfile) { base = profile }

  /// The profile as fitted so far.
  var profile: DeviceProfile { runs?.profile ?? releases?.profile ?? collectives?.outcome.profile ?? base }

  /// What timed collectives told: not the business of a fit to runs.
  var heldCoefficients: Set<String> {
    Set(collectives?.outcome.coefficients.filter(\.isIdentified).map(\.name) ?? [])
  }

  var text: String {
    [
      collectives.map { table(of: $0.outcome.coefficients) } ?? "", collectiveErrors,
      releases.map { table(of: $0.coefficients) } ?? "",
      runs.map { table(of: $0.coefficients) } ?? "", errors, folds, outliers, leftOut,
    ].filter { !$0.isEmpty }.joined(separator: "\n")
  }

  private func table(of coefficients: [Calibration.Fitted]) -> String {
    var table = Table(header: ["coefficient", "before", "after", "±", ""], leftColumns: [0, 4])
    for fitted in coefficients {
      table.add([
        fitted.name, String(format: "%.4g", fitted.before), String(format: "%.4g", fitted.after),
        fitted.isIdentified ? Format.percent(fitted.relativeDeviation) : "",
        fitted.isIdentified ? "" : "not told by these records, kept",
      ])
    }
    return table.text
  }

  private var collectiveErrors: String {
    guard let (outcome, otherDeviceCount) = collectives else { return "" }
    var table = Table(header: ["timed collectives", "timings", "median before", "mean", "median after", "mean", "bias"])
    func add(_ name: String, _ before: ErrorSummary, _ after: ErrorSummary) {
      table.add([
        name, "\(after.count)", Format.percent(before.medianAbsolute), Format.percent(before.meanAbsolute),
        Format.percent(after.medianAbsolute), Format.percent(after.meanAbsolute),
        String(format: "%+.1f %%", after.bias * 100),
      ])
    }
    for group in outcome.groups { add(group.name, group.before, group.after) }
    add("all", outcome.before, outcome.after)
    return table.text
      + (otherDeviceCount == 0 ? "" : "\n\(Format.count(otherDeviceCount)) timings of other devices are left out\n")
  }

  private var errors: String {
    guard let runs else { return "" }
    var table = Table(header: ["fitted runs"] + Self.errorColumns)
    for (name, part) in runs.validation.grouped(by: .family) { table.add(row(name, part)) }
    table.add(row("all", runs.validation))
    return table.text
  }

  private var folds: String {
    guard let runs, !runs.folds.isEmpty else { return "" }
    var table = Table(header: ["left out of the fit"] + Self.errorColumns + ["in range"])
    for fold in runs.folds {
      table.add(row(fold.name, fold.validation) + [fold.coveredShare.map(Format.percent) ?? ""])
    }
    table.add(row("all", Validation(cases: runs.folds.flatMap(\.validation.cases))) + [""])
    return table.text + accuracy
  }

  /// How sure predictions are.
  private var accuracy: String {
    guard let entries = runs?.profile.accuracy, !entries.isEmpty else { return "" }
    var table = Table(
      header: ["nine in ten left-out runs", "models", "nodes", "runs", "within", "told apart from"],
      leftColumns: [0, 1, 2])
    for entry in entries {
      table.add([
        entry.scope.framework ?? "all frameworks",
        entry.scope.hasExperts.map { $0 ? "with experts" : "dense" } ?? "all",
        entry.scope.spansNodes.map { $0 ? "several" : "one" } ?? "any", "\(entry.runCount)",
        Format.percent(entry.errorBound), entry.resolution.map(Format.percent) ?? "",
      ])
    }
    return "\n" + table.text
  }

  private var outliers: String {
    guard let runs, !runs.outliers.isEmpty else { return "" }
    var table = Table(header: ["\(runs.outliers.count) runs that the fit disregards", "error"])
    for outlier in runs.outliers.prefix(20) {
      table.add([outlier.id, String(format: "%+.0f %%", outlier.error * 100)])
    }
    return table.text
  }

  private var leftOut: String {
    LeftOutRecords(unread + (runs?.leftOut ?? [])).text + LeftOutRecords.usedInPart(runs?.unusedParts ?? []).text
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
