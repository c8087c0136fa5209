import Costing
import Documents

/// Nodes with different devices: those of a model stand together, so that stages lie on one model where they can, and
/// every order of the models is searched.
extension PlanSearch {
  /// The model with its nodes by model of device, for every order of the models; inside a model in the order that they
  /// have.
  var deviceOrders: [CostModel] {
    let cluster = model.cluster
    let models = Set(model.nodeOrder.map { cluster.deviceOfNode[$0] }).sorted()
    return permutations(models).map { order in
      model.arranged(order.flatMap { device in model.nodeOrder.filter { cluster.deviceOfNode[$0] == device } })
    }
  }

  /// Whether what passes cost is the same in all orders of the nodes: no links between nodes were measured.
  var sharesPrices: Bool { model.cluster.measured == nil }

  /// Orders whose lattices are priced at once: all but the first, where they share prices, and the first on its own, so
  /// that there is an answer soon.
  func pricedTogether(_ orders: [CostModel]) -> [[CostModel]] {
    guard sharesPrices, orders.count > 1 else { return orders.map { [$0] } }
    return [[orders[0]], Array(orders.dropFirst())]
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
