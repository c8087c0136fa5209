import Documents

/// Which of a plan's decisions change values, and which frameworks can be told all of them.
struct DecisionsReport {
  let plan: Plan

  var text: String { classes + launch }

  private var classes: String {
    let exact = plan.decisions.filter { $0.effect == .exact }.map { Self.words($0.name) }
    var text = "Exact: \(exact.joined(separator: ", "))\n"
    for decision in plan.decisions where decision.effect == .numericallyDifferent {
      let error = decision.relativeError.map { ", relative error \(Format.percent($0))" } ?? ""
      text += "Numerically different: \(Self.words(decision.name))\(error)\n"
    }
    return text
  }

  private var launch: String {
    let frameworks = plan.launchFrameworks.map(\.rawValue)
    guard frameworks.isEmpty else { return "Launch arguments for \(frameworks.joined(separator: ", "))\n" }
    return "No launch arguments: no framework that plans are written for divides states this way\n"
  }

  private static func words(_ name: String) -> String {
    switch name {
    case "micro_batch": "micro-batch"
    case "layer_split": "split of layers"
    case "offload_optimizer": "offload of optimizer states"
    case "quantise_weights": "INT8 gathers of weights between nodes"
    case "quantise_gradients": "INT4 exchange of gradients between nodes"
    default: name
    }
  }
}
