package import Documents
import Foundation

/// Which nodes and links of a measurement are slow, against what the others reach.
///
/// A rate is explained as what all links have in common, times what its sender does to it, times what its receiver
/// does: a median polish of the logarithms (Tukey 1977, Exploratory Data Analysis, chapter 11), which a few slow links
/// do not move. What a sender or receiver lacks is its node's; what is left is the link's own.
package struct LinkHealth: Sendable {
  /// A node whose links are slow in one direction or both.
  package struct SlowNode: Sendable, Equatable {
    package let index: Int
    /// Share by which it sends and receives less than the median node; negative where it does more.
    package let sendingLoss: Double
    package let receivingLoss: Double

    package var largestLoss: Double { max(sendingLoss, receivingLoss) }
  }

  /// A link that is slower than its sender and its receiver explain.
  package struct SlowLink: Sendable, Equatable {
    package let from: Int
    package let to: Int
    package let bytesPerSecond: Double
    package let expectedBytesPerSecond: Double

    /// Share by which it is below what is expected.
    package var loss: Double { 1 - bytesPerSecond / expectedBytesPerSecond }
  }

  /// A loss below this share is never called slow.
  package static let leastLoss = 0.1
  /// How many times the usual deviation (the median absolute one, times 1.4826) a loss must be.
  package static let leastDeviations = 4.0

  /// Largest loss first.
  package let slowNodes: [SlowNode]
  package let slowLinks: [SlowLink]
  /// The median of all rates, bytes per second; nil without any.
  package let medianBytesPerSecond: Double?

  private let rates: [[Double?]]
  private let senderEffect: [Double]
  private let receiverEffect: [Double]
  private let common: Double

  /// The health of the median over the snapshots.
  ///
  /// - Complexity: O(n² log n) for n nodes.
  package init(_ links: MeasuredLinks) {
    let count = links.nodeNames.count
    let rates = (0..<count).map { from in
      (0..<count).map { to in from == to ? nil : links.medianBytesPerSecond(from: from, to: to) }
    }
    let all = rates.flatMap { $0.compactMap { $0 } }
    self.rates = rates
    medianBytesPerSecond = all.median
    var sender = [Double](repeating: 0, count: count), receiver = sender
    var common = medianBytesPerSecond.map { log($0) } ?? 0
    // Below four nodes a row has too few entries to tell a link from its node: all is the links' own.
    if count >= 4 {
      for _ in 0..<10 {
        for index in 0..<count {
          let rest = (0..<count).compactMap { to in rates[index][to].map { log($0) - common - receiver[to] } }
          sender[index] = rest.median ?? sender[index]
        }
        for index in 0..<count {
          let rest = (0..<count).compactMap { from in rates[from][index].map { log($0) - common - sender[from] } }
          receiver[index] = rest.median ?? receiver[index]
        }
        // What all senders or all receivers have in common is no one's own.
        let sending = sender.median ?? 0, receiving = receiver.median ?? 0
        sender = sender.map { $0 - sending }
        receiver = receiver.map { $0 - receiving }
        common += sending + receiving
      }
    }
    senderEffect = sender
    receiverEffect = receiver
    self.common = common

    let usual = Self.deviation(sender), usualReceiver = Self.deviation(receiver)
    slowNodes = (0..<count).compactMap { index in
      let node = SlowNode(
        index: index, sendingLoss: 1 - exp(sender[index]), receivingLoss: 1 - exp(receiver[index]))
      let isSlow =
        node.sendingLoss >= Self.leastLoss && -sender[index] >= Self.leastDeviations * usual
        || node.receivingLoss >= Self.leastLoss && -receiver[index] >= Self.leastDeviations * usualReceiver
      return isSlow ? node : nil
    }.sorted { ($1.largestLoss, $0.index) < ($0.largestLoss, $1.index) }

    var residuals: [Double] = []
    for from in 0..<count {
      for to in 0..<count {
        if let rate = rates[from][to] { residuals.append(log(rate) - common - sender[from] - receiver[to]) }
      }
    }
    let usualResidual = Self.deviation(residuals)
    var slow: [SlowLink] = []
    for from in 0..<count {
      for to in 0..<count {
        guard let rate = rates[from][to] else { continue }
        let expected = exp(common + sender[from] + receiver[to])
        let link = SlowLink(from: from, to: to, bytesPerSecond: rate, expectedBytesPerSecond: expected)
        if link.loss >= Self.leastLoss, log(expected / rate) >= Self.leastDeviations * usualResidual {
          slow.append(link)
        }
      }
    }
    slowLinks = slow.sorted { ($1.loss, $0.from, $0.to) < ($0.loss, $1.from, $1.to) }
  }

  /// A robust standard deviation around 0: 1.4826 times the median magnitude.
  private static func deviation(_ values: [Double]) -> Double {
    1.4826 * (values.map(abs).median ?? 0)
  }

  // MARK: What if

  /// The median rates, with one node sending and receiving as the median node does where it is slower.
  package func ratesHealing(node index: Int) -> [[Double?]] {
    var healed = rates
    for other in rates.indices {
      healed[index][other] = healed[index][other].map { $0 / min(1, exp(senderEffect[index])) }
      healed[other][index] = healed[other][index].map { $0 / min(1, exp(receiverEffect[index])) }
    }
    return healed
  }

  /// The median rates, with one link as fast as its sender and receiver explain.
  package func ratesHealing(_ link: SlowLink) -> [[Double?]] {
    var healed = rates
    healed[link.from][link.to] = link.expectedBytesPerSecond
    return healed
  }

  /// The median rates, with everything that is slow healed.
  package func ratesHealingAll() -> [[Double?]] {
    var healed = rates
    for link in slowLinks { healed[link.from][link.to] = link.expectedBytesPerSecond }
    for node in slowNodes {
      for other in rates.indices {
        healed[node.index][other] = healed[node.index][other].map { $0 / min(1, exp(senderEffect[node.index])) }
        healed[other][node.index] = healed[other][node.index].map { $0 / min(1, exp(receiverEffect[node.index])) }
      }
    }
    return healed
  }
}

extension MeasuredLinks {
  /// The same nodes with other rates, in one snapshot: what a plan would take there.
  package func replacing(bytesPerSecond rates: [[Double?]], name: String) -> MeasuredLinks {
    MeasuredLinks(
      name: self.name, engine: engine, source: source, nodeNames: nodeNames,
      snapshots: [Snapshot(name: name, bytesPerSecond: rates)])
  }
}
