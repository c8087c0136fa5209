import Documents
import Sextant

/// How a plan's time follows every rate, and which rate would have to change by how much for another plan to win.
struct SensitivityReport {
  let explanation: Explanation

  var text: String {
    var table = Table(header: ["", "share of time", "another wins at", ""], leftColumns: [0, 3])
    for rate in explanation.rates where rate.timeShare > Explanation.leastShare || rate.turningFactor != nil {
      table.add([
        rate.resource, Format.percent(rate.timeShare),
        rate.turningFactor.map { Format.percent($0) + " of its rate" } ?? "none",
        rate.winner.map { label($0.document) } ?? "",
      ])
    }
    let link = explanation.bindingLink.map {
      "\($0.resource), 1 % faster saves \(Format.seconds($0.savedSeconds))"
    }
    return "\nWhat the plan hangs on, if a rate changes and the listed plans keep their layers and nodes\n" + table.text
      + "Binding link: \(link ?? "none")\n"
  }

  private func label(_ other: Documents.Plan.Alternative) -> String {
    [other.strategy.short, other.precision?.rawValue].compactMap { $0 }.joined(separator: " ")
      + (other.split.choices == nil ? "" : ", stages differ")
  }
}
