import Documents
import Foundation
import Sextant

/// What a person sees of several plans: a row each, the best marked.
struct SweepReport {
  let sweep: Documents.Sweep
  /// What is the same for all rows.
  let question: String

  var text: String {
    [question, table, legend, stopped].filter { !$0.isEmpty }.joined(separator: "\n")
  }

  /// A column of figures: what stands above it, and what a row with a plan has in it.
  private typealias Column = (header: String, cell: (Documents.Sweep.Row, Documents.Plan) -> String)

  private var columns: [Column] {
    var columns: [Column] = [
      ("nodes", { row, _ in Format.count(row.nodeCount) }), ("devices", { row, _ in Format.count(row.deviceCount) }),
      ("batch", { row, _ in Format.count(row.globalBatch) }),
      ("time", { _, plan in Format.seconds(plan.prediction.iterationSeconds) }),
      ("tokens/s", { row, _ in Format.rate(row.tokensPerSecond ?? 0) }),
      ("per device", { row, _ in Format.rate(row.tokensPerSecondPerDevice ?? 0) }),
    ]
    if let price = sweep.pricePerDeviceHour {
      columns.append(
        ("cost/iteration", { row, _ in Self.cost(row.costPerIteration(pricePerDeviceHour: price)) }))
      columns.append(
        ("cost/10⁹ tokens", { row, _ in Self.cost(row.cost(ofTokens: 1e9, pricePerDeviceHour: price)) }))
    }
    if let tokens = sweep.tokenCount {
      columns.append(("training", { row, _ in Self.duration(row.seconds(ofTokens: tokens) ?? 0) }))
      if let price = sweep.pricePerDeviceHour {
        columns.append(("cost", { row, _ in Self.cost(row.cost(ofTokens: tokens, pricePerDeviceHour: price)) }))
      }
    }
    columns.append(("gap", { _, plan in Format.percent(plan.certificate.gap) }))
    return columns
  }

  /// The columns that a row without a plan has as well: what was asked.
  private static let askedColumnCount = 3

  private var table: String {
    let columns = columns
    var table = Table(
      header: columns.map(\.header) + ["layout", ""], leftColumns: [columns.count, columns.count + 1])
    for (index, row) in sweep.rows.enumerated() {
      switch row.answer {
      case .plan(let plan):
        let isStopped = [.timeLimit, .interrupted].contains(plan.certificate.ending)
        table.add(
          columns.map { $0.cell(row, plan) } + [
            plan.strategy.short(of: plan.split, in: plan.chosenPrecision) + (isStopped ? " (stopped)" : ""),
            marks(ofRow: index),
          ])
      case .none(let reason):
        let asked = [row.nodeCount, row.deviceCount, row.globalBatch].map { Format.count($0) }
        table.add(
          asked + [String](repeating: "–", count: columns.count - Self.askedColumnCount) + ["no plan: \(reason)", ""])
      }
    }
    return table.text
  }

  private func marks(ofRow index: Int) -> String {
    [
      index == sweep.fastestIndex ? "fastest" : nil,
      index == sweep.cheapestIndex ? (sweep.pricePerDeviceHour == nil ? "most per device" : "cheapest") : nil,
    ].compactMap { $0 }.joined(separator: ", ")
  }

  private var legend: String {
    guard sweep.rows.count > 1, sweep.pricePerDeviceHour == nil, sweep.cheapestIndex != nil else { return "" }
    return
      "What has most tokens/s per device is cheapest, whatever a device costs; --price-per-device-hour says how much\n"
  }

  private var stopped: String {
    let missing = sweep.askedCount - sweep.rows.count
    return missing == 0
      ? "" : "Stopped: \(Format.count(missing)) of \(Format.count(sweep.askedCount, of: "row")) are not here\n"
  }

  private static func cost(_ cost: Double?) -> String {
    guard let cost else { return "–" }
    switch cost {
    case ..<10: return String(format: "%.4f", cost)
    case ..<10_000: return String(format: "%.2f", cost)
    case ..<1e15: return Format.count(Int(cost.rounded()))
    default: return String(format: "%.2e", cost)
    }
  }

  /// Hours up to two days, then days.
  private static func duration(_ seconds: Double) -> String {
    seconds < 172_800 ? String(format: "%.1f h", seconds / 3600) : String(format: "%.1f days", seconds / 86_400)
  }
}
