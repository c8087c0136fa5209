import Costing
import Documents
import Foundation
import JSONText

/// Predictions of measured runs: JSON Lines, or a table with the errors.
struct RunsReport {
  /// A record of the file with its prediction, or what is in the way of one.
  private enum Line {
    case predicted(MeasuredRun, RunWorkload, Estimate)
    case leftOut(LeftOutRecord)
  }

  private let lines: [Line]

  /// - Parameter path: a file of run records, one a line.
  init(contentsOf path: String) throws(DocumentError) {
    let catalog = Catalog.ofInstallation()
    lines = try MeasuredRun.file(path).lines.map { line in
      switch line {
      case .failure(let unread): return .leftOut(unread)
      case .success(let run):
        do {
          let workload = try RunWorkload(run, catalog: catalog)
          return .predicted(run, workload, try workload.estimate())
        } catch {
          return .leftOut(run.leftOut("\(error)"))
        }
      }
    }
  }

  /// Records that are not predicted.
  private var leftOut: [LeftOutRecord] {
    lines.compactMap {
      guard case .leftOut(let record) = $0 else { return nil }
      return record
    }
  }
  /// Parts of records that do not count, though the rest does.
  private var unusedParts: [LeftOutRecord] {
    lines.flatMap {
      guard case .predicted(let run, _, _) = $0 else { return [LeftOutRecord]() }
      return run.unusedParts
    }
  }
  /// Everything that is not used.
  var unused: [LeftOutRecord] { leftOut + unusedParts }
  /// Whether not a single record is predicted.
  var isEmpty: Bool { leftOut.count == lines.count }

  func text(asJSON: Bool) -> String { asJSON ? jsonLines : table }

  private var jsonLines: String {
    lines.map { line in
      let members: [JSONMember] =
        switch line {
        case .predicted(let run, let workload, let estimate):
          [
            JSONMember("id", .string(run.id)),
            JSONMember("iteration_seconds", .number(estimate.prediction.iterationSeconds)),
          ]
            + (estimate.prediction.iterationSecondsRange.map {
              [
                JSONMember("iteration_seconds_low", .number($0.lowerBound)),
                JSONMember("iteration_seconds_high", .number($0.upperBound)),
              ]
            } ?? []) + [
              JSONMember("peak_bytes", .integer(estimate.reportedPeakBytes)),
              JSONMember("fits", .string(estimate.prediction.verdict.rawValue)),
              JSONMember("parameters", .integer(workload.job.model.parameterCount)),
              JSONMember("assumptions", .array(workload.assumptions.map(JSON.string))),
            ]
            + (run.unusedParts.isEmpty
              ? [] : [JSONMember("unused", .array(run.unusedParts.map { .string($0.reason) }))])
        case .leftOut(let record):
          [
            JSONMember("id", record.id.map(JSON.string) ?? .null), JSONMember("source", .string(record.source)),
            JSONMember("error", .string(record.reason)),
          ]
        }
      return JSON.object(members).text(style: .compact) + "\n"
    }.joined()
  }

  private var table: String {
    var table = Table(
      header: ["run", "parameters", "predicted", "measured", "error", "peak", "measured", "memory"],
      leftColumns: [0, 7])
    for case .predicted(let run, let workload, let estimate) in lines {
      let prediction = estimate.prediction
      let measured = run.measured
      table.add([
        run.id, Format.count(workload.job.model.parameterCount), Format.seconds(prediction.iterationSeconds),
        measured.iterationSeconds.map(Format.seconds) ?? (measured.hasFailed ? "failed" : ""),
        measured.iterationSeconds.map { String(format: "%+.1f %%", (prediction.iterationSeconds / $0 - 1) * 100) }
          ?? "",
        Format.gigabytes(estimate.reportedPeakBytes), measured.peakBytes.map(Format.gigabytes) ?? "",
        prediction.verdict.rawValue,
      ])
    }
    return [
      isEmpty ? "" : table.text, LeftOutRecords(leftOut).text, LeftOutRecords.usedInPart(unusedParts).text,
    ].filter { !$0.isEmpty }.joined(separator: "\n")
  }
}
