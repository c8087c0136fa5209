/// Who sends which elements to whom in which step: a collective operation as data.
///
/// Execution performs ``transfers`` step by step. Cost and volume have formulas of
/// their own, the volumes checked against the messages.
///
/// | collective | route | steps | elements sent per rank, n dividing S |
/// |---|---|---|---|
/// | all-gather, reduce-scatter | ring | n − 1 | (n − 1)/n · S |
/// | all-reduce | ring | 2(n − 1) | 2(n − 1)/n · S |
/// | all-gather, reduce-scatter | hierarchical, degrees d | Σ (d − 1) | (n − 1)/n · S |
/// | all-reduce | hierarchical, degrees d | 2 Σ (d − 1) | 2(n − 1)/n · S |
/// | all-gather, reduce-scatter | direct | n − 1 | (n − 1)/n · S |
/// | all-reduce | direct, both ways | 2(n − 1) | 2(n − 1)/n · S |
/// | all-gather, reduce-scatter, all-reduce | direct by level | as hierarchical | as hierarchical |
/// | all-reduce | tree | 2⌈log₂ n⌉ | S for each edge at the rank, 2(n − 1)·S in all |
/// | all-to-all | direct, rotated | n − 1 | (n − 1)/n · S |
/// | shift, shift back | direct | 1 | S |
///
/// Ring: Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms". The volumes are checked
/// exactly in `CollectiveScheduleTests`.
package struct CollectiveSchedule: Sendable, Hashable {
  /// What the operation does.
  package let kind: CollectiveKind

  /// How a reduction makes one number of two; without meaning for the other kinds.
  package let reduction: Reduction

  /// How the messages are routed.
  package let route: Route

  /// Ranks of the group, n, at least 1.
  package let rankCount: Int

  /// Elements of the full (gathered, or not yet scattered) tensor, S, at least 0; for all-to-all and
  /// shifts, of one rank's send buffer.
  package let elementCount: Int

  private let tensor: ChunkedTensor

  /// Every message, by step, then by sender. Chunks of no element send no message.
  package let transfers: [CollectiveTransfer]

  /// Steps at whose end what was laid aside is added up.
  package let additionSteps: [Int]

  /// The schedule of a collective.
  ///
  /// - Parameters:
  ///   - reduction: Of reduce-scatter and all-reduce.
  ///   - route: Of all-gather, reduce-scatter and all-reduce; all-to-all has one.
  /// - Precondition: `rankCount` is at least 1, `elementCount` at least 0, the degrees of a hierarchy multiply to
  ///   `rankCount`, and a direct reduction is a sum.
  /// - Complexity: O(n²) messages.
  package init(
    _ kind: CollectiveKind, rankCount: Int, elementCount: Int, reduction: Reduction = .sum,
    route: Route = .ring
  ) {
    precondition(rankCount >= 1, "a group has at least 1 rank, found \(rankCount)")
    precondition(elementCount >= 0, "a tensor has at least 0 elements, found \(elementCount)")
    self.kind = kind
    self.reduction = reduction
    self.route = route
    self.rankCount = rankCount
    self.elementCount = elementCount
    tensor = ChunkedTensor(chunkCount: rankCount, elementCount: elementCount)
    let messages: [CollectiveTransfer]
    switch kind {
    case .allGather: messages = tensor.gather(route, firstStepIndex: 0)
    case .reduceScatter: messages = tensor.reduce(route, reduction)
    case .allReduce where route == .tree: messages = tensor.treeAllReduce(reduction)
    case .allReduce:
      let reduce = tensor.reduce(route, reduction)
      let stepCount = tensor.stepCount(route)
      messages = reduce + tensor.gather(route, firstStepIndex: stepCount)
    case .allToAll: messages = tensor.directExchange()
    case .shift: messages = tensor.shift(by: 1)
    case .shiftBack: messages = tensor.shift(by: rankCount - 1)
    }
    transfers = messages.filter { !$0.elementRange.isEmpty }
    additionSteps = [.reduceScatter, .allReduce].contains(kind) && route != .tree ? tensor.additionSteps(route) : []
  }

  /// The elements that belong to a rank: the tensor is cut into n chunks whose lengths differ by at most one, longer
  /// ones first.
  ///
  /// - Precondition: `rank` is a rank of the group.
  package func chunk(_ rank: Int) -> Range<Int> {
    precondition((0..<rankCount).contains(rank), "rank \(rank) is not one of \(rankCount)")
    return tensor.chunk(rank)
  }

  /// The same, of a tensor of a given number of elements cut for `rankCount` ranks.
  ///
  /// - Precondition: `rank` is one of `rankCount` ranks.
  package static func chunk(_ rank: Int, of rankCount: Int, elementCount: Int) -> Range<Int> {
    precondition((0..<rankCount).contains(rank), "rank \(rank) is not one of \(rankCount)")
    return ChunkedTensor(chunkCount: rankCount, elementCount: elementCount).chunk(rank)
  }
}
