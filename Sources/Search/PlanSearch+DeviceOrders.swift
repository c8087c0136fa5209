import Costing
import Documents

/// Nodes with different devices: those of a model stand together, so that stages lie on one model where they can, and
/// every order of the models is searched.
extension PlanSearch {
  /// A model with its nodes by model of device, for every order of the models; inside a model in the order that they
  /// have. Itself where all devices are alike.
  func deviceOrders(of model: CostModel) -> [CostModel] {
    let cluster = model.cluster
    guard cluster.isMixed else { return [model] }
    let models = Set(model.nodeOrder.map { cluster.deviceOfNode[$0] }).sorted()
    return permutations(models).map { order in
      model.arranged(order.flatMap { device in model.nodeOrder.filter { cluster.deviceOfNode[$0] == device } })
    }
  }

  /// Whether what passes cost is the same in all orders of the nodes: no links between nodes were measured.
  var sharesPrices: Bool { model.cluster.measured == nil }

  /// Orders whose lattices are priced at once: of each precision all but the first, where they share prices, and the first
  /// on its own, so that there is an answer soon.
  func pricedTogether(_ orders: [CostModel]) -> [[CostModel]] {
    guard sharesPrices else { return orders.map { [$0] } }
    return models.flatMap { model in
      let own = orders.filter { $0.job.precision == model.job.precision }
      return [Array(own.prefix(1)), Array(own.dropFirst())].filter { !$0.isEmpty }
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
