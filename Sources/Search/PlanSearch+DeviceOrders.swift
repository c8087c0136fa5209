import Costing
import Documents

/// Nodes with different devices: those of a model stand together, so that stages lie on one model where they can, and
/// every order of the models is searched.
extension PlanSearch {
  func runOverDeviceOrders(interruption: () -> Interruption?, progress: (_ done: Int, _ total: Int) -> Void) -> Result {
    let orders = nodeOrders
    // After an interruption the others say their bounds at once.
    let results = orders.enumerated().map { index, order in
      PlanSearch(model: model.arranged(order), pattern: pattern, allowance: allowance, options: options).runInOrder(
        interruption: interruption, progress: { progress(index * $1 + $0, orders.count * $1) })
    }
    let best = Array(results.flatMap(\.best).stablySorted { $0.scoreSeconds }.prefix(options.resultCount))
    // Families of strategies differ from the best, which one of the searches has found.
    let winner = results.first { $0.best.first == best.first }
    return Result(
      best: best, arrangement: best.first.map(NodeArranger(model: model).arrangement),
      certificate: certificate(of: results, best: best.first),
      families: winner?.families ?? [],
      shortage: best.isEmpty ? results.compactMap(\.shortage).min { $0.excessBytes < $1.excessBytes } : nil)
  }

  /// Counts add up, and no strategy beats the least of the bounds.
  private func certificate(of results: [Result], best: Completion?) -> Certificate {
    let each = results.map(\.certificate)
    func sum(_ count: KeyPath<Certificate, Int>) -> Int { each.reduce(0) { $0 + $1[keyPath: count] } }
    var rejections: [String: Int] = [:]
    for rejection in each.flatMap(\.rejections) { rejections[rejection.rule, default: 0] += rejection.count }
    return Certificate(
      ending: each.map(\.ending).first { $0 != .exhausted } ?? .exhausted,
      // An order without any plan has none.
      lowerBoundSeconds: results.filter { !$0.best.isEmpty || $0.certificate.ending != .exhausted }
        .map(\.certificate.lowerBoundSeconds).min() ?? 0,
      scoreSeconds: best?.scoreSeconds ?? 0, enumeratedCount: sum(\.enumeratedCount),
      rejections: rejections.sorted { $0.key < $1.key }.map { Certificate.Rejection(rule: $0.key, count: $0.value) },
      memoryRejectedCount: sum(\.memoryRejectedCount), closedByBoundCount: sum(\.closedByBoundCount),
      completedCount: sum(\.completedCount), unprovenCount: sum(\.unprovenCount), programCount: sum(\.programCount))
  }

  /// The model's nodes by model of device, for every order of the models; inside a model in the order that they have.
  private var nodeOrders: [[Int]] {
    let cluster = model.cluster
    let models = Set(model.nodeOrder.map { cluster.deviceOfNode[$0] }).sorted()
    return permutations(models).map { order in
      order.flatMap { device in model.nodeOrder.filter { cluster.deviceOfNode[$0] == device } }
    }
  }

  /// All orders, in lexicographic order of the places.
  private func permutations(_ elements: [Int]) -> [[Int]] {
    guard elements.count > 1 else { return [elements] }
    return elements.indices.flatMap { first in
      var rest = elements
      let element = rest.remove(at: first)
      return permutations(rest).map { [element] + $0 }
    }
  }
}

extension Array {
  /// In the order of a key, equals as they were.
  fileprivate func stablySorted(by key: (Element) -> Double) -> [Element] {
    enumerated().sorted { (key($0.element), $0.offset) < (key($1.element), $1.offset) }.map(\.element)
  }
}
