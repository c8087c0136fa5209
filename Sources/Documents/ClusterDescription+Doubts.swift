/// Measurements that are most likely of another network than the one that the cluster describes.
extension ClusterDescription {
  /// A measured rate below this share of the described one is not what wear, load or topology leave of a link: tests that
  /// ran over a management network reach a hundredth.
  private static let leastShare = 0.05

  /// What speaks against the cluster's measurements, a sentence each; empty where nothing does.
  package var doubts: [String] { measured.map { doubts(of: $0) } ?? [] }

  /// The outermost level, if it is one between nodes.
  private var network: Level? { levels.last.flatMap { $0.span > devicesPerNode ? $0 : nil } }

  /// What a comparison of measurements with this cluster comes to, for people; a sentence at least.
  package func comparison(with measured: MeasuredLinks) -> [String] {
    guard let network else { return ["\(name) has no level between nodes to compare with."] }
    let doubts = doubts(of: measured)
    guard doubts.isEmpty else { return doubts }
    return [
      "nothing measured between nodes is below \(Int(Self.leastShare * 100)) % of level \(network.name) of \(name)."
    ]
  }

  /// What speaks against measurements that are said to be of this cluster, whatever its nodes are called.
  package func doubts(of measured: MeasuredLinks) -> [String] {
    guard let network else { return [] }
    let nominal = network.bytesPerSecond
    func doubt(_ what: String, _ rate: Double) -> String? {
      guard rate < Self.leastShare * nominal else { return nil }
      let share = (rate / nominal * 1000).rounded() / 10
      return """
        \(what) reach \(gigabytes(rate)) GB/s, \(share) % of the \(gigabytes(nominal)) GB/s that level \
        \(network.name) is described with: did they run over a management network?
        """
    }
    var rates: [Double] = []
    for from in measured.nodeNames.indices where measured.hasPairs {
      for to in measured.nodeNames.indices where to != from {
        if let rate = measured.medianBytesPerSecond(from: from, to: to) { rates.append(rate) }
      }
    }
    let pairs = rates.median.flatMap { doubt("measured links between nodes", $0) }
    let collectives = measured.collectives.compactMap { collective -> String? in
      guard (collective.nodeCount ?? 1) > 1, let rate = collective.largestBusBytesPerSecond else { return nil }
      return doubt("\(collective.kind.rawValue)s of \(collective.rankCount) ranks", rate)
    }
    return [pairs].compactMap { $0 } + collectives
  }

  private func gigabytes(_ rate: Double) -> Double { (rate / 1e7).rounded() / 100 }
}

extension MeasuredLinks.CollectiveTimes {
  /// The best bus bandwidth of all sizes, as nccl-tests counts it (its `PERFORMANCE.md`); nil for kinds that are no
  /// exchange of all ranks.
  fileprivate var largestBusBytesPerSecond: Double? {
    guard [.allReduce, .allGather, .reduceScatter, .allToAll].contains(kind) else { return nil }
    let factor = kind.busFactor(rankCount: rankCount)
    return points.map { factor * Double($0.messageBytes) / $0.seconds }.max()
  }
}
