package import Documents
import Training

extension CostModel {
  /// The collectives of a strategy that measured collectives price, each once.
  ///
  /// - Precondition: the strategy breaks no rule, see ``violation(of:)``.
  package func measuredPrices(of strategy: Strategy) -> [MeasuredPrice] {
    collectives(of: strategy).compactMap { use in
      guard let shape = use.shape,
        let price = fabric.groups?.times(stride: use.stride, count: use.count)?.price(of: use.kind),
        let kind = MeasuredLinks.CollectiveTimes.Kind(rawValue: use.kind.rawValue)
      else { return nil }
      var sources: [MeasuredPrice.Source] = []
      for part in price.parts where !sources.contains(part.source) { sources.append(part.source) }
      return MeasuredPrice(
        group: use.group,
        collective: MeasuredPrice.Source(kind: kind, rankCount: use.count, nodeCount: shape.nodeCount),
        sources: sources, isInferred: price.isInferred)
    }
  }

  /// Why the cluster's measured collectives price nothing of a strategy, as a sentence without its stop: which groups it
  /// has, and what was measured; nil where they price something, or where none was measured.
  ///
  /// - Precondition: the strategy breaks no rule, see ``violation(of:)``.
  package func unusedCollectives(of strategy: Strategy) -> String? {
    guard let links = cluster.measured, !links.collectives.isEmpty, measuredPrices(of: strategy).isEmpty else {
      return nil
    }
    var groups: [String] = []
    for use in collectives(of: strategy) {
      let nodes = use.shape.map { $0.nodeCount == 1 ? " on 1 node" : " on \($0.nodeCount) nodes" } ?? " spread unevenly"
      let words = "\(use.kind.rawValue) of \(use.count) ranks\(nodes)"
      if !groups.contains(words) { groups.append(words) }
    }
    var measured: [String] = []
    for one in links.collectives {
      let nodes = one.nodeCount.map { $0 == 1 ? " on 1 node" : " on \($0) nodes" } ?? ""
      let words =
        "\(one.kind.rawValue) of \(one.rankCount) ranks\(nodes)"
        + (one.obstacle(on: cluster).map { ", which \($0)" } ?? "")
      if !measured.contains(words) { measured.append(words) }
    }
    func listed(_ words: [String]) -> String {
      words.isEmpty
        ? "none" : words.prefix(4).joined(separator: "; ") + (words.count > 4 ? "; and \(words.count - 4) more" : "")
    }
    return "none of the measured collectives prices this strategy, whose collectives are: \(listed(groups)). "
      + "Measured: \(listed(measured))"
  }

  /// What a strategy does over a family of groups.
  private struct Use: Equatable {
    let group: String
    let kind: CollectiveKind
    let stride: Int
    let count: Int
    let shape: MeasuredGroups.Shape?
  }

  /// The collectives of a strategy that have the price of a group, each once.
  private func collectives(of strategy: Strategy) -> [Use] {
    let mesh = strategy.mesh, devices = cluster.devicesPerNode
    var uses: [Use] = []
    func add(_ group: String, _ kind: CollectiveKind, stride: Int, count: Int) {
      guard count > 1 else { return }
      let use = Use(
        group: group, kind: kind, stride: stride, count: count,
        shape: MeasuredGroups.Shape(stride: stride, count: count, devicesPerNode: devices))
      if !uses.contains(use) { uses.append(use) }
    }
    let t = mesh.degree(of: .tensor)
    for kind in strategy.usesSequenceParallelism ? [CollectiveKind.allGather, .reduceScatter] : [.allReduce] {
      add("tensor", kind, stride: 1, count: t)
    }
    let replicas = mesh.replicas, sharding = strategy.sharding
    for moment in Moment.allCases {
      for exchange in sharding.exchanges(at: moment, in: mesh) {
        guard let family = exchange.family else { continue }
        let spacing = sharding.spacing(of: family, replicaCount: replicas.count)
        let stride = replicas.stride * spacing.stride
        // Quantised gradients go by all-to-alls where groups leave their nodes, in each node and then between nodes.
        if exchange.quantisation != nil, exchange.kind == .reduceScatter, stride * spacing.count > devices {
          let inside = max(1, devices / stride)
          guard devices % stride == 0 || stride % devices == 0, spacing.count % inside == 0 else { continue }
          add(family.rawValue, .allToAll, stride: stride, count: inside)
          add(family.rawValue, .allToAll, stride: stride * inside, count: spacing.count / inside)
          continue
        }
        add(family.rawValue, exchange.kind, stride: stride, count: spacing.count)
      }
    }
    if strategy.copiesTokenTable(of: job.model) {
      add("embedding", .allReduce, stride: mesh.blockSize(below: .pipeline) * (strategy.pipelineDegree - 1), count: 2)
    }
    return uses
  }
}
