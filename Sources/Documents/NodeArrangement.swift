package import JSONText

/// Which nodes of a cluster a plan uses, in which order, why, and what the order is worth.
package struct NodeArrangement: Sendable, Equatable {
  /// Why the nodes are in this order.
  package enum Reason: String, Sendable, CaseIterable {
    /// The links between nodes were not measured, or there is but one node: nodes keep the cluster's order.
    case notMeasured = "not-measured"
    /// The links differ by no more than they change from one measurement to the next: nodes keep the cluster's order.
    case withinNoise = "within-noise"
    /// Tensor groups span nodes, or stages and nodes do not divide each other: orders were not searched.
    case notSearched = "not-searched"
    /// Nodes differ in their devices: those of a kind stand together, and which kind comes first was searched.
    case byDevice = "by-device"
    /// Orders were searched; this one is the best that was found.
    case searched
    /// The search was stopped before it came to orders: nodes keep the cluster's order.
    case stopped
  }

  /// What one moment's measurements say of the choice.
  package struct Moment: Sendable, Equatable {
    /// The snapshot's name.
    package let name: String
    /// Seconds of an iteration with the first nodes of the cluster, in its order.
    package let givenOrderSeconds: Double
    /// Seconds of an iteration as arranged.
    package let iterationSeconds: Double

    package init(name: String, givenOrderSeconds: Double, iterationSeconds: Double) {
      self.name = name
      self.givenOrderSeconds = givenOrderSeconds
      self.iterationSeconds = iterationSeconds
    }
  }

  /// Node k of the mesh is node `nodeOrder[k]` of the cluster.
  package let nodeOrder: [Int]
  package let reason: Reason
  /// Seconds of an iteration of the same strategy and split with the first nodes of the cluster, in its order.
  package let givenOrderSeconds: Double
  /// The same question asked of every snapshot of the links; empty without measurements.
  package let moments: [Moment]

  package init(nodeOrder: [Int], reason: Reason, givenOrderSeconds: Double, moments: [Moment]) {
    self.nodeOrder = nodeOrder
    self.reason = reason
    self.givenOrderSeconds = givenOrderSeconds
    self.moments = moments
  }

  package init(_ field: Field, cluster: ClusterDescription) throws(DocumentError) {
    var fields = try field.fields()
    reason = try fields.required("reason").choice(of: Reason.self)
    givenOrderSeconds = try fields.required("given_order_seconds").positiveResult()
    let indices = Dictionary(
      cluster.nodeNames.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
    var order: [Int] = []
    var isUsed = [Bool](repeating: false, count: cluster.nodeCount)
    for entry in try fields.required("nodes").array(count: 1...cluster.nodeCount) {
      let name = try entry.name()
      guard let index = indices[name] else { throw entry.conflict("the cluster has no node \"\(name)\"") }
      guard !isUsed[index] else { throw entry.conflict("node \"\(name)\" is used twice") }
      isUsed[index] = true
      order.append(index)
    }
    nodeOrder = order
    var moments: [Moment] = []
    for entry in try fields.required("snapshots").array(count: 0...1_000) {
      var moment = try entry.fields()
      moments.append(
        Moment(
          name: try moment.required("name").name(),
          givenOrderSeconds: try moment.required("given_order_seconds").positiveResult(),
          iterationSeconds: try moment.required("iteration_seconds").positiveResult()))
      try moment.finish()
    }
    self.moments = moments
    try fields.finish()
  }

  package func json(cluster: ClusterDescription) -> JSON {
    object(
      ("reason", .string(reason.rawValue)), ("given_order_seconds", .number(givenOrderSeconds)),
      (
        "snapshots",
        .array(
          moments.map {
            object(
              ("name", .string($0.name)), ("given_order_seconds", .number($0.givenOrderSeconds)),
              ("iteration_seconds", .number($0.iterationSeconds)))
          })
      ),
      ("nodes", .strings(nodeOrder.map { cluster.nodeNames[$0] })))
  }
}
