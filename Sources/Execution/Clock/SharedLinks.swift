import Costing

/// A flow's time on links that it has for itself, and which these are.
struct FlowPrice: Sendable {
  /// Before bytes move: latencies, launches.
  var latencySeconds = 0.0
  /// While bytes move.
  var bytesSeconds = 0.0
  /// What it takes of links meanwhile.
  var uses: [SharedLink.Use] = []
}

/// A flow that has ended.
struct FlowRecord: Sendable {
  let startSeconds: Double
  let endSeconds: Double
  let byteCount: Int
}

/// The flows under way, and how links are shared among them.
///
/// Every flow takes a share of each of its links when nothing else is under way. Where the shares of the flows on a
/// link add up to more than the whole, each of them moves at its part of it: a flow's speed is
/// `min over its links of 1 / max(1, Σ shares)`. It never moves faster than its price says, which already assumes that
/// all other ranks run the same at the same time.
struct SharedLinks {
  /// When a flow will end, if nothing changes.
  struct Change {
    let flow: Int
    let version: Int
    let endSeconds: Double
  }

  let contends: Bool
  private var flows: [Flow] = []
  private var places: [SharedLink: Int] = [:]
  private var links: [Link] = []

  private struct Flow {
    var startSeconds: Double
    var byteCount: Int
    /// Seconds at full speed that are left, as of `sinceSeconds`.
    var leftSeconds: Double
    var sinceSeconds: Double
    var speed: Double
    /// Which of the foreseen ends holds.
    var version: Int
    var uses: [(link: Int, share: Double)]
  }

  private struct Link {
    var load = 0.0
    var flows: [Int] = []
  }

  init(contends: Bool) { self.contends = contends }

  /// A flow that begins, its latency first.
  mutating func add(_ number: Int, _ price: FlowPrice, byteCount: Int, at seconds: Double) -> Change {
    let version = number < flows.count ? flows[number].version + 1 : 0
    let uses = contends ? price.uses.map { (place(of: $0.link), $0.share) } : []
    let flow = Flow(
      startSeconds: seconds, byteCount: byteCount, leftSeconds: price.bytesSeconds, sinceSeconds: seconds, speed: 1,
      version: version, uses: uses)
    if number < flows.count { flows[number] = flow } else { flows.append(flow) }
    return Change(
      flow: number, version: version, endSeconds: seconds + (price.latencySeconds + price.bytesSeconds))
  }

  /// Its bytes begin to move: the ends that change.
  mutating func begin(_ number: Int, at seconds: Double) -> [Change] {
    flows[number].sinceSeconds = seconds
    for use in flows[number].uses {
      links[use.link].load += use.share
      links[use.link].flows.append(number)
    }
    return changes(around: number, at: seconds, isNew: true)
  }

  func isCurrent(_ number: Int, version: Int) -> Bool { flows[number].version == version }

  /// A flow ends; those that it slowed down move on faster.
  mutating func end(_ number: Int, at seconds: Double) -> (FlowRecord, [Change]) {
    let flow = flows[number]
    for use in flow.uses {
      if let index = links[use.link].flows.firstIndex(of: number) {
        links[use.link].flows.remove(at: index)
        // Sums of shares that come and go leave rounding behind; an idle link carries nothing.
        links[use.link].load = links[use.link].flows.isEmpty ? 0 : links[use.link].load - use.share
      }
    }
    flows[number].version += 1
    let record = FlowRecord(startSeconds: flow.startSeconds, endSeconds: seconds, byteCount: flow.byteCount)
    return (record, changes(around: number, at: seconds, isNew: false))
  }

  /// The new ends of flows whose speed a flow has changed by coming or going.
  private mutating func changes(around number: Int, at seconds: Double, isNew: Bool) -> [Change] {
    var changes: [Change] = []
    if isNew { changes.append(updated(number, at: seconds)) }
    for use in flows[number].uses {
      for other in links[use.link].flows where other != number {
        if speed(of: other) != flows[other].speed { changes.append(updated(other, at: seconds)) }
      }
    }
    return changes
  }

  private func speed(of number: Int) -> Double {
    // A thousandth of a millionth over the whole is rounding.
    var worst = 1 + 1e-9
    for use in flows[number].uses { worst = max(worst, links[use.link].load) }
    return worst > 1 + 1e-9 ? 1 / worst : 1
  }

  private mutating func updated(_ number: Int, at seconds: Double) -> Change {
    let moved = (seconds - flows[number].sinceSeconds) * flows[number].speed
    flows[number].leftSeconds = max(0, flows[number].leftSeconds - moved)
    flows[number].sinceSeconds = seconds
    flows[number].speed = speed(of: number)
    flows[number].version += 1
    return Change(
      flow: number, version: flows[number].version,
      endSeconds: seconds + flows[number].leftSeconds / flows[number].speed)
  }

  private mutating func place(of link: SharedLink) -> Int {
    if let place = places[link] { return place }
    places[link] = links.count
    links.append(Link())
    return links.count - 1
  }
}
