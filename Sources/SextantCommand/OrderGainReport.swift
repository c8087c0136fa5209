import Documents
import Search

/// Which moves of nodes bring most, and which pair of nodes binds.
struct OrderGainReport {
  let plan: Plan
  let gain: OrderGain
  /// Moves that are shown.
  private static let shownCount = 3

  var text: String { movesText + pairText }

  private var movesText: String {
    guard plan.arrangement.reason == .searched, plan.arrangement.nodeOrder != Array(plan.arrangement.nodeOrder.indices)
    else { return "" }
    guard !gain.moves.isEmpty else {
      return "No node's place brings much by itself: the order gains by all of them together\n"
    }
    let lines = gain.moves.prefix(Self.shownCount).map { move in
      "  −\(Format.percent(move.share)) by moving \(name(move.node)) next to \(name(move.neighbour)), where the "
        + "cluster's order has \(name(move.replaced))\n"
    }
    return "What single moves of the order bring, each undone alone\n" + lines.joined()
  }

  private var pairText: String {
    guard let pair = gain.slowestPair else { return "" }
    let what = pair.isInRing ? "in a stage's ring" : "between stages"
    let consequence =
      pair.savedSeconds > 0
      ? "as fast as the fastest it would save \(Format.seconds(pair.savedSeconds))"
      : "not alone: others are as slow"
    return "Binding pair: \(name(pair.from)) to \(name(pair.to)) \(what), "
      + "\(Format.linkRate(pair.bytesPerSecond)), \(consequence)\n"
  }

  private func name(_ node: Int) -> String { plan.cluster.nodeNames[node] }
}
