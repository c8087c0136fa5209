package import Documents
package import Training

/// Bytes that an iteration sends: those of passes and of exchanges as the recipes have them, those between stages by a
/// formula. Tests compare all with a second account, and the executor with what ranks send.
extension CostModel {
  /// The innermost level whose instance holds the devices of two ranks, an index into the cluster's levels.
  package func linkLevel(fromRank from: Int, toRank to: Int) -> Int {
    let a = deviceIndex(ofRank: from), b = deviceIndex(ofRank: to)
    // The outermost level spans the cluster.
    return cluster.levels.firstIndex { a / $0.span == b / $0.span } ?? cluster.levels.count - 1
  }

  private func deviceIndex(ofRank rank: Int) -> Int {
    nodeOrder[rank / cluster.devicesPerNode] * cluster.devicesPerNode + rank % cluster.devicesPerNode
  }

  /// The cheapest route of a message, which its price is that of; as the first of the cluster's devices reaches the links.
  ///
  /// - Parameter byteCount: of the whole tensor.
  package func route(of kind: CollectiveKind, over group: RankGroup, byteCount: Int) -> Route {
    guard group.count > 1, ![.allToAll, .shift, .shiftBack].contains(kind) else { return .ring }
    let links = fabric.group(first: group.first, stride: group.stride, count: group.count)
    switch links.way(of: kind, byteCount: Double(byteCount)) {
    case .ring: return .ring
    case .tree: return .tree
    case .hierarchical:
      let degrees = fabric.memberCounts(first: group.first, stride: group.stride, count: group.count)
      return degrees.count > 1 ? .hierarchical(degrees: degrees) : .ring
    }
  }

  /// The cheapest route of every message.
  package var cheapestRoutes: CollectiveRoutes {
    CollectiveRoutes { route(of: $0.kind, over: $0.group, byteCount: $0.byteCount) }
  }

  /// Bytes that every rank sends in one iteration.
  ///
  /// | kind | what, of a tensor group's T tokens, h hidden, S = T·h elements |
  /// |---|---|
  /// | tensor | each block sums S twice forward and twice backward (Shoeybi et al. 2019); under sequence parallelism each sum is a gather and a scatter, and backward gathers two inputs again (Korthikanti et al. 2022); full recomputation repeats the forward ones; embedding, head and loss have their own; without sequence parallelism what crossed a stage boundary in parts is gathered; gradients of parameters that all ranks of the group hold, but each computes in part, are summed |
  /// | context | what ranks that divide a sequence exchange for attention, see ``Training/Recipe``; T above is a rank's part of the sequences |
  /// | expert | tokens on their way to experts and back, see ``Training/Recipe``, the mean of all ranks |
  /// | pipeline | S/t of each rank, each boundary, each direction, each micro-batch |
  /// | data | gradients reduced and weights gathered, once an iteration of a stage's parameters where whole gradients are kept (ZeRO 0 and 1), every micro-batch of each part otherwise, and once what is left between the degrees of gradients, optimizer states and replicas; quantised, words of codes and steps |
  /// | embedding | gradients of the token table that first and last stage both hold, tied or for further predictions |
  /// | control | two fp32 numbers over all ranks of a worker: the gradient's squared norm and the loss |
  /// | outer | once a round, not an iteration: what workers have moved by, of what a rank updates, and where the penalty asks for it one fp32 number within each worker |
  ///
  /// Under zeroth-order training, of a rank that evaluates E of 2q losses: tensor, the forward pass' own, E times; pipeline, the
  /// activations of E losses downstream; data, weights of each part gathered in each of its visits; control, 2q fp32 numbers.
  ///
  /// Optimizer states on their way to a host and back are not counted: no rank sends them to another.
  ///
  /// - Parameters:
  ///   - routes: which way collectives go; nil is the cheapest.
  ///   - gatheredFormat: the format in which weights of products are gathered; nil for the strategy's own, see
  ///     ``Documents/Strategy/gatheredFormat(_:)``.
  /// - Precondition: the strategy breaks no rule, see ``violation(of:)``.
  /// - Complexity: O(ranks · largest degree).
  package func traffic(
    of strategy: Strategy, split: Split, routes: CollectiveRoutes? = nil, gatheredFormat: ProductFormat? = nil
  ) -> TrafficCount {
    var fold = TrafficFold(
      model: self, strategy: strategy, split: split, routes: routes ?? cheapestRoutes,
      gatheredFormat: gatheredFormat ?? strategy.gatheredFormat(job))
    fold.countTensor()
    fold.countContext()
    fold.countExperts()
    fold.countPipeline()
    fold.countExchanges()
    fold.countRoutedExchanges()
    return fold.count
  }
}
