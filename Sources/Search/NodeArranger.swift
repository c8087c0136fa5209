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

  /// Whether the links differ by no more than they change from one measurement to the next.
  private let isWithinNoise: Bool

  /// Of every search: the same input gives the same order.
  private static let seed: UInt64 = 1
  /// Few nodes are annealed from the given order, where every move is tried often; more from one made place by place, which
  /// swaps alone would not find.
  private static let evaluationsPerNode = 4_000, evaluationsOfMany = 100_000

  init(model: CostModel) {
    self.model = model
    isWithinNoise = model.cluster.measured.map { LinkNoise($0).hidesLinks } ?? false
  }

  /// Whether the order of the nodes matters: their links were measured.
  var isNeeded: Bool { model.cluster.measured != nil && model.nodeOrder.count > 1 }

  /// The cost of a strategy on the nodes arranged for its layout.
  ///
  /// - Parameters:
  ///   - layerCounts: the split for which an order is searched, if none was for the layout.
  ///   - choices: what its stages trade for memory.
  mutating func cost(
    of strategy: Strategy, layerCounts: [Int], choices: [StageChoice]?
  ) -> (cost: StrategyCost, nodeOrder: [Int]) {
    let layout = ParallelLayout(strategy)
    let arranged = byLayout[layout] ?? arrange(strategy, layerCounts: layerCounts, choices: choices)
    byLayout[layout] = arranged
    return (arranged.model.cost(of: strategy, layout: arranged.layout), arranged.model.nodeOrder)
  }

  /// Searches the orders for a layout; the given one stays unless the model finds another faster.
  private func arrange(_ strategy: Strategy, layerCounts: [Int], choices: [StageChoice]?) -> Arranged {
    let layout = ParallelLayout(strategy)
    let given = Arranged(model: model, layout: model.layoutCost(layout))
    guard reasonNotToSearch(strategy) == nil else { return given }
    let problem = problem(strategy, layerCounts: layerCounts, choices: choices)
    let isUsed = Set(model.nodeOrder)
    let hosts = model.nodeOrder + (0..<model.cluster.nodeCount).filter { !isUsed.contains($0) }
    // A place is column · rows + row: the ranks' own order.
    let areFew = hosts.count <= PlacementSearch.fullMoveHostCount
    var search = PlacementSearch(
      problem, order: areFew ? hosts : problem.startingOrder(given: hosts), seed: Self.seed)
    let found = search.walk(
      evaluationCount: areFew ? Self.evaluationsPerNode * hosts.count : Self.evaluationsOfMany)
    let nodeOrder = Array(found.order.prefix(problem.placeCount))
    guard nodeOrder != model.nodeOrder else { return given }
    let arranged = model.arranged(nodeOrder)
    let placed = Arranged(model: arranged, layout: arranged.layoutCost(layout))
    var scratch = EvaluationScratch()
    func seconds(_ candidate: Arranged) -> Double {
      candidate.model.cost(of: strategy, layout: candidate.layout)
        .iterationSeconds(layerCounts: layerCounts, choices: choices, scratch: &scratch)
    }
    return seconds(placed) < seconds(given) ? placed : given
  }

  /// What is searched.
  private func problem(_ strategy: Strategy, layerCounts: [Int], choices: [StageChoice]?) -> PlacementProblem {
    let terms = model.placementTerms(of: strategy, layerCounts: layerCounts, choices: choices)
    let rows = terms.nodesPerStage
    let columns = model.nodeOrder.count / rows
    let stagesPerColumn = terms.stageSeconds.count / columns
    let tails = (0..<columns).map { column in
      // The stage that ends last; rings leave a node only where it holds one stage.
      let stages = terms.tails[column * stagesPerColumn..<(column + 1) * stagesPerColumn]
      return PlacementProblem.Tail(
        baseSeconds: stages.map(\.baseSeconds).max() ?? 0, byteCount: rows > 1 ? stages.map(\.byteCount).max() ?? 0 : 0)
    }
    return PlacementProblem(
      hostCount: model.cluster.nodeCount, rowCount: rows, columnCount: columns,
      hopSecondsPerByte: terms.hopSecondsPerByte, ringSecondsPerByte: terms.ringSecondsPerByte,
      hopByteCount: Double(terms.hopByteCount), microBatchCount: terms.microBatchCount,
      stageSeconds: terms.stageSeconds, tails: tails, rowsWait: true)
  }

  /// Why a strategy's nodes keep their order; nil if orders are searched.
  private func reasonNotToSearch(_ strategy: Strategy) -> NodeArrangement.Reason? {
    guard isNeeded else { return .notMeasured }
    if isWithinNoise { return .withinNoise }
    return model.placesWholeNodes(strategy) ? nil : .notSearched
  }

  /// What the plan says of a completion's order.
  func arrangement(of completion: PlanSearch.Completion) -> NodeArrangement {
    var scratch = EvaluationScratch()
    func seconds(_ model: CostModel) -> Double {
      model.cost(of: completion.strategy).iterationSeconds(
        layerCounts: completion.layerCounts, choices: completion.choices, scratch: &scratch)
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
      nodeOrder: completion.nodeOrder, reason: reasonNotToSearch(completion.strategy) ?? .searched,
      givenOrderSeconds: given, moments: moments)
  }
}
