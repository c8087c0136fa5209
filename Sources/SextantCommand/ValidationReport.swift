import Costing
import Documents
import Foundation
import JSONText

/// What a person sees of a validation: a row a group and one of all, and the worst predictions.
struct ValidationReport {
  let validation: Validation
  let grouping: Grouping
  let worstCount: Int

  var text: String {
    var table = Table(header: [
      grouping.rawValue, "runs", "time median", "mean", "bias", "order", "in range", "memory", "runs", "failed seen",
      "called unfit",
      "regret median", "mean", "groups",
    ])
    for (name, part) in validation.grouped(by: grouping) { table.add(row(name, part)) }
    table.add(row("all", validation))
    var text = table.text
    if !validation.refused.isEmpty { text += "\n" + LeftOutRecords(validation.refused).text }
    if !validation.unusedParts.isEmpty { text += "\n" + LeftOutRecords.usedInPart(validation.unusedParts).text }
    if worstCount > 0 {
      var worst = Table(header: ["worst predictions", "predicted", "measured", "error"])
      for item in worstCases {
        worst.add([
          item.run.id, Format.seconds(item.prediction.iterationSeconds),
          Format.seconds(item.run.measured.iterationSeconds ?? 0), signed(item.timeError ?? 0),
        ])
      }
      text += "\n" + worst.text
    }
    return text
  }

  /// Judged iteration times, predicted against measured.
  var plot: ScatterPlot {
    ScatterPlot(
      title: "Iteration times by \(grouping.rawValue)", quantity: "seconds",
      series: validation.grouped(by: grouping).compactMap { name, part in
        let points = part.cases.filter(\.isJudgedInTime).compactMap { item in
          item.run.measured.iterationSeconds.map { (measured: $0, predicted: item.prediction.iterationSeconds) }
        }
        return points.isEmpty ? nil : ScatterPlot.Series(name: name, points: points)
      })
  }

  /// Errors of judged iteration times.
  var errorChart: ErrorChart {
    ErrorChart(
      title: "Errors of iteration times by \(grouping.rawValue)",
      groups: validation.grouped(by: grouping).map { name, part in
        (name, part.cases.filter(\.isJudgedInTime).compactMap(\.timeError))
      })
  }

  var json: JSON {
    .object([
      JSONMember("all", summary(validation)),
      JSONMember(
        "groups",
        .array(
          validation.grouped(by: grouping).map { name, part in
            .object([JSONMember("name", .string(name)), JSONMember("summary", summary(part))])
          })),
      JSONMember("not_predicted", LeftOutRecords.json(validation.refused)),
      JSONMember("unused_parts", LeftOutRecords.json(validation.unusedParts)),
      JSONMember(
        "worst",
        .array(
          worstCases.map {
            .object([JSONMember("id", .string($0.run.id)), JSONMember("error", .number($0.timeError ?? 0))])
          })),
    ])
  }

  private var worstCases: [Validation.Case] {
    Array(
      validation.cases.filter(\.isJudgedInTime)
        .sorted { (abs($0.timeError ?? 0), $1.run.id) > (abs($1.timeError ?? 0), $0.run.id) }.prefix(worstCount))
  }

  private func row(_ name: String, _ part: Validation) -> [String] {
    let time = part.timeErrors, memory = part.memoryErrors, confusion = part.confusion, regret = Regret(part.cases)
    let judged = time.count > 0
    return [
      name, "\(time.count)", judged ? Format.percent(time.medianAbsolute) : "",
      judged ? Format.percent(time.meanAbsolute) : "",
      judged ? signed(time.bias) : "", time.rankCorrelation.map { String(format: "%.3f", $0) } ?? "",
      part.coveredShare.map(Format.percent) ?? "",
      memory.count > 0 ? Format.percent(memory.medianAbsolute) : "", memory.count > 0 ? "\(memory.count)" : "",
      confusion.failedRecognisedShare.map(Format.percent) ?? "",
      confusion.failedRecognisedShare == nil ? "" : confusion.succeededCalledUnfitShare.map(Format.percent) ?? "",
      regret.median.map(Format.percent) ?? "", regret.mean.map(Format.percent) ?? "",
      regret.groups.isEmpty ? "" : "\(regret.groups.count)",
    ]
  }

  private func summary(_ part: Validation) -> JSON {
    let confusion = part.confusion, regret = Regret(part.cases)
    func number(_ value: Double?) -> JSON { value.map(JSON.number) ?? .null }
    func errors(_ summary: ErrorSummary) -> JSON {
      .object([
        JSONMember("runs", .integer(summary.count)), JSONMember("median_absolute", .number(summary.medianAbsolute)),
        JSONMember("mean_absolute", .number(summary.meanAbsolute)), JSONMember("bias", .number(summary.bias)),
        JSONMember("rank_correlation", number(summary.rankCorrelation)),
      ])
    }
    return .object([
      JSONMember("predicted", .integer(part.cases.count)), JSONMember("time", errors(part.timeErrors)),
      JSONMember("covered_share", number(part.coveredShare)),
      JSONMember("memory", errors(part.memoryErrors)),
      JSONMember("failed_recognised_share", number(confusion.failedRecognisedShare)),
      JSONMember("succeeded_called_unfit_share", number(confusion.succeededCalledUnfitShare)),
      JSONMember(
        "regret",
        .object([
          JSONMember("groups", .integer(regret.groups.count)), JSONMember("median", number(regret.median)),
          JSONMember("mean", number(regret.mean)),
        ])),
    ])
  }

  private func signed(_ share: Double) -> String { String(format: "%+.1f %%", share * 100) }
}
