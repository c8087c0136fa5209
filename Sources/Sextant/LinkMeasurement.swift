import Documents
import Foundation
import Profiling

/// Measures what the links between nodes deliver: the same program on every node, one process each.
///
/// ```swift
/// // srun --ntasks-per-node=1 my-program
/// var measurement = LinkMeasurement()
/// measurement.isLoaded = false
/// // Rank 0 has the result, the other ranks have nil.
/// try measurement.run()?.links?.write(to: "links.json")
/// ```
///
/// The processes prove to each other that they know the run's token. A node that does
/// not come, dies or stalls costs its own row.
public struct LinkMeasurement: Sendable {
  /// How processes and nodes come together.
  public enum Place: Sendable {
    /// srun or mpirun started this process and say which it is.
    case launcher
    /// One of as many processes, started by other means; rank 0 listens at ``LinkMeasurement/rendezvous``.
    case process(rank: Int, of: Int)
    /// This process starts the command `sextant` on each host over ssh, and measures nothing itself.
    case hosts([String])
  }

  /// By what links are measured.
  public enum Engine: Sendable {
    /// TCP streams between the processes.
    case tcp
    /// The site's own nccl-tests: words of the launcher (`{hosts}` and `{ranks}` stand for those of a run), of the test
    /// of a pair and of the test of all hosts, and the most seconds that a run may take.
    case ncclTests(launcher: [String], pair: [String], group: [String]?, timeLimitSeconds: Double)
  }

  /// What came of it, on the process that coordinates.
  public struct Outcome: Sendable {
    /// What was measured, with what was resumed; nil where there is nothing, also when the run was stopped before
    /// anything was measured.
    public let links: Links?
    /// What is missing, in a line; nil where nothing is.
    public let shortfall: String?
    /// Whether the caller stopped it.
    public let wasInterrupted: Bool
  }

  /// By what links are measured.
  public var engine = Engine.tcp
  /// How processes and nodes come together.
  public var place = Place.launcher
  /// What the document is called.
  public var name = "measured"
  /// All links of a round of disjoint pairs at once, or one link at a time.
  public var isLoaded = true
  /// Whether the loopback interface inside each node is measured too.
  public var measuresLoopback = true
  /// Go through this many of the rounds, and infer the other pairs from the structure; nil for all rounds.
  public var sampledRoundCount: Int?
  /// For sampled rounds: this many consecutive ranks are a rack; nil for the leaf switches that Slurm names.
  public var nodesPerRack: Int?
  /// A links document: what it lacks is measured and added to it.
  public var resumedFile: String?

  /// Ascending.
  public var messageBytes = [4_096, 65_536, 1_048_576, 8_388_608]
  /// Streams that share a message, ascending.
  public var streamCounts = [1, 4]
  /// Messages of every size that are sent first and not counted.
  public var warmUpCount = 3
  /// The fewest samples that make a median.
  public var leastSampleCount = 7
  /// Of traffic for each size, number of streams and direction.
  public var slotSeconds = 0.2
  /// A peer from which nothing comes for this time has stalled.
  public var stallSeconds = 10.0
  /// The most that is sent on each stream; nil for no limit.
  public var maximumBytesPerSecond: Double?

  /// What this node is called; nil for its host name.
  public var nodeName: String?
  /// Where rank 0 listens, `host:port`; nil to tell the others through a file in the home folder.
  public var rendezvous: String?
  /// What proves that a process belongs to the run; nil for `$SEXTANT_TOKEN`, or a token that rank 0 makes.
  public var token: String?
  /// A file of mode 0600 with the token, which rank 0 creates if it is not there.
  public var tokenFile: String?
  /// The one network interface to use, by name or number.
  public var interface: String?
  /// How long to wait for the nodes to come.
  public var joinSeconds = 60.0
  /// Whether rank 0 coordinates; if not, it is a node like the others.
  public var coordinates = true
  /// For ``Place/hosts(_:)``: the command that starts another on a host.
  public var sshCommand = ["ssh", "-o", "BatchMode=yes"]
  /// For ``Place/hosts(_:)``: what `sextant` is called on the hosts.
  public var remoteProgram = "sextant"

  /// All pairs of the nodes that srun or mpirun started.
  public init() {}

  /// Hosts of a list such as `gpu[01-16],login`.
  public static func hosts(inList list: String) throws(SextantError) -> [String] {
    do { return try Profiling.hosts(inList: list) } catch { throw SextantError(error) }
  }

  /// Hosts of a file, the first word of each line, as MPI's host files have them.
  public static func hosts(inFile path: String) throws(SextantError) -> [String] {
    do { return try Profiling.hosts(inFile: path) } catch { throw SextantError(error) }
  }

  /// Whether this process coordinates the run and gets its outcome.
  ///
  /// - Throws: ``SextantError`` when its place in the run is not known.
  public func coordinatesHere() throws(SextantError) -> Bool {
    if case .ncclTests = engine { return true }
    if case .hosts = place { return true }
    return try launcher().rank == 0 && coordinates
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - isInterrupted: asked often; `true` ends the run with what there is.
  ///   - progress: told how many links are dealt with, of how many.
  /// - Returns: nil on a process that does not coordinate.
  /// - Throws: ``SextantError`` when the run cannot begin, or nothing at all was measured.
  public func run(
    isInterrupted: @escaping @Sendable () -> Bool = { false },
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(SextantError) -> Outcome? {
    if case .hosts(let hosts) = place {
      do { try checkHosts(hosts) } catch { throw SextantError(error) }
    }
    if case .ncclTests(let launcher, let pair, let group, let timeLimitSeconds) = engine {
      let run = NCCLTestsRun(
        hosts: try knownHosts(), launcher: launcher, pairCommand: pair, groupCommand: group,
        timeLimitSeconds: timeLimitSeconds, isLoaded: isLoaded)
      return try outcome(of: run, isInterrupted: isInterrupted, progress: progress)
    }
    if case .hosts(let hosts) = place {
      let order = try order(nodeCount: hosts.count, names: hosts)
      return try outcome(order) { () throws(LinkRunError) in
        try linkRun(at: Launcher(rank: 0, size: hosts.count), maximumBytesPerSecond: nil).conduct(
          order.order, launching: launch(hosts), isInterrupted: isInterrupted, progress: progress)
      }
    }
    let place = try launcher()
    if try !coordinatesHere() {
      do {
        try linkRun(at: place, maximumBytesPerSecond: maximumBytesPerSecond).takePart(isInterrupted: isInterrupted)
      } catch { throw SextantError(error) }
      return nil
    }
    let order = try order(nodeCount: place.size, names: place.hostNames)
    return try outcome(order) { () throws(LinkRunError) in
      try linkRun(at: place, maximumBytesPerSecond: maximumBytesPerSecond).conduct(
        order.order, isInterrupted: isInterrupted, progress: progress)
    }
  }
}
