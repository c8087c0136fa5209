import Documents

/// Which of a plan's decisions change values, and which frameworks can be told all of them.
struct DecisionsReport {
  let plan: Plan

  var text: String { classes + precisions + launch }

  /// Where the plan chose its precision, among which, and why not among others.
  private var precisions: String {
    guard plan.chosenPrecision != nil else { return "" }
    let own = plan.question.job.precision
    let others = Precision.allCases.filter { $0.products != nil && $0 != own }
    let exclusions = others.map { (name: $0.rawValue, reason: plan.question.exclusion(of: $0)) }
    let searched = [own.rawValue] + exclusions.filter { $0.reason == nil }.map(\.name)
    return "Precisions to choose from: \(searched.joined(separator: ", "))\n"
      + exclusions.map { name, reason in reason.map { "  not \(name): \($0)\n" } ?? "" }.joined()
  }

  private var classes: String {
    let exact = plan.decisions.filter { $0.effect == .exact }.map { words($0.name) }
    var text = "Exact: \(exact.joined(separator: ", "))\n"
    for decision in plan.decisions where decision.effect == .numericallyDifferent {
      let error = decision.relativeError.map { ", relative error \(Format.percent($0))" } ?? ""
      text += "Numerically different: \(words(decision.name))\(error)\n"
    }
    for decision in plan.decisions where decision.effect == .algorithmicallyDifferent {
      text += "Algorithmically different: \(words(decision.name)); the result is another model\n"
    }
    return text
  }

  private var launch: String {
    let question = plan.question
    var text = ""
    if plan.strategy.update == .zerothOrder {
      return "For no framework: none that is known trains by losses alone; sextant dry-run executes it in miniature\n"
    }
    if plan.strategy.update == .outer {
      let worker = question.capabilities.map { "\($0.label) can run each worker" } ?? "a framework may run each worker"
      return """
        For no framework: none that is known takes outer steps between workers; \(worker); sextant dry-run executes all of it \
        in miniature

        """
    }
    if let framework = question.capabilities {
      text += "For \(framework.label)"
    } else {
      text += "For no framework in particular: the whole lattice was searched"
      // Where nobody asked for a framework, this is why.
      if let refusal = FrameworkChoice.refusalByDefault(of: plan.job, on: plan.cluster.device) {
        text += ", since \(refusal.rule)"
      }
    }
    if question.usesKin {
      text += ", priced with the coefficients of \(question.coefficientName), its nearest kin here"
    }
    let others = plan.runnableFrameworks.filter { $0.name != question.framework }.map(\.name)
    if others.isEmpty {
      text += question.capabilities == nil ? "; no known framework can be told all of it\n" : "\n"
    } else {
      text +=
        "; \(others.joined(separator: ", ")) can be told all of it\(question.capabilities == nil ? "" : ", too")\n"
    }
    return text
  }

  private func words(_ name: String) -> String {
    switch name {
    case "micro_batch": "micro-batch"
    case "precision": "products in \(plan.job.precision.rawValue)"
    case "narrow_weights": "weights cast before they are gathered, and held so"
    case "update":
      plan.strategy.update == .outer
        ? "workers train apart from each other between outer steps (CO2)"
        : "weights move by losses alone (zeroth order)"
    case "worker": "\(plan.strategy.workerDegree) workers"
    case "outer_period":
      "an outer step every \(Format.count(plan.strategy.outer.period, of: "iteration"))"
    case "outer_staleness":
      plan.strategy.outer.staleness == 0
        ? "outer steps wait for their mean" : "outer steps with the mean of the round before"
    case "outer_format": "what workers send each other as \(plan.strategy.outer.format.rawValue)"
    case "host_outer": "outer states on the host"
    case "perturbation": "losses divided among replicas"
    case "host_weights": "weights on the host between their uses"
    case "host_activations": "activations on the host until backward"
    case "host_update_percent": "updates by the host"
    case "layer_split": "split of layers"
    case "offload_optimizer": "offload of optimizer states"
    case "quantise_weights": "INT8 gathers of weights between nodes"
    case "quantise_gradients": "INT4 exchange of gradients between nodes"
    default: name
    }
  }
}
