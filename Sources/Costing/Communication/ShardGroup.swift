import Documents
import Training

/// Groups of one family, as collectives of weights and gradients see the slowest of them.
struct ShardGroup: Sendable, Equatable {
  /// The two exchanges of quantised gradients, in each node and then between nodes, see ``Training/QuantisedExchange``.
  struct Hops: Sendable, Equatable {
    let quantisation: ShardQuantisation
    let inside: CommunicationGroup
    let across: CommunicationGroup

    func slower(_ other: Self) -> Self {
      Hops(quantisation: quantisation, inside: inside.slower(other.inside), across: across.slower(other.across))
    }
  }

  let group: CommunicationGroup
  /// Nil where groups stay inside their nodes or lie on them unevenly: nothing is quantised there.
  let hops: Hops?

  static let alone = ShardGroup(group: .alone, hops: nil)

  /// The slower of two, part by part.
  func slower(_ other: Self) -> Self {
    guard let hops, let others = other.hops, hops.quantisation == others.quantisation else {
      return ShardGroup(group: group.slower(other.group), hops: nil)
    }
    return ShardGroup(group: group.slower(other.group), hops: hops.slower(others))
  }

  /// The volume of an exchange of `elementCount` elements, of `byteCount` bytes together where nothing is quantised.
  func volume(of exchange: Exchange, elementCount: Int, byteCount: Int) -> ShardVolume {
    let isQuantised = exchange.quantisation != nil
    return switch exchange.kind {
    case .allGather: gatherVolume(elementCount: elementCount, byteCount: byteCount, isQuantised: isQuantised)
    case .reduceScatter: reduceVolume(elementCount: elementCount, byteCount: byteCount, isQuantised: isQuantised)
    case .allReduce, .allToAll, .shift, .shiftBack: ShardVolume(bytes: Double(byteCount))
    }
  }

  /// Seconds on the links to exchange a volume.
  func seconds(of exchange: Exchange, _ volume: ShardVolume) -> Double {
    switch exchange.kind {
    case .allGather: group.allGatherSeconds(byteCount: volume.bytes)
    case .reduceScatter: reduceSeconds(volume)
    case .allReduce, .allToAll, .shift, .shiftBack: group.allReduceSeconds(byteCount: volume.bytes)
    }
  }

  /// The volume of a gather of `elementCount` elements, of `byteCount` bytes together where nothing is quantised.
  ///
  /// Quantised, each rank reads its shard and writes codes, and reads the codes that all have sent, its own as well.
  func gatherVolume(elementCount: Int, byteCount: Int, isQuantised: Bool) -> ShardVolume {
    let plain = Double(byteCount)
    guard isQuantised, let quantisation = hops?.quantisation else { return ShardVolume(bytes: plain) }
    let quantised = Double(quantisation.gatheredByteCount(elementCount: elementCount))
    return ShardVolume(
      bytes: quantised, kernelBytes: (plain + quantised) / Double(quantisation.rankCount) + quantised + plain)
  }

  /// The volume of a reduction of `elementCount` elements to shards, of `byteCount` bytes together likewise.
  ///
  /// Quantised, a rank makes and reads codes twice, sums in fp32: its whole tensor for its node, what the node has summed for the
  /// others.
  func reduceVolume(elementCount: Int, byteCount: Int, isQuantised: Bool) -> ShardVolume {
    let plain = Double(byteCount)
    guard isQuantised, let exchange = hops?.quantisation.exchange(elementCount: elementCount) else {
      return ShardVolume(bytes: plain)
    }
    let inside = Double(exchange.insideByteCount), across = Double(exchange.acrossByteCount)
    // In and out: tensor and codes, codes and the node's sum; then what there is to quantise and codes, codes and shard.
    let sum = inside > 0 ? 4 * Double(exchange.nodeSumCount) : plain
    let first = inside > 0 ? plain + 2 * inside + sum : 0
    let second = sum + 2 * across + plain / Double(group.rankCount)
    return ShardVolume(insideBytes: inside, acrossBytes: across, kernelBytes: first + second)
  }

  /// Seconds on the links to reduce a volume to shards.
  private func reduceSeconds(_ volume: ShardVolume) -> Double {
    guard let hops, volume.acrossBytes > 0 else { return group.reduceScatterSeconds(byteCount: volume.bytes) }
    let exact = volume.bytes > 0 ? group.reduceScatterSeconds(byteCount: volume.bytes) : 0
    return exact + hops.inside.allToAllSeconds(byteCount: volume.insideBytes)
      + hops.across.allToAllSeconds(byteCount: volume.acrossBytes)
  }
}

/// What a collective of weights or gradients moves: on links, and through a device's memory to quantise and dequantise.
struct ShardVolume: Sendable, Equatable {
  /// Of the whole tensor, in an all-gather or a reduce-scatter.
  var bytes = 0.0
  /// What a rank sends in an exchange inside its node, its own part included.
  var insideBytes = 0.0
  /// The same between nodes.
  var acrossBytes = 0.0
  /// Read and written to quantise and dequantise.
  var kernelBytes = 0.0

  static func + (left: Self, right: Self) -> Self {
    ShardVolume(
      bytes: left.bytes + right.bytes, insideBytes: left.insideBytes + right.insideBytes,
      acrossBytes: left.acrossBytes + right.acrossBytes, kernelBytes: left.kernelBytes + right.kernelBytes)
  }

  static func * (volume: Self, count: Int) -> Self {
    let count = Double(count)
    return ShardVolume(
      bytes: volume.bytes * count, insideBytes: volume.insideBytes * count, acrossBytes: volume.acrossBytes * count,
      kernelBytes: volume.kernelBytes * count)
  }

  /// What takes as long where links reach only a share of their rate.
  func atRate(_ share: Double) -> Self {
    ShardVolume(
      bytes: bytes / share, insideBytes: insideBytes, acrossBytes: acrossBytes / share, kernelBytes: kernelBytes)
  }
}
