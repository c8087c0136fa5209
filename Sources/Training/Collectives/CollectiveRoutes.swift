package import Documents

/// Which route every collective of an iteration takes: the one that costs least for its message, or one that a test asks for.
package struct CollectiveRoutes: Sendable {
  /// What a route is chosen for.
  package struct Question: Sendable, Hashable {
    package let kind: CollectiveKind
    package let operand: Operand
    package let group: RankGroup
    /// Of the whole tensor.
    package let byteCount: Int

    package init(_ kind: CollectiveKind, of operand: Operand, over group: RankGroup, byteCount: Int) {
      self.kind = kind
      self.operand = operand
      self.group = group
      self.byteCount = byteCount
    }
  }

  private let choice: @Sendable (Question) -> Route
  private var fixed: [RankGroup: Route] = [:]

  /// - Parameter choice: the route of a message; rings, where nothing else is said.
  package init(_ choice: @escaping @Sendable (Question) -> Route = { _ in .ring }) { self.choice = choice }

  /// One route for every group of an axis of a mesh, rings for others.
  package init(_ route: Route, along axis: Mesh.Axis, of mesh: Mesh) {
    self.init()
    for group in mesh.groups(along: axis) { self[group] = route }
  }

  /// Losses of zeroth-order training straight to where they are added up in the order of ranks, so that the sum is the same in
  /// every layout; everything else another way.
  package static func inRankOrder(ofScalars others: Route) -> CollectiveRoutes {
    CollectiveRoutes { $0.operand.isOfScalars ? .direct : others }
  }

  /// The route of all that a group's tensors, weights and gradients take; nil where it depends on the message.
  package subscript(group: RankGroup) -> Route? {
    get { fixed[group] }
    set { fixed[group] = newValue }
  }

  /// The route of a message. An all-to-all has one only.
  package func route(of question: Question) -> Route {
    guard question.kind != .allToAll, question.group.count > 1 else { return .ring }
    // Every worker finds the same length, to the bit, or their anchors would part.
    if question.operand.isOfAnchorStep { return .direct }
    if let route = fixed[question.group], question.operand.isRoutedByGroup { return route }
    return choice(question)
  }
}

extension Operand {
  /// Whether it is what all ranks exchange once an iteration.
  package var isOfScalars: Bool {
    if case .exchanged(let exchange, _, _) = self { exchange.content == .scalars } else { false }
  }

  /// Whether it is how far an anchor has moved.
  fileprivate var isOfAnchorStep: Bool {
    if case .exchanged(let exchange, _, _) = self { exchange.content == .anchorStep } else { false }
  }

  /// Whether a route that was fixed for its group is meant for it: what the whole iteration sums is no group's own.
  fileprivate var isRoutedByGroup: Bool {
    if case .exchanged(let exchange, _, _) = self { [.data, .tensor, .outer].contains(exchange.traffic) } else { true }
  }
}
