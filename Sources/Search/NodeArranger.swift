import Costing
import Documents

/// Puts the nodes of a measured cluster into the order in which a strategy is fastest.
///
/// Orders are searched once per layout, for the first of its strategies that is completed, and serve the others: what a
/// placement is good for are the layout's boundaries and rings.
struct NodeArranger {
  /// The nodes in the order that was given.
  private let model: CostModel
  private var byLayout: [ParallelLayout: Arranged] = [:]

  /// A layout on the nodes it was placed on.
  private struct Arranged {
    let model: CostModel
    let layout: LayoutCost
  }

  init(model: CostModel) { self.model = model }

  /// Whether the order of the nodes matters: their links were measured.
  var isNeeded: Bool { model.cluster.measured != nil && model.nodeOrder.count > 1 }

  /// The cost of a strategy on the nodes arranged for its layout.
  ///
  /// - Parameter layerCounts: the split for which an order is searched, if none was for the layout.
  mutating func cost(of strategy: Strategy, layerCounts: [Int]) -> (cost: StrategyCost, nodeOrder: [Int]) {
    let layout = ParallelLayout(strategy)
    let arranged = byLayout[layout] ?? arrange(strategy, layerCounts: layerCounts)
    byLayout[layout] = arranged
    return (arranged.model.cost(of: strategy, layout: arranged.layout), arranged.model.nodeOrder)
  }

  private func arrange(_ strategy: Strategy, layerCounts: [Int]) -> Arranged {
    Arranged(model: model, layout: model.layoutCost(ParallelLayout(strategy)))
  }

  /// What the plan says of a completion's order.
  func arrangement(of completion: PlanSearch.Completion) -> NodeArrangement {
    var scratch = EvaluationScratch()
    func seconds(_ model: CostModel) -> Double {
      model.cost(of: completion.strategy).iterationSeconds(layerCounts: completion.layerCounts, scratch: &scratch)
    }
    let given = seconds(model)
    guard isNeeded, let links = model.cluster.measured else {
      return NodeArrangement(
        nodeOrder: completion.nodeOrder, reason: .notMeasured, givenOrderSeconds: given, moments: [])
    }
    let moments = links.snapshots.indices.map { index in
      let then = model.observing(snapshot: index)
      return NodeArrangement.Moment(
        name: links.snapshots[index].name, givenOrderSeconds: seconds(then),
        iterationSeconds: seconds(then.arranged(completion.nodeOrder)))
    }
    return NodeArrangement(
      nodeOrder: completion.nodeOrder, reason: completion.nodeOrder == model.nodeOrder ? .withinNoise : .searched,
      givenOrderSeconds: given, moments: moments)
  }
}
