import Documents
import Sextant

/// What zeroth-order training does in a plan, and what it is against training by gradients.
struct ZerothOrderReport {
  let plan: Documents.Plan

  var text: String {
    guard plan.strategy.update == .zerothOrder else { return "" }
    return method + hosted + comparison
  }

  private var method: String {
    let method = plan.job.zerothOrder, degree = plan.strategy.perturbationDegree
    let each = plan.strategy.evaluationCount(plan.job)
    let losses = Format.count(method.evaluationCount, of: "loss")
    let divided =
      degree > 1
      ? "; \(degree) replicas divide those of the same sequences, \(each) each" : "; every replica evaluates all"
    return """
      Zeroth order: \(losses) an iteration along \(Format.count(method.directionCount, of: "direction"))\(divided)
        ε \(method.epsilon), learning rate \(method.learningRate), seed \(method.seed); of gradients and optimizer states there are none

      """
  }

  private var hosted: String {
    let counts = plan.split.stages(of: LayerKinds(of: plan.job.model)).map {
      $0.hostedLayerCount(plan.strategy.hosting)
    }
    guard counts.contains(where: { $0 > 0 }) else { return "" }
    let slices = plan.strategy.sharding.weightDegree
    let sliced = slices > 1 ? ", each device's slice of \(slices) over its own link" : ""
    let stages =
      counts.count == 1
      ? "\(counts[0]) of \(plan.split.layerCounts[0])" : "\(PlanReport.runs(counts)) by stage"
    return "Layers on the host between their visits: \(stages)\(sliced)\n"
  }

  /// The best plan that trains by gradients, as the plan's own search found it.
  private var comparison: String {
    let name = Documents.Plan.Alternative.firstOrder
    var text = "\nAgainst training by gradients\n"
    if let other = plan.alternatives.first(where: { $0.family == name }) {
      let own = plan.prediction
      let faster = own.tokensPerSecondPerDevice / other.tokensPerSecondPerDevice
      let less = Double(own.peakBytes) / Double(max(1, other.peakBytes))
      let rate = Format.rate(other.tokensPerSecondPerDevice), peak = Format.gigabytes(other.peakBytes)
      text += """
          best plan: \(other.strategy.short(of: other.split, in: other.precision)), \(rate) tokens/s per device, peak \(peak)
          here: \(Format.percent(faster)) of its tokens/s, \(Format.percent(less)) of its memory

        """
    } else if plan.impossibleFamilies.contains(name) {
      text += "  no plan fits into memory\n"
    } else {
      text += "  nothing is known of it: none divides this batch so, or the search was told not to look, or stopped\n"
    }
    let q = plan.job.zerothOrder.directionCount, count = Format.count(plan.job.model.parameterCount)
    return text + """
        given up: an iteration learns one number of \(q == 1 ? "one direction" : "each of \(q) directions"), not a gradient of \
      \(count) numbers, so that far more iterations are needed; shown for fine-tuning (Malladi et al. 2023), not for \
      training from the beginning

      """
  }
}
