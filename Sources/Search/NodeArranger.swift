import Costing
import Documents

/// Puts the nodes of a measured cluster into the order in which a strategy is fastest.
///
/// Orders are searched once per mesh, for the first of its strategies that is completed, and each strategy takes the
/// one that is best for it: what a placement is good for are the mesh's boundaries and rings. Of several workers each is
/// arranged for itself, see ``workerOrders(_:_:nodes:watch:)``.
struct NodeArranger {
  /// The nodes in the order that was given.
  let model: CostModel
  private var byMesh: [Mesh: [Arranged]] = [:]
  private var scratch = EvaluationScratch()
  /// Which nodes make a worker, by how many workers there are.
  var partitions: [Int: WorkerPartition] = [:]

  /// A mesh on the nodes it was placed on.
  private struct Arranged {
    let model: CostModel
    let layout: LayoutCost
    /// What bounds the mesh in every order, where integer programs said more of it; and how many were solved.
    var bounding: LayoutCost?
    var programCount = 0
  }

  /// A strategy on its nodes.
  struct Placed {
    let cost: IterationCost
    let nodeOrder: [Int]
    /// No order takes less than with this; nil where no more is known than of all strategies.
    let bounding: IterationCost?
    /// Integer programs that were solved for its order, by the first of its mesh.
    let programCount: Int
  }

  /// Whether the links differ by no more than they change from one measurement to the next.
  private let isWithinNoise: Bool

  /// Of every search: the same input gives the same order.
  private static let seed: UInt64 = 1
  /// Few nodes are annealed from the given order, where every move is tried often; more from one
  /// made place by place, which swaps alone would not find.
  private static let evaluationsPerNode = 4_000
  static let evaluationsOfMany = 100_000

  init(model: CostModel) {
    self.model = model
    isWithinNoise = model.cluster.measured.map { LinkNoise($0).hidesLinks } ?? false
  }

  /// Whether orders are searched for their links: these were measured, and all nodes have the same devices.
  var isNeeded: Bool { model.cluster.measured?.hasPairs == true && model.nodeOrder.count > 1 && !model.cluster.isMixed }

  /// The cost of a strategy on the nodes arranged for its mesh.
  ///
  /// - Parameters:
  ///   - split: the one for which an order is searched, if none was for the mesh.
  /// - Throws: ``Stopped``.
  mutating func cost(of strategy: Strategy, split: Split, watch: StopWatch) throws(Stopped) -> Placed {
    let known = byMesh[strategy.mesh]
    let orders = if let known { known } else { try arrange(strategy, split, watch: watch) }
    byMesh[strategy.mesh] = orders
    // The objective that was searched is not the whole model, which decides; the given order comes first.
    var best = 0, least = Double.infinity
    for (index, arranged) in orders.enumerated() where orders.count > 1 {
      let seconds = arranged.model.cost(of: strategy, layout: arranged.layout)
        .iterationSeconds(of: split, scratch: &scratch)
      if seconds < least { (best, least) = (index, seconds) }
    }
    let arranged = orders[best]
    return Placed(
      cost: arranged.model.cost(of: strategy, layout: arranged.layout), nodeOrder: arranged.model.nodeOrder,
      bounding: arranged.bounding.map { model.cost(of: strategy, layout: $0) },
      programCount: known == nil ? arranged.programCount : 0)
  }

  /// The given order, and those that a search found for a mesh.
  private mutating func arrange(_ strategy: Strategy, _ split: Split, watch: StopWatch) throws(Stopped) -> [Arranged] {
    let mesh = strategy.mesh
    var given = Arranged(model: model, layout: model.layoutCost(mesh))
    guard reasonNotToSearch(strategy) == nil else { return [given] }
    let isUsed = Set(model.nodeOrder)
    let nodes = model.nodeOrder + (0..<model.cluster.nodeCount).filter { !isUsed.contains($0) }
    let orders: [[Int]]
    if strategy.workerDegree > 1 {
      (orders, given.programCount) = try workerOrders(strategy, split, nodes: nodes, watch: watch)
    } else {
      let problem = problem(strategy, split)
      let found = try self.orders(problem, given: nodes, watch: watch)
      orders = found.orders
      given.programCount = found.programCount
      if let bound = found.ringSecondsPerByte {
        given.bounding = model.layoutCost(mesh, ringSecondsPerByte: bound)
      }
    }
    let levels = NodeLevels(model.cluster)
    return [given]
      + orders.compactMap { levels.keeping(Array($0.prefix(model.nodeOrder.count))) }.map { order in
        let arranged = model.arranged(order)
        return Arranged(
          model: arranged, layout: arranged.layoutCost(mesh), bounding: given.bounding,
          programCount: given.programCount)
      }
  }

  /// Orders of nodes worth a look, the one that was searched for longest first.
  ///
  /// - Parameters:
  ///   - nodes: all nodes of the problem, each once.
  ///   - evaluationsOfMany: in a walk among more nodes than every move can be tried with.
  /// - Returns: orders whose first nodes take the places; a time per byte below which no ring's slowest link is, where
  ///   programs said so; and how many these were.
  /// - Throws: ``Stopped``.
  func orders(
    _ problem: PlacementProblem, given nodes: [Int], evaluationsOfMany: Int = Self.evaluationsOfMany, watch: StopWatch
  ) throws(Stopped) -> (orders: [[Int]], ringSecondsPerByte: Double?, programCount: Int) {
    // A place is column · rows + row: the ranks' own order.
    var orders = try candidateOrders(problem, given: nodes, evaluationsOfMany: evaluationsOfMany, watch: watch)
    guard problem.columnCount == 1, problem.rowCount > 2, nodes.count <= RingProgram.largestNodeCount else {
      return (orders, nil, 0)
    }
    let proven = try RingProgram(
      nodeCount: nodes.count, length: problem.rowCount, secondsPerByte: problem.ringSecondsPerByte
    ).best(
      known: Array(orders[0].prefix(problem.rowCount)),
      noneBelow: PlacementBound(problem).leastThreshold(nodes: problem.rowCount, isOneRing: true), watch: watch)
    orders[0] = proven.ring
    return (orders, proven.bound, proven.programCount)
  }

  /// Orders of all nodes worth a look, the one that was searched for longest first.
  private func candidateOrders(
    _ problem: PlacementProblem, given: [Int], evaluationsOfMany: Int, watch: StopWatch
  ) throws(Stopped) -> [[Int]] {
    func walk(from order: [Int], evaluationCount: Int) throws(Stopped) -> [Int] {
      var search = PlacementSearch(problem, order: order, seed: Self.seed)
      let found = search.walk(evaluationCount: evaluationCount) { watch.isRequested }
      try watch.check()
      return found.order
    }
    let starts = problem.startingOrders(given: given)
    guard given.count > PlacementSearch.fullMoveNodeCount else {
      return [try walk(from: given, evaluationCount: Self.evaluationsPerNode * given.count)] + starts
    }
    let times = starts.map(problem.seconds(order:))
    let best = starts.indices.min { times[$0] < times[$1] } ?? 0
    return [
      try walk(from: starts[best], evaluationCount: evaluationsOfMany),
      try walk(from: given, evaluationCount: evaluationsOfMany),
    ] + starts
  }

  /// What is searched: of several workers for each of them.
  func problem(_ strategy: Strategy, _ split: Split) -> PlacementProblem {
    let terms = model.placementTerms(of: strategy, split: split)
    let rows = terms.nodesPerStage
    let columns = model.nodeOrder.count / strategy.workerDegree / rows
    let stagesPerColumn = terms.stageSeconds.count / columns
    let tails = (0..<columns).map { column in
      // The stage that ends last; rings leave a node only where it holds one stage.
      let stages = terms.tails[column * stagesPerColumn..<(column + 1) * stagesPerColumn]
      return PlacementProblem.Tail(
        baseSeconds: stages.map(\.baseSeconds).max() ?? 0, byteCount: rows > 1 ? stages.map(\.byteCount).max() ?? 0 : 0)
    }
    return PlacementProblem(
      nodeCount: model.cluster.nodeCount, rowCount: rows, columnCount: columns,
      hopSecondsPerByte: terms.hopSecondsPerByte, ringSecondsPerByte: terms.ringSecondsPerByte,
      hopByteCount: Double(terms.hopByteCount), microBatchCount: terms.microBatchCount,
      stageSeconds: terms.stageSeconds, tails: tails, rowsWait: true)
  }

  /// Why a strategy's nodes keep their order; nil if orders are searched.
  private func reasonNotToSearch(_ strategy: Strategy) -> NodeArrangement.Reason? {
    guard isNeeded else { return model.cluster.isMixed ? .byDevice : .notMeasured }
    if isWithinNoise { return .withinNoise }
    return model.placesWholeNodes(strategy) ? nil : .notSearched
  }

  /// What the plan says of a completion's order.
  ///
  /// - Parameter wasSearched: whether orders were searched for it wherever they can be.
  func arrangement(of completion: PlanSearch.Completion, wasSearched: Bool = true) -> NodeArrangement {
    var scratch = EvaluationScratch()
    func seconds(_ model: CostModel) -> Double {
      model.cost(of: completion.strategy).iterationSeconds(of: completion.split, scratch: &scratch)
    }
    let given = seconds(model)
    let snapshots = model.nodeOrder.count > 1 ? model.cluster.measured?.snapshots ?? [] : []
    let moments = snapshots.indices.map { index in
      let then = model.observing(snapshot: index)
      return NodeArrangement.Moment(
        name: snapshots[index].name, givenOrderSeconds: seconds(then),
        iterationSeconds: seconds(then.arranged(completion.nodeOrder)))
    }
    return NodeArrangement(
      nodeOrder: completion.nodeOrder,
      reason: reasonNotToSearch(completion.strategy) ?? (wasSearched ? .searched : .stopped),
      givenOrderSeconds: given, moments: moments)
  }
}
