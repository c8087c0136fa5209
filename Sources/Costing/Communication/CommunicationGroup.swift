import Training

/// The ranks of one collective, as the links see them: enough to price any message.
///
/// Every collective is priced by α–β for each route that a collective library would consider, and the cheapest
/// counts. With S the bytes of the full tensor and n ranks (Thakur et al. 2005; the bus-bandwidth factors of NVIDIA's
/// nccl-tests):
///
/// | route | all-gather, reduce-scatter | all-reduce |
/// |---|---|---|
/// | ring | (n−1)α + (n−1)/n · S/B | twice that |
/// | hierarchical, a ranks at each level over the k below it | Σ (a−1)α + (a−1)/a · (S/k)/B | twice that |
/// | tree | – | 2⌈log₂ n⌉α + 2S/B |
///
/// In an all-to-all, of S bytes that a rank has for all, itself included, every other rank gets 1/n straight from it:
/// Σ over levels (ranks that are reached through the level) · (α + S/n/B), B what the device's own link to the level, or its
/// part of a shared one, allows. A kernel that writes to all at once has the slowest hop's α once.
///
/// Each takes γ besides, once for every collective that it is made of: the launch of its kernel, and the ranks finding
/// each other. Measured all-reduces of 1 MB on eight A100 take 90 µs, of which their fourteen steps are a small part.
///
/// Where a collective of such a group was timed, its seconds count instead of all that, see ``MeasuredGroups``.
///
/// A ring runs at its slowest crossing. The group's members in one instance of a level cross to the next with all their
/// links together, but never with more than the instance's shared links divided by the groups that use them at once.
package struct CommunicationGroup: Sendable, Equatable {
  /// Ranks n.
  package let rankCount: Int
  /// Slowest crossing of a ring through all ranks, bytes per second.
  package let ringBytesPerSecond: Double
  /// Slowest hop's latency α, seconds.
  package let latencySeconds: Double
  /// What a collective takes beside steps and bytes, γ, seconds.
  package let collectiveSeconds: Double
  /// Sums over the levels of a hierarchical collective: Σ (a−1)α and γ for every level but one, and Σ (a−1)/a / (k·B),
  /// seconds and seconds per byte.
  let hierarchicalLatencySeconds: Double
  let hierarchicalSecondsPerByte: Double
  /// The same sums of an all-to-all.
  let allToAllLatencySeconds: Double
  let allToAllSecondsPerByte: Double
  /// Measured times of groups like this one; nil where there are none.
  var measured: GroupTimes?

  /// A group of one rank, which communicates nothing.
  package static let alone = CommunicationGroup(
    rankCount: 1, ringBytesPerSecond: .infinity, latencySeconds: 0, collectiveSeconds: 0,
    hierarchicalLatencySeconds: 0, hierarchicalSecondsPerByte: 0, allToAllLatencySeconds: 0,
    allToAllSecondsPerByte: 0)

  /// The cheapest way of a message, of those that a collective library would consider.
  enum Way: Sendable {
    case ring, hierarchical, tree
  }

  /// Seconds to gather a tensor of `byteCount` bytes, of which each rank holds an equal shard, on every rank.
  package func allGatherSeconds(byteCount: Double) -> Double {
    guard rankCount > 1 else { return 0 }
    if let price = measured?.price(of: .allGather) { return price.seconds(byteCount: byteCount) }
    return collectiveSeconds + gather(byteCount: byteCount).seconds
  }

  /// Seconds to sum a tensor of `byteCount` bytes and leave each rank its shard: the all-gather run backwards.
  package func reduceScatterSeconds(byteCount: Double) -> Double {
    guard let price = measured?.price(of: .reduceScatter) else { return allGatherSeconds(byteCount: byteCount) }
    return price.seconds(byteCount: byteCount)
  }

  /// Seconds to sum a tensor of `byteCount` bytes on every rank.
  package func allReduceSeconds(byteCount: Double) -> Double {
    guard rankCount > 1 else { return 0 }
    if let price = measured?.price(of: .allReduce) { return price.seconds(byteCount: byteCount) }
    return collectiveSeconds + allReduce(byteCount: byteCount).seconds
  }

  /// The way that the seconds of a gather, a scatter or an all-reduce are those of, or would be had nobody timed them.
  func way(of kind: CollectiveKind, byteCount: Double) -> Way {
    kind == .allReduce ? allReduce(byteCount: byteCount).way : gather(byteCount: byteCount).way
  }

  /// The cheapest gather, without γ.
  @inline(__always)
  private func gather(byteCount: Double) -> (way: Way, seconds: Double) {
    let n = Double(rankCount)
    let ring = (n - 1) * latencySeconds + (n - 1) / n * byteCount / ringBytesPerSecond
    let hierarchical = hierarchicalLatencySeconds + byteCount * hierarchicalSecondsPerByte
    return hierarchical < ring ? (.hierarchical, hierarchical) : (.ring, ring)
  }

  /// The cheapest all-reduce, without γ.
  @inline(__always)
  private func allReduce(byteCount: Double) -> (way: Way, seconds: Double) {
    let tree = 2 * Double(treeDepth) * latencySeconds + 2 * byteCount / ringBytesPerSecond
    let (way, gather) = gather(byteCount: byteCount)
    return tree < 2 * gather ? (.tree, tree) : (way, 2 * gather)
  }

  /// Seconds for every rank to send every other its part of `byteCount` bytes, of which one part stays with the sender.
  ///
  /// - Parameter isOneKernel: whether one kernel writes to all peers at once, as DeepEP's and HybridEP's do: the slowest hop's latency
  ///   counts once, in place of one of each peer's.
  func allToAllSeconds(byteCount: Double, isOneKernel: Bool = false) -> Double {
    guard rankCount > 1 else { return 0 }
    if let price = measured?.price(of: .allToAll) { return price.seconds(byteCount: byteCount) }
    return collectiveSeconds + (isOneKernel ? latencySeconds : allToAllLatencySeconds)
      + addedAllToAllSeconds(byteCount: byteCount)
  }

  /// What so many bytes more make an all-to-all longer, seconds.
  func addedAllToAllSeconds(byteCount: Double) -> Double { byteCount * allToAllSecondsPerByte }

  /// Seconds for every rank to send its neighbour in a ring so many bytes: α + S/B, a transfer and no collective.
  func shiftSeconds(byteCount: Double) -> Double {
    rankCount > 1 ? latencySeconds + byteCount / ringBytesPerSecond : 0
  }

  /// Seconds of one collective of `byteCount` bytes of the whole tensor.
  func seconds(of kind: CollectiveKind, byteCount: Double) -> Double {
    switch kind {
    case .allGather: allGatherSeconds(byteCount: byteCount)
    case .reduceScatter: reduceScatterSeconds(byteCount: byteCount)
    case .allReduce: allReduceSeconds(byteCount: byteCount)
    case .allToAll: allToAllSeconds(byteCount: byteCount)
    case .shift, .shiftBack: shiftSeconds(byteCount: byteCount)
    }
  }

  /// What the steps of a gather take however few its bytes, by the way with the least of it, seconds.
  var leastLatencySeconds: Double { min(Double(rankCount - 1) * latencySeconds, hierarchicalLatencySeconds) }

  /// ⌈log₂ n⌉.
  private var treeDepth: Int { Int.bitWidth - (rankCount - 1).leadingZeroBitCount }

  /// The slower of two groups, by what a large message would take; ties keep the first.
  func slower(_ other: Self) -> Self {
    let probe = 1e9
    return other.allGatherSeconds(byteCount: probe) > allGatherSeconds(byteCount: probe) ? other : self
  }
}
