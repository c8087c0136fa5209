package import Documents

/// A link that flows of several ranks or streams may use at the same time.
package enum SharedLink: Sendable, Hashable {
  /// What one device can send, or receive, across a level.
  case port(device: Int, level: Int, isOut: Bool)
  /// What an instance of the level below can send, or receive, in all: the network cards of a node.
  case uplink(instance: Int, level: Int, isOut: Bool)
  /// What a pair of measured nodes can exchange in all, one way, nodes by their place in the layout.
  case pair(fromNode: Int, toNode: Int)

  /// How much of a link a flow takes that nothing slows down, from 0 to 1.
  package struct Use: Sendable, Equatable {
    package let link: SharedLink
    package let share: Double

    package init(link: SharedLink, share: Double) {
      self.link = link
      self.share = share
    }
  }
}

/// The links that transfers and collectives of a layout take, for whoever looks at what happens at the same time. The cost
/// model itself prices every flow as if all other ranks sent the same meanwhile, and nothing else.
extension CostModel {
  /// The links as the device of a rank reaches them.
  private func fabric(ofRank rank: Int) -> Fabric {
    devices[cluster.deviceOfNode[nodeOrder[rank / cluster.devicesPerNode]]].fabric
  }

  /// Seconds of a transfer between two ranks: before the first byte, and of all bytes; the slower end's.
  package func transferSeconds(
    fromRank from: Int, toRank to: Int, byteCount: Int
  ) -> (latencySeconds: Double, bytesSeconds: Double) {
    let own = [from, to].map { end in
      (
        latency: fabric(ofRank: end).transferSeconds(from: from, to: to, byteCount: 0),
        whole: fabric(ofRank: end).transferSeconds(from: from, to: to, byteCount: Double(byteCount))
      )
    }
    let slower = own[1].whole > own[0].whole ? own[1] : own[0]
    return (slower.latency, slower.whole - slower.latency)
  }

  /// The links that a transfer takes.
  ///
  /// - Parameters:
  ///   - senderCount: devices of the sender's stage that send at the same time.
  ///   - bytesPerSecond: of one of them, when nothing else is under way.
  package func uses(fromRank from: Int, toRank to: Int, senderCount: Int, bytesPerSecond: Double) -> [SharedLink.Use] {
    fabric(ofRank: from).uses(from: from, to: to, senderCount: senderCount, bytesPerSecond: bytesPerSecond)
  }

  /// The links that a collective of a group takes at one of its ranks.
  ///
  /// - Parameter memberCount: devices around the rank that take part in collectives like this one at the same time.
  package func uses(ofCollectiveOver group: RankGroup, at rank: Int, memberCount: Int) -> [SharedLink.Use] {
    fabric(ofRank: rank).uses(ofCollectiveOver: group, at: rank, memberCount: memberCount)
  }

  /// A group as the slowest of its ranks' devices sees it.
  package func communicationGroup(_ group: RankGroup) -> CommunicationGroup {
    var slowest = CommunicationGroup.alone
    var seen: Set<Int> = []
    for rank in group.ranks {
      let device = cluster.deviceOfNode[nodeOrder[rank / cluster.devicesPerNode]]
      guard seen.insert(device).inserted else { continue }
      slowest = slowest.slower(
        devices[device].fabric.group(first: group.first, stride: group.stride, count: group.count))
      if seen.count == devices.count { break }
    }
    return slowest
  }
}

extension Fabric {
  fileprivate func uses(from: Int, to: Int, senderCount: Int, bytesPerSecond: Double) -> [SharedLink.Use] {
    guard from != to, let top = levels.firstIndex(where: { from / $0.span == to / $0.span }) else { return [] }
    var uses: [SharedLink.Use] = []
    for (index, level) in levels[...top].enumerated() where index == top || level.span > devicesPerNode {
      let senders = Double(min(senderCount, level.innerSpan))
      for (device, isOut) in [(from, true), (to, false)] {
        uses.append(.port(device, index, isOut, bytesPerSecond / level.bytesPerSecond))
        if level.sharedBytesPerSecond.isFinite {
          uses.append(
            .uplink(device / level.innerSpan, index, isOut, senders * bytesPerSecond / level.sharedBytesPerSecond))
        }
      }
    }
    let level = levels[top]
    if let pair = measuredRate(fromDevice: from, toDevice: to), level.sharedBytesPerSecond.isFinite {
      let shared = level.with(bytesPerSecond: pair).sharedBytesPerSecond
      uses.append(
        .pair(
          from / devicesPerNode, to / devicesPerNode,
          Double(min(senderCount, level.innerSpan)) * bytesPerSecond / shared))
    }
    return uses
  }

  fileprivate func uses(ofCollectiveOver group: RankGroup, at rank: Int, memberCount: Int) -> [SharedLink.Use] {
    var uses: [SharedLink.Use] = []
    for crossing in crossings(first: group.first, stride: group.stride, count: group.count) {
      let level = levels[crossing.level]
      let members = Double(min(memberCount, level.innerSpan))
      for isOut in [true, false] {
        uses.append(.port(rank, crossing.level, isOut, crossing.bytesPerSecond / level.bytesPerSecond))
        if level.sharedBytesPerSecond.isFinite {
          uses.append(
            .uplink(
              rank / level.innerSpan, crossing.level, isOut,
              members * crossing.bytesPerSecond / level.sharedBytesPerSecond))
        }
      }
    }
    return uses
  }
}

extension SharedLink.Use {
  fileprivate static func port(_ device: Int, _ level: Int, _ isOut: Bool, _ share: Double) -> Self {
    Self(link: .port(device: device, level: level, isOut: isOut), share: min(1, share))
  }
  fileprivate static func uplink(_ instance: Int, _ level: Int, _ isOut: Bool, _ share: Double) -> Self {
    Self(link: .uplink(instance: instance, level: level, isOut: isOut), share: min(1, share))
  }
  fileprivate static func pair(_ from: Int, _ to: Int, _ share: Double) -> Self {
    Self(link: .pair(fromNode: from, toNode: to), share: min(1, share))
  }
}
