import Costing
import Documents
import Foundation
import JSONText

/// Predictions of measured runs: JSON Lines, or a table with the errors.
struct RunsReport {
  private let runs: [MeasuredRun]
  private let catalog = Catalog.ofInstallation()

  /// - Parameter path: a file of run records, one a line.
  init(contentsOf path: String) throws(DocumentError) { runs = try MeasuredRun.runs(contentsOf: path) }

  func text(asJSON: Bool) -> String { asJSON ? lines : table }

  private var lines: String {
    runs.map { run in
      let value: JSON
      do {
        let workload = try RunWorkload(run, catalog: catalog)
        let estimate = try workload.estimate()
        value = .object([
          JSONMember("id", .string(run.id)),
          JSONMember("iteration_seconds", .number(estimate.prediction.iterationSeconds)),
          JSONMember("peak_bytes", .integer(estimate.reportedPeakBytes)),
          JSONMember("fits", .string(estimate.prediction.verdict.rawValue)),
          JSONMember("assumptions", .array(workload.assumptions.map(JSON.string))),
        ])
      } catch {
        value = .object([JSONMember("id", .string(run.id)), JSONMember("error", .string("\(error)"))])
      }
      return value.text(style: .compact) + "\n"
    }.joined()
  }

  private var table: String {
    var table = Table(
      header: ["run", "predicted", "measured", "error", "peak", "measured", "memory"], leftColumns: [0, 6])
    var refusals = ""
    for run in runs {
      do {
        let estimate = try RunWorkload(run, catalog: catalog).estimate()
        let prediction = estimate.prediction
        let measured = run.measured
        table.add([
          run.id, Format.seconds(prediction.iterationSeconds),
          measured.iterationSeconds.map(Format.seconds) ?? "failed",
          measured.iterationSeconds.map { String(format: "%+.1f %%", (prediction.iterationSeconds / $0 - 1) * 100) }
            ?? "",
          Format.gigabytes(estimate.reportedPeakBytes), measured.peakBytes.map(Format.gigabytes) ?? "",
          prediction.verdict.rawValue,
        ])
      } catch {
        refusals += "  \(run.id): not predicted: \(error)\n"
      }
    }
    return table.text + refusals
  }
}
