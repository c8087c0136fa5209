import Documents
import Sextant

/// What outer steps between workers do in a plan, and what they are against training with gradients of all.
struct OuterReport {
  let plan: Documents.Plan

  var text: String {
    guard plan.strategy.update == .outer else { return "" }
    return method + Self.round(of: plan.prediction, plan.strategy) + comparison
  }

  private var method: String {
    let strategy = plan.strategy, outer = strategy.outer, step = plan.job.outer
    let nodes = plan.arrangement.nodeOrder.count / strategy.workerDegree
    let late = outer.staleness == 0 ? "waited for" : "in flight during the next round, one round late"
    let format = outer.format.isRounded ? " as \(outer.format.rawValue)" : ""
    let clip = step.clip.map { "clip ±\($0)" } ?? "no clip"
    let penalty =
      switch step.penalty {
      case .constant(let scale): scale == 1 ? "no penalty" : "the mean divided by \(scale)"
      case .gapAware(let scale): "gap-aware penalty \(scale)"
      }
    return """
      Workers: \(strategy.workerDegree) of \(Format.count(nodes, of: "node")), an outer step every \
      \(Format.count(outer.period, of: "iteration")); their mean\(format) is \(late)
        β \(step.momentum), α \(step.learningRate), \(clip), \(penalty); anchor\(step.hasMomentum ? ", momentum" : "")\
      \(outer.staleness > 0 ? " and what is in flight" : "") \(outer.isHosted ? "on the host" : "on the devices")

      """
  }

  /// What a round takes; empty without outer steps.
  static func round(of prediction: Documents.Prediction, _ strategy: Documents.Strategy) -> String {
    guard let round = prediction.outerRound else { return "" }
    let outer = strategy.outer, least = Format.count(round.leastHiddenPeriod, of: "iteration")
    let hidden =
      outer.staleness == 0
      ? "waited for"
      : outer.period >= round.leastHiddenPeriod
        ? "hidden, as from \(least) a round on" : "longer than the round, and hidden from \(least) on"
    let busy = Double(outer.period) * round.localSeconds / round.roundSeconds
    return """
      A round: \(Format.seconds(round.roundSeconds)), in which workers train \(Format.percent(busy)) of the time; \
      all-reduce \(Format.seconds(round.allReduceSeconds)) for \(Format.gigabytes(round.sentBytes)) that each device sends, \
      \(hidden); outer step \(Format.seconds(round.stepSeconds))

      """
  }

  /// The best plan whose workers are one, as the plan's own search found it.
  private var comparison: String {
    let name = Documents.Plan.Alternative.firstOrder
    var text = "\nAgainst gradients of all devices in every iteration\n"
    if let other = plan.alternatives.first(where: { $0.family == name }) {
      let faster = plan.prediction.tokensPerSecondPerDevice / other.tokensPerSecondPerDevice
      text += """
          best plan: \(other.strategy.short(of: other.split, in: other.precision)), \(Format.rate(other.tokensPerSecondPerDevice)) tokens/s per device, \
        peak \(Format.gigabytes(other.peakBytes))
          here: \(Format.percent(faster)) of its tokens/s

        """
    } else if plan.impossibleFamilies.contains(name) {
      text += "  no plan fits into memory\n"
    } else {
      text += "  nothing is known of it: none divides this batch so, or the search was told not to look, or stopped\n"
    }
    let delay = plan.strategy.outer.period * (1 + plan.strategy.outer.staleness)
    return text + """
        given up: a gradient of another worker enters up to \(Format.count(delay, of: "iteration")) late; how much more \
      training that costs is not modelled, published periods are 12 to 500

      """
  }
}
