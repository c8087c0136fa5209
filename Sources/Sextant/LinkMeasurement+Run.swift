import Documents
import Foundation
import Profiling

/// From what is asked for to what is measured.
extension LinkMeasurement {
  /// An order to the coordinator, and the document that it goes on with.
  typealias Order = (order: LinkCoordinator.Order, earlier: MeasuredLinks?)

  /// Refuses messages, streams and seconds that cannot be measured with.
  package func check() throws(SextantError) {
    do { _ = try settings() } catch { throw SextantError(error) }
  }

  private func settings() throws(LinkRunError) -> ProbeSettings {
    try ProbeSettings(
      messageBytes: messageBytes, streamCounts: streamCounts, warmUpCount: warmUpCount,
      leastSampleCount: leastSampleCount, slotSeconds: slotSeconds, stallSeconds: stallSeconds,
      maximumBytesPerSecond: maximumBytesPerSecond)
  }

  func order(nodeCount: Int, names: [String]) throws(SextantError) -> Order {
    guard nodeCount > 1 else {
      throw SextantError(.argument, expected: "links are between nodes: there is only one")
    }
    let earlier: MeasuredLinks?
    do {
      earlier = try resumedFile.map { (path) throws(DocumentError) in try MeasuredLinks(resuming: path) }
    } catch { throw SextantError(error) }
    do {
      return (
        LinkCoordinator.Order(
          nodeCount: nodeCount, settings: try settings(), isLoaded: isLoaded, measuresLoopback: measuresLoopback,
          sampledRoundCount: sampledRoundCount, joinSeconds: joinSeconds, expectedNames: names,
          known: earlier.map(LinkCoordinator.known) ?? []), earlier
      )
    } catch { throw SextantError(error) }
  }

  /// Measures, and puts what was found into a document.
  func outcome(_ order: Order, conduct: () throws(LinkRunError) -> LinkSurvey) throws(SextantError) -> Outcome {
    let caption = LinkSurvey.Caption(
      name: name, source: "sextant \(Planner.version) profile links, \(order.order.words)",
      time: Date.now.ISO8601Format())
    let survey: LinkSurvey
    do { survey = try conduct() } catch { throw SextantError(error) }
    if survey.measuredCount == 0, !survey.wasInterrupted, !survey.isComplete {
      throw SextantError(.links, expected: "nothing was measured: \(survey.shortfall)")
    }
    if survey.wasInterrupted, !survey.hasMeasured {
      return Outcome(links: nil, shortfall: "nothing was measured", wasInterrupted: true)
    }
    let links = survey.document(
      caption, resuming: order.earlier,
      inferringFromBlocks: sampledRoundCount == nil ? nil : survey.blocks(nodesPerRack: nodesPerRack))
    return Outcome(
      links: Links(links, source: name), shortfall: survey.isComplete ? nil : survey.shortfall,
      wasInterrupted: survey.wasInterrupted)
  }

  func outcome(
    of run: NCCLTestsRun, isInterrupted: () -> Bool, progress: (Int, Int) -> Void
  ) throws(SextantError) -> Outcome {
    do {
      let outcome = try run.outcome(name: name, isInterrupted: isInterrupted, progress: progress)
      let isComplete = outcome.links != nil && outcome.failures.isEmpty && !outcome.wasInterrupted
      return Outcome(
        links: outcome.links.map { Links($0, source: name) }, shortfall: isComplete ? nil : outcome.shortfall,
        wasInterrupted: outcome.wasInterrupted)
    } catch { throw SextantError(error) }
  }

  /// This process's place in the run.
  func launcher() throws(SextantError) -> Launcher {
    do {
      if case .process(let rank, let size) = place { return try Launcher(rank: rank, size: size) }
      if let launcher = try Launcher(environment: ProcessInfo.processInfo.environment) { return launcher }
    } catch { throw SextantError(error) }
    throw SextantError(
      .argument,
      expected: "no launcher started this process: use srun or mpirun, or name hosts, or a rank, size and rendezvous")
  }

  /// The hosts that are named, or that the launcher knows.
  func knownHosts() throws(SextantError) -> [String] {
    var hosts: [String] = []
    if case .hosts(let named) = place {
      hosts = named
    } else {
      do {
        hosts = try Launcher(environment: ProcessInfo.processInfo.environment)?.hostNames ?? []
      } catch { throw SextantError(error) }
    }
    guard hosts.count > 1 else { throw SextantError(.argument, expected: "nccl-tests needs the hosts by name") }
    return hosts
  }

  /// What this process does in the run.
  func linkRun(at place: Launcher, maximumBytesPerSecond: Double?) throws(LinkRunError) -> LinkRun {
    let environment = ProcessInfo.processInfo.environment
    let given = try token.map { (text) throws(LinkRunError) in try RunToken(text) }
    let found = try environment["SEXTANT_TOKEN"].map { (text) throws(LinkRunError) in try RunToken(text) }
    var file: RunFile?
    if let tokenFile {
      file = RunFile(path: tokenFile)
    } else if given == nil, found == nil || rendezvous == nil {
      if case .hosts = self.place {
      } else {
        file = try place.runName.map { (name) throws(LinkRunError) in
          try RunFile.standard(runName: name, environment: environment)
        }
      }
    }
    return LinkRun(
      place: place, nodeName: nodeName,
      rendezvous: try rendezvous.map { (text) throws(LinkRunError) in try Endpoint(text) }, token: given ?? found,
      runFile: file, interface: interface, maximumBytesPerSecond: maximumBytesPerSecond, joinSeconds: joinSeconds)
  }

  /// How nodes are started over ssh, with what holds for each of them.
  func launch(_ hosts: [String]) -> SSHLaunch {
    SSHLaunch(
      hosts: hosts, command: sshCommand, remoteProgram: remoteProgram,
      nodeArguments: (maximumBytesPerSecond.map { ["--limit-rate", "\($0)"] } ?? [])
        + (interface.map { ["--interface", $0] } ?? []) + ["--join-timeout", "\(joinSeconds)"])
  }
}
