public import Documents
import Foundation

/// Which nodes and links of a measurement are slow, against what the others reach.
///
/// A rate is explained as what all links have in common, times what its sender does to it, times what its receiver does:
/// a median polish of the logarithms (Tukey 1977, Exploratory Data Analysis, chapter 11), which a few slow links do not
/// move. What a sender or receiver lacks is its node's; what is left is the link's own.
public struct LinkHealth: Sendable {
  /// A node whose links are slow in one direction or both.
  public struct SlowNode: Sendable, Equatable {
    public let index: Int
    /// Share by which it sends and receives less than the median node; negative where it does more.
    public let sendingLoss: Double
    public let receivingLoss: Double

    public var largestLoss: Double { max(sendingLoss, receivingLoss) }
  }

  /// A link that is slower than its sender and its receiver explain.
  public struct SlowLink: Sendable, Equatable {
    public let from: Int
    public let to: Int
    public let bytesPerSecond: Double
    public let expectedBytesPerSecond: Double

    /// Share by which it is below what is expected.
    public var loss: Double { 1 - bytesPerSecond / expectedBytesPerSecond }
  }

  /// A loss below this share is never called slow.
  public static let leastLoss = 0.1
  /// How many times the usual deviation (the median absolute one, times 1.4826) a loss must be.
  public static let leastDeviations = 4.0

  /// Largest loss first.
  public let slowNodes: [SlowNode]
  public let slowLinks: [SlowLink]
  /// The median of all rates, bytes per second; nil without any.
  public let medianBytesPerSecond: Double?

  private let rates: [[Double?]]
  private let senderEffect: [Double]
  private let receiverEffect: [Double]
  private let common: Double

  /// The health of the median over the snapshots.
  ///
  /// - Complexity: O(n² log n) for n nodes.
  public init(_ links: MeasuredLinks) {
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
  public func ratesHealing(node index: Int) -> [[Double?]] {
    var healed = rates
    for other in rates.indices {
      healed[index][other] = healed[index][other].map { $0 / min(1, exp(senderEffect[index])) }
      healed[other][index] = healed[other][index].map { $0 / min(1, exp(receiverEffect[index])) }
    }
    return healed
  }

  /// The median rates, with one link as fast as its sender and receiver explain.
  public func ratesHealing(_ link: SlowLink) -> [[Double?]] {
    var healed = rates
    healed[link.from][link.to] = link.expectedBytesPerSecond
    return healed
  }

  /// The median rates, with everything that is slow healed.
  public func ratesHealingAll() -> [[Double?]] {
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
  public func replacing(bytesPerSecond rates: [[Double?]], name: String) -> MeasuredLinks {
    MeasuredLinks(
      name: self.name, engine: engine, source: source, nodeNames: nodeNames,
      snapshots: [Snapshot(name: name, bytesPerSecond: rates)])
  }
}
