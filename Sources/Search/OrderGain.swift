package import Costing
package import Documents

/// What the order of a plan's nodes is worth, place by place, and the pair of nodes it waits for.
///
/// A move is undone by itself: the node that the cluster's order has in a place gets it back, and the one that the plan
/// has there takes the other's. What an iteration then takes longer is what the move brings, all others as they are.
/// Moves help each other, so that these shares need not add up to the whole gain.
package struct OrderGain: Sendable {
  /// A node in a place that another has in the cluster's order.
  package struct Move: Sendable, Equatable {
    /// The node, the one it stands in for, and the neighbour to which its link is better than the other's would be, by
    /// index in the cluster.
    package let node: Int
    package let replaced: Int
    package let neighbour: Int
    /// Share of an iteration that the move saves.
    package let share: Double
  }

  /// Two nodes that exchange data.
  package struct Pair: Sendable, Equatable {
    /// By index in the cluster.
    package let from: Int
    package let to: Int
    /// The slower direction for a transfer between stages.
    package let bytesPerSecond: Double
    /// Whether the pair is part of a ring; else it lies between stages.
    package let isInRing: Bool
    /// What an iteration would save if the pair were as fast as the cluster's fastest; 0 if others are as slow.
    package let savedSeconds: Double
  }

  /// Moves that are priced exactly, those by which the arranger's objective changes
  /// most; and pairs, of rings and between stages each.
  private static let candidateCount = 24, pairCount = 6
  /// Places of workers that are told apart by the whole model.
  private static let workerPlaceCount = 256
  /// A share too small to speak of.
  private static let leastShare = 0.000_5

  /// What brings most first.
  package let moves: [Move]
  /// The pair that would save most; nil if no two nodes exchange data over measured links, or tensor groups span nodes.
  package let slowestPair: Pair?

  /// - Throws: `CostModel.Refusal` when the plan's inputs cannot be priced at all.
  package init(_ plan: Plan) throws(CostModel.Refusal) {
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    let order = plan.arrangement.nodeOrder
    guard let links = plan.cluster.measured, links.hasPairs, order.count > 1, model.placesWholeNodes(plan.strategy)
    else {
      (moves, slowestPair) = ([], nil)
      return
    }
    let places = Places(
      nodesPerStage: max(1, plan.strategy.mesh.blockSize(below: .pipeline) / plan.cluster.devicesPerNode),
      nodesPerWorker: order.count / plan.strategy.workerDegree,
      order: order)
    func seconds(_ model: CostModel) -> Double {
      var scratch = EvaluationScratch()
      return model.cost(of: plan.strategy).iterationSeconds(of: plan.split, scratch: &scratch)
    }
    let own = seconds(model.arranged(order))
    moves =
      plan.arrangement.reason == .searched
      ? Self.moves(of: plan, places: places, links: links, model: model.arranged(order), own: own, seconds: seconds)
      : []
    slowestPair = Self.slowestPair(
      places: places, links: links, model: model.arranged(order), own: own, seconds: seconds)
  }

  private static func moves(
    of plan: Plan, places: Places, links: MeasuredLinks, model: CostModel, own: Double,
    seconds: (CostModel) -> Double
  ) -> [Move] {
    let order = places.order
    let undone = order.indices.filter { order[$0] != $0 }.map { place in
      var other = order
      if let now = order.firstIndex(of: place) { other[now] = order[place] }
      other[place] = place
      return (place: place, order: other)
    }
    // Thousands of orders are told apart by the arranger's objective, which knows of one worker.
    let problem = NodeArranger(model: model).problem(plan.strategy, plan.split)
    let hasWorkers = plan.strategy.workerDegree > 1
    func rough(_ used: [Int]) -> Double {
      if hasWorkers { return seconds(model.arranged(used)) }
      let isUsed = Set(used)
      return problem.seconds(order: used + (0..<problem.nodeCount).filter { !isUsed.contains($0) })
    }
    let likely = undone.prefix(hasWorkers ? workerPlaceCount : .max).map { (undone: $0, seconds: rough($0.order)) }
      .sorted { ($1.seconds, $0.undone.place) < ($0.seconds, $1.undone.place) }.prefix(candidateCount)
    return likely.compactMap { candidate -> Move? in
      let place = candidate.undone.place
      let share = 1 - own / seconds(model.arranged(candidate.undone.order))
      guard share >= leastShare else { return nil }
      let gains = places.neighbours(of: place).filter { $0 != place }.map { neighbour in
        (neighbour, rate(links, order[place], neighbour) - rate(links, place, neighbour))
      }
      guard let best = gains.max(by: { ($0.1, $1.0) < ($1.1, $0.0) }) else { return nil }
      return Move(node: order[place], replaced: place, neighbour: best.0, share: share)
    }.sorted { ($1.share, $0.node) < ($0.share, $1.node) }
  }

  private static func slowestPair(
    places: Places, links: MeasuredLinks, model: CostModel, own: Double, seconds: (CostModel) -> Double
  ) -> Pair? {
    func measured(_ pairs: [(from: Int, to: Int)], isInRing: Bool) -> [(from: Int, to: Int, rate: Double)] {
      pairs.compactMap { pair in
        let there = links.medianBytesPerSecond(from: pair.from, to: pair.to)
        let back = links.medianBytesPerSecond(from: pair.to, to: pair.from)
        let rate = isInRing ? there : [there, back].compactMap { $0 }.min()
        return rate.map { (pair.from, pair.to, $0) }
      }.sorted { ($0.rate, $0.from, $0.to) < ($1.rate, $1.from, $1.to) }
    }
    var best: Pair?
    for (pairs, isInRing) in [(places.ringEdges, true), (places.hops, false)] {
      for pair in measured(pairs, isInRing: isInRing).prefix(pairCount) {
        let faster = model.withFastestLink(between: pair.from, and: pair.to)
        let found = Pair(
          from: pair.from, to: pair.to, bytesPerSecond: pair.rate, isInRing: isInRing,
          savedSeconds: max(0, own - seconds(faster)))
        if best.map({ (found.savedSeconds, $0.bytesPerSecond) > ($0.savedSeconds, found.bytesPerSecond) }) ?? true {
          best = found
        }
      }
    }
    return best
  }

  /// The slower direction of a pair; 0 where it was not measured.
  private static func rate(_ links: MeasuredLinks, _ node: Int, _ other: Int) -> Double {
    guard node != other else { return .infinity }
    return min(
      links.medianBytesPerSecond(from: node, to: other) ?? 0, links.medianBytesPerSecond(from: other, to: node) ?? 0)
  }

  /// Which nodes exchange data, in the places of a layout: `nodesPerStage` for each column of them, columns of each worker
  /// together.
  private struct Places {
    let nodesPerStage: Int
    let nodesPerWorker: Int
    let order: [Int]

    /// From one node to the next of the rings.
    var ringEdges: [(from: Int, to: Int)] {
      (nodesPerStage > 1 ? order.indices.map { (order[$0], order[next($0)]) } : [])
        + (nodesPerWorker < order.count ? order.indices.map { (order[$0], order[nextWorker($0)]) } : [])
    }

    /// From one stage's nodes to the next's.
    var hops: [(from: Int, to: Int)] {
      order.indices.filter { $0 % nodesPerWorker + nodesPerStage < nodesPerWorker }
        .map { (order[$0], order[$0 + nodesPerStage]) }
    }

    func neighbours(of place: Int) -> [Int] {
      var places = [place - nodesPerStage, place + nodesPerStage].filter {
        $0 >= 0 && $0 / nodesPerWorker == place / nodesPerWorker
      }
      if nodesPerWorker < order.count {
        places += [nextWorker(place), (place + order.count - nodesPerWorker) % order.count]
      }
      if nodesPerStage > 1 { places += order.indices.filter { next($0) == place } + [next(place)] }
      return places.filter { order.indices.contains($0) && $0 != place }.map { order[$0] }
    }

    private func nextWorker(_ place: Int) -> Int { (place + nodesPerWorker) % order.count }

    private func next(_ place: Int) -> Int {
      (place + 1) % nodesPerStage == 0 ? place + 1 - nodesPerStage : place + 1
    }
  }
}
