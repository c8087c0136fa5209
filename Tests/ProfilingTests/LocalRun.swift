import Foundation
import Synchronization

@testable import Profiling

/// A whole run in this process: a coordinator and nodes on threads, over the loopback interface.
///
/// Rates are shaped by the kernel's pacing of each node's sockets, so that they are known.
struct LocalRun {
  var nodeCount: Int
  var settings: ProbeSettings
  var isLoaded = true
  var measuresLoopback = false
  var sampledRoundCount: Int?
  var joinSeconds = 10.0
  var known: Set<LinkCoordinator.KnownLink> = []
  /// What each node sends at most, bytes per second; no limit where nil.
  var bytesPerSecond: [Double?] = []
  /// Ranks that do not come by themselves.
  var absent: Set<Int> = []

  static let token = RunToken.generated()

  /// Runs to the end; the reason with which each node ended, nil where it was bidden goodbye.
  ///
  /// - Parameters:
  ///   - stranger: what else happens, on a thread of its own, once the coordinator listens.
  ///   - interruptingAfter: links that are measured before the coordinator is interrupted; never where nil.
  func survey(
    interruptingAfter linkCount: Int? = nil, stranger: (@Sendable (Endpoint) -> Void)? = nil
  ) throws -> (survey: LinkSurvey, endings: [LinkRunError?]) {
    let coordinator = try LinkCoordinator(
      .init(
        nodeCount: nodeCount, settings: settings, isLoaded: isLoaded, measuresLoopback: measuresLoopback,
        sampledRoundCount: sampledRoundCount, joinSeconds: joinSeconds, expectedNames: [], known: known),
      at: Endpoint(host: "127.0.0.1", port: 0), token: Self.token)
    let endpoint = coordinator.endpoint
    let nodes = (0..<nodeCount).filter { !absent.contains($0) }.map { rank in
      let limit = rank < bytesPerSecond.count ? bytesPerSecond[rank] : nil
      return RunningNode(rank: rank, endpoint: endpoint, maximumBytesPerSecond: limit)
    }
    if let stranger { Thread.detachNewThread { stranger(endpoint) } }
    var measuredCount = 0
    let survey = coordinator.run(
      isInterrupted: { linkCount.map { measuredCount >= $0 } ?? false }, progress: { count, _ in measuredCount = count }
    )
    return (survey, nodes.map { $0.ending() })
  }
}

/// A node on a thread of its own.
final class RunningNode: Sendable {
  private let error = Mutex<LinkRunError?>(nil)
  private let done = DispatchSemaphore(value: 0)

  init(rank: Int, endpoint: Endpoint, maximumBytesPerSecond: Double?) {
    let worker = LinkWorker(
      rank: rank, hostName: "node-\(rank)", block: "", localHost: nil, maximumBytesPerSecond: maximumBytesPerSecond)
    let invitation = LinkWorker.Invitation(
      rendezvous: endpoint, token: LocalRun.token, runFile: nil, joinSeconds: 10)
    Thread.detachNewThread { [self] in
      do throws(LinkRunError) {
        try worker.run(invitation)
      } catch {
        self.error.withLock { $0 = error }
      }
      done.signal()
    }
  }

  /// Waits for its end; a node that goes on for longer than any test has hung.
  func ending() -> LinkRunError? {
    guard done.wait(timeout: .now() + 100) == .success else { return .coordinator("the node did not end") }
    return error.withLock { $0 }
  }
}

extension LinkSurvey {
  /// What a direction's largest messages reached; nil where not measured.
  func bytesPerSecond(_ from: Int, _ to: Int) -> Double? {
    if case .measured(let measurement) = outcomes[from][to] { measurement.best?.bytesPerSecond } else { nil }
  }

  func failure(_ from: Int, _ to: Int) -> String? {
    if case .failed(let reason) = outcomes[from][to] { reason } else { nil }
  }
}
