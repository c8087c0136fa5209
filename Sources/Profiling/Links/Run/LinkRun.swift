import Foundation
import Synchronization

/// One process's part in a run, from where it stands to its end.
package struct LinkRun: Sendable {
  package let place: Launcher
  /// What this node is called; nil for its host name.
  package let nodeName: String?
  /// Rank 0's address; nil to find it through the run file.
  package let rendezvous: Endpoint?
  /// The token from the environment; nil to take it from the run file.
  package let token: RunToken?
  /// Where token and address are handed from rank 0 to the others; nil for nowhere.
  package let runFile: RunFile?
  /// Name or number of the one interface that is listened on and called from; nil for the one that leads to rank 0.
  package let interface: String?
  /// The most this process sends, bytes per second on each stream; nil for no limit.
  package let maximumBytesPerSecond: Double?
  /// How long to wait for the others.
  package let joinSeconds: Double

  package init(
    place: Launcher, nodeName: String?, rendezvous: Endpoint?, token: RunToken?, runFile: RunFile?, interface: String?,
    maximumBytesPerSecond: Double?, joinSeconds: Double
  ) {
    self.place = place
    self.nodeName = nodeName
    self.rendezvous = rendezvous
    self.token = token
    self.runFile = runFile
    self.interface = interface
    self.maximumBytesPerSecond = maximumBytesPerSecond
    self.joinSeconds = joinSeconds
  }

  /// As a node that is not rank 0: comes, measures what it is told, goes.
  ///
  /// On a thread of its own, so that an interruption does not wait for a measurement.
  ///
  /// - Throws: ``LinkRunError``.
  package func takePart(isInterrupted: @escaping @Sendable () -> Bool) throws(LinkRunError) {
    try checkMeeting()
    let worker = try worker()
    let invitation = LinkWorker.Invitation(
      rendezvous: rendezvous, token: token, runFile: runFile, joinSeconds: joinSeconds)
    let ending = NodeEnding()
    Thread.detachNewThread {
      do throws(LinkRunError) {
        try worker.run(invitation)
        ending.set(nil)
      } catch {
        ending.set(error)
      }
    }
    // Interrupted, it stays for a moment: launchers end the whole run when a process ends early, and rank 0, which is
    // interrupted too, has to write.
    var interruptedSince: ContinuousClock.Instant?
    while !ending.isOver(withinSeconds: 0.05) {
      if isInterrupted(), interruptedSince == nil { interruptedSince = .now }
      if let interruptedSince, (ContinuousClock.now - interruptedSince).inSeconds > 2 { break }
    }
    if isInterrupted() { throw .interrupted }
    if let error = ending.error { throw error }
  }

  /// As rank 0: coordinates, and is a node itself.
  ///
  /// - Parameter order: what to measure, given the names that the launcher knows.
  /// - Throws: ``LinkRunError`` when the run cannot begin.
  package func conduct(
    _ order: LinkCoordinator.Order, isInterrupted: @escaping @Sendable () -> Bool, progress: (Int, Int) -> Void
  ) throws(LinkRunError) -> LinkSurvey {
    try checkMeeting()
    let worker = try worker()
    let found = try runFile?.read()
    let address = try listeningAddress()
    let token = self.token ?? found?.token ?? .generated()
    let coordinator = try LinkCoordinator(order, at: address, token: token)
    var isOurs = false
    if let runFile, rendezvous == nil {
      // One with an address was left by a run that did not end well; one without was made by the user, and stays.
      if let found, found.rendezvous == nil { throw .noAddress(in: runFile) }
      if found != nil { runFile.remove() }
      try runFile.create(.init(token: token, rendezvous: coordinator.endpoint))
      isOurs = true
    } else if let runFile, self.token == nil, found == nil {
      try runFile.create(.init(token: token, rendezvous: nil))
      isOurs = true
    }
    defer { if isOurs { runFile?.remove() } }
    let invitation = LinkWorker.Invitation(
      rendezvous: coordinator.endpoint, token: token, runFile: nil, joinSeconds: joinSeconds)
    let launchFailure = coordinator.launchFailure
    Thread.detachNewThread {
      do throws(LinkRunError) {
        // An interruption ends it by the coordinator's goodbye, so that no rank counts as lost.
        try worker.run(invitation)
      } catch {
        launchFailure(0, "\(error)")
      }
    }
    return coordinator.run(isInterrupted: isInterrupted, progress: progress)
  }

  /// As the coordinator of nodes that are started over ssh, and no node itself.
  ///
  /// - Parameter launch: how to start them; told the address and the token.
  /// - Throws: ``LinkRunError`` when the run cannot begin.
  package func conduct(
    _ order: LinkCoordinator.Order, launching launch: SSHLaunch, isInterrupted: @escaping @Sendable () -> Bool,
    progress: (Int, Int) -> Void
  ) throws(LinkRunError) -> LinkSurvey {
    let found = try runFile?.read()
    let token = self.token ?? found?.token ?? .generated()
    let coordinator = try LinkCoordinator(order, at: try listeningAddress(), token: token)
    let processes = launch.start(at: coordinator.endpoint, token: token, failure: coordinator.launchFailure)
    let survey = coordinator.run(isInterrupted: isInterrupted, progress: progress)
    processes.end()
    return survey
  }

  /// Whether the ranks can prove themselves to each other and meet; every rank says at once if not.
  private func checkMeeting() throws(LinkRunError) {
    guard token != nil || runFile != nil else {
      throw .launcher("no token: set SEXTANT_TOKEN on every node, or give --token-file")
    }
    guard rendezvous != nil || runFile != nil else {
      throw .launcher("nothing says where rank 0 is: give --rendezvous HOST:PORT of rank 0, or --token-file")
    }
  }

  private func worker() throws(LinkRunError) -> LinkWorker {
    let localHost = try interface.map { (name) throws(LinkRunError) in try localAddress(ofInterface: name) }
    return LinkWorker(
      rank: place.rank, hostName: nodeName ?? place.nodeName(hostName: hostName()), block: place.block,
      localHost: localHost,
      maximumBytesPerSecond: maximumBytesPerSecond)
  }

  /// Where rank 0 listens, on one address only: what the flags say, else an address that the other nodes can reach.
  private func listeningAddress() throws(LinkRunError) -> Endpoint {
    if let rendezvous { return rendezvous }
    if let interface { return Endpoint(host: try localAddress(ofInterface: interface), port: 0) }
    if place.isOnOneMachine { return Endpoint(host: "127.0.0.1", port: 0) }
    guard let host = firstReachableAddress() else {
      throw .launcher("this machine has no address that others can reach: give --rendezvous or --interface")
    }
    return Endpoint(host: host, port: 0)
  }
}

/// How a node's thread ended.
private final class NodeEnding: Sendable {
  private let outcome = Mutex<(isOver: Bool, error: LinkRunError?)>((false, nil))
  private let done = DispatchSemaphore(value: 0)

  func set(_ error: LinkRunError?) {
    outcome.withLock { $0 = (true, error) }
    done.signal()
  }

  func isOver(withinSeconds seconds: Double) -> Bool { done.wait(timeout: .now() + seconds) == .success }

  var error: LinkRunError? { outcome.withLock { $0.error } }
}

/// The machine's name without its domain.
package func hostName() -> String {
  var buffer = [CChar](repeating: 0, count: 256)
  guard gethostname(&buffer, buffer.count - 1) == 0 else { return "unknown" }
  let name = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return name.split(separator: ".").first.map(String.init) ?? "unknown"
}
