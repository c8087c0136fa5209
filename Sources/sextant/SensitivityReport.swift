import Costing
import Documents
import Search

/// How a plan's time follows every rate, and which rate would have to change by how much for another plan to win.
struct SensitivityReport {
  let plan: Plan
  let sensitivity: Sensitivity

  var text: String {
    var table = Table(header: ["", "share of time", "another wins at", ""], leftColumns: [0, 3])
    for entry in sensitivity.entries where entry.timeShare > 0.0005 || entry.turningPoint != nil {
      let other = entry.turningPoint.map { plan.alternatives[$0.alternativeIndex] }
      let label = other.map { PlanReport.short($0.strategy) + ($0.split.choices == nil ? "" : ", stages differ") }
      table.add([
        name(entry.resource), Format.percent(entry.timeShare),
        entry.turningPoint.map { Format.percent($0.factor) + " of its rate" } ?? "none", label ?? "",
      ])
    }
    return "\nWhat the plan hangs on, if a rate changes and the listed plans keep their layers and nodes\n" + table.text
      + "Binding link: \(bindingLink)\n"
  }

  /// The level on which most time depends.
  private var bindingLink: String {
    let links = sensitivity.entries.filter {
      switch $0.resource {
      case .level, .host: $0.timeShare > 0.0005
      case .computation, .deviceMemory: false
      }
    }
    guard let most = links.max(by: { $0.timeShare < $1.timeShare }) else { return "none" }
    return
      "\(name(most.resource)), 1 % faster saves \(Format.seconds(plan.prediction.iterationSeconds * most.timeShare / 101))"
  }

  private func name(_ resource: CostModel.Resource) -> String {
    switch resource {
    case .computation: "matrix products"
    case .deviceMemory: "device memory"
    case .level(let index): "links of level \(plan.cluster.levels[index].name)"
    case .host: "link to the host"
    }
  }
}
