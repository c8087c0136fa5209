import Foundation

/// Runs the measurement of all links: waits for the nodes, orders the rounds, takes the reports.
///
/// All decisions are made on the thread that calls ``run(isInterrupted:progress:)``; every wait in it is bounded, so
/// that a node that never comes, dies, stalls or talks nonsense costs its own row and no more.
package final class LinkCoordinator {
  /// What is asked for.
  package struct Order: Sendable {
    package let nodeCount: Int
    package let settings: ProbeSettings
    /// All links of a round at once, or one link at a time.
    package let isLoaded: Bool
    /// Whether the loopback inside each node is measured too.
    package let measuresLoopback: Bool
    /// How many rounds to go through; nil for all.
    package let sampledRoundCount: Int?
    /// How long to wait for the nodes to come.
    package let joinSeconds: Double
    /// What nodes are called that never come, by rank; may be shorter.
    package let expectedNames: [String]
    /// What is already known: ordered pairs of names.
    package let known: Set<KnownLink>

    package init(
      nodeCount: Int, settings: ProbeSettings, isLoaded: Bool, measuresLoopback: Bool, sampledRoundCount: Int?,
      joinSeconds: Double, expectedNames: [String], known: Set<KnownLink>
    ) {
      self.nodeCount = nodeCount
      self.settings = settings
      self.isLoaded = isLoaded
      self.measuresLoopback = measuresLoopback
      self.sampledRoundCount = sampledRoundCount
      self.joinSeconds = joinSeconds
      self.expectedNames = expectedNames
      self.known = known
    }

    /// What is asked for, in a line.
    package var words: String {
      let sizes = settings.messageBytes.map(String.init).joined(separator: ", ")
      let streams = settings.streamCounts.map(String.init).joined(separator: ", ")
      return
        "messages of \(sizes) bytes, streams \(streams), \(isLoaded ? "all pairs of a round at once" : "one pair at a time")"
        + (sampledRoundCount.map { ", \($0) rounds" } ?? "")
    }
  }

  /// A direction that an earlier run measured.
  package struct KnownLink: Sendable, Hashable {
    package let from: String
    package let to: String

    package init(from: String, to: String) {
      self.from = from
      self.to = to
    }
  }

  let order: Order
  let listener: ControlListener
  let mailbox = Mailbox()
  var nodes: [Node]
  var ranks: [ControlConnection: Int] = [:]
  var outcomes: [[LinkSurvey.Outcome]]
  /// Links that are being measured, by number.
  var active: [UInt64: ActiveLink] = [:]
  var refusedCount = 0
  var isInterrupted: () -> Bool = { false }
  /// Whether the nodes had all the time they were given to come.
  private var hasWaited = false
  /// When the nodes are told next that the coordinator is there.
  var nextBeat = ContinuousClock.now

  /// A node as the coordinator sees it.
  struct Node {
    var connection: ControlConnection?
    var registration: ControlMessage.Registration?
    /// Why it is not there, or no longer.
    var failure: String?
    /// What a caller who proved nothing, but said to be this node, was turned away for.
    var suspicion: String?

    var isPresent: Bool { connection != nil && failure == nil }
  }

  /// Opens the door; the nodes may come from now on.
  ///
  /// - Throws: ``LinkRunError/network(_:)``.
  package init(_ order: Order, at endpoint: Endpoint, token: RunToken) throws(LinkRunError) {
    self.order = order
    nodes = [Node](repeating: Node(), count: order.nodeCount)
    outcomes = [[LinkSurvey.Outcome]](
      repeating: [LinkSurvey.Outcome](repeating: .notTried, count: order.nodeCount), count: order.nodeCount)
    listener = try ControlListener(
      at: endpoint, token: token, connectionLimit: 2 * order.nodeCount + 64, mailbox: mailbox)
  }

  /// Where the nodes find the coordinator.
  package var endpoint: Endpoint { listener.endpoint }

  /// Tells that the process that was to become a node has ended before its time, from any thread.
  package var launchFailure: @Sendable (_ rank: Int, _ reason: String) -> Void {
    { [mailbox] rank, reason in mailbox.put(.launchFailed(rank: rank, reason: reason)) }
  }

  /// Measures what is asked for and not known; nothing listens or is open when it returns.
  ///
  /// - Parameters:
  ///   - isInterrupted: asked about ten times a second; then the run ends with what it has.
  ///   - progress: links measured, and of how many.
  package func run(isInterrupted: @escaping () -> Bool, progress: (Int, Int) -> Void) -> LinkSurvey {
    self.isInterrupted = isInterrupted
    waitForNodes()
    var roundCount = 0
    var doneCount = 0
    // What could not be tried because a node came late gets a second chance.
    for _ in 0..<2 {
      let batches = untriedBatches()
      let total = doneCount + batches.reduce(0) { $0 + $1.links.count }
      for batch in batches where !isInterrupted() {
        progress(doneCount, total)
        measure(batch.links)
        doneCount += batch.links.count
        roundCount += batch.isEndOfRound ? 1 : 0
      }
    }
    let wasInterrupted = isInterrupted()
    for node in nodes { node.connection?.send(.goodbye) }
    // Who is interrupted may soon be killed, and has still to write.
    settle(withinSeconds: wasInterrupted ? 0.05 : 1)
    listener.close()
    return survey(roundCount: roundCount, wasInterrupted: wasInterrupted)
  }

  /// Until all have come, or nobody can be waited for any longer.
  private func waitForNodes() {
    let end = ContinuousClock.now + .seconds(order.joinSeconds)
    while !isInterrupted(), nodes.contains(where: { $0.registration == nil && $0.failure == nil }) {
      let remaining = (end - .now).inSeconds
      if remaining <= 0 { break }
      hear(withinSeconds: min(0.05, remaining))
    }
    hasWaited = !isInterrupted()
  }

  /// Gives the goodbyes time to leave: until the nodes have closed.
  private func settle(withinSeconds seconds: Double) {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end, nodes.contains(where: \.isPresent) {
      hear(withinSeconds: 0.05, isEnding: true)
    }
  }

  private func survey(roundCount: Int, wasInterrupted: Bool) -> LinkSurvey {
    let names = names()
    return LinkSurvey(
      nodes: nodes.enumerated().map { rank, node in
        LinkSurvey.Node(
          name: names[rank], hasCome: node.registration != nil, block: node.registration?.block ?? "",
          failure: node.failure
            ?? (node.registration == nil && hasWaited ? Self.absence(node, order.joinSeconds) : nil))
      },
      outcomes: outcomes, isLoaded: order.isLoaded, roundCount: roundCount, refusedCount: refusedCount,
      wasInterrupted: wasInterrupted)
  }

  private static func absence(_ node: Node, _ seconds: Double) -> String {
    "did not come within \(short(seconds)) s"
      + (node.suspicion.map { "; a caller that says it is this node \($0)" } ?? "")
  }

  /// What the nodes are called: their host names, with a number where several have the same.
  func names() -> [String] {
    let given = nodes.enumerated().map { rank, node in
      node.registration?.hostName ?? (rank < order.expectedNames.count ? order.expectedNames[rank] : "rank-\(rank)")
    }
    var seen: [String: Int] = [:]
    return given.map { name in
      let count = seen[name, default: 0]
      seen[name] = count + 1
      return count == 0 ? name : "\(name)#\(count)"
    }
  }
}
