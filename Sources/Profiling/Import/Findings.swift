package import Documents

/// What one file of another tool says, in SI units, before it is put together with others.
package struct Findings: Sendable, Equatable {
  /// The tool.
  package let engine: String
  package let source: String
  /// What has to be known of all figures of the file, as sentences.
  package var notes: [String] = []
  /// Rates and latencies from node to node.
  package var pairs: [Pair] = []
  package var inside: [Inside] = []
  package var collectives: [Collective] = []
  /// How devices, network cards or nodes hang together, where the file is of that.
  package var structure: Structure?

  init(engine: String, source: String) {
    self.engine = engine
    self.source = source
  }

  /// One direction of a pair of nodes.
  package struct Pair: Sendable, Equatable {
    package let from: String
    package let to: String
    /// By message size, largest last; empty where only the latency was measured.
    package var points: [Point] = []
    package var latencySeconds: Double?
    /// How many values the rate of the largest message is the median of, and third less first quartile over the median.
    package var sampleCount: Int?
    package var spread: Double?
    package let trust: MeasuredLinks.Trust

    /// The rate with the largest message.
    package var bytesPerSecond: Double? { points.last?.bytesPerSecond }

    init(
      from: String, to: String, points: [Point] = [], latencySeconds: Double? = nil, trust: MeasuredLinks.Trust
    ) {
      self.from = from
      self.to = to
      self.points = points
      self.latencySeconds = latencySeconds
      self.trust = trust
    }
  }

  /// The rate with one message size; 0 where the tool does not say the size.
  package struct Point: Sendable, Equatable {
    package let messageBytes: Int
    package let bytesPerSecond: Double
  }

  /// Links inside one node.
  package struct Inside: Sendable, Equatable {
    package let name: String
    /// The node; nil where the tool does not name it.
    package var host: String?
    package let from: MeasuredLinks.InsideLinks.End
    package let to: MeasuredLinks.InsideLinks.End
    package var isBidirectional = false
    package var bytesPerSecond: [[Double?]]?
    package var latencySeconds: [[Double?]]?
  }

  /// A timed collective.
  package struct Collective: Sendable, Equatable {
    package let kind: MeasuredLinks.CollectiveTimes.Kind
    package let rankCount: Int
    package var nodeCount: Int?
    /// The nodes; nil where the tool does not name all.
    package var hosts: [String]?
    package var order: MeasuredLinks.CollectiveTimes.Order?
    package var isInPlace: Bool?
    package var points: [MeasuredLinks.CollectiveTimes.Point] = []
    package var busBytesPerSecond: Double?
  }

  package enum Structure: Sendable, Equatable {
    case node(NodeStructure)
    case network(NetworkStructure)
  }
}

/// What a person knows of a file that the tool does not print.
package struct ImportContext: Sendable, Equatable {
  /// The sending and the receiving host of a point-to-point test; the same one twice for a test inside a node.
  package var hosts: [String] = []
  /// Ranks and nodes of a collective.
  package var rankCount: Int?
  package var nodeCount: Int?
  package var collective: MeasuredLinks.CollectiveTimes.Kind?

  package init() {}

  /// Which of several runs of one test in a file a finding is of, from 0.
  struct Run {
    let index: Int
    let count: Int

    static let only = Run(index: 0, count: 1)
  }

  /// The two hosts of a run: of the only pair that was named, of as many pairs as there are runs, or two that stand for
  /// them.
  private func hosts(of run: Run, note: (String) -> Void) -> [String] {
    if hosts.count == 2 {
      if run.count > 1 { note("\(run.count) runs are of the one pair that is named; the median counts") }
      return hosts
    }
    if hosts.count == 2 * run.count { return Array(hosts[2 * run.index..<2 * run.index + 2]) }
    if run.count == 1 {
      note("the hosts are not named by the tool; node-0 and node-1 stand for sender and receiver")
    } else {
      note(
        "\(run.count) runs in one file, and the tool does not name hosts: each has two nodes of its own, node-0 and "
          + "node-1, node-2 and node-3; name them with --hosts, two for each run, or one pair for all")
    }
    return ["node-\(2 * run.index)", "node-\(2 * run.index + 1)"]
  }

  /// A point-to-point finding between the hosts that were given, or, where none were, two that stand for them.
  ///
  /// - Parameter isLoop: both ends are one port, whatever hosts were named.
  func place(
    _ points: [Findings.Point], latencySeconds: Double?, name: String, end: MeasuredLinks.InsideLinks.End = .host,
    isBidirectional: Bool, isLoop: Bool = false, run: Run = .only, into findings: inout Findings
  ) {
    var hosts: [String]
    if isLoop, self.hosts.isEmpty {
      hosts = ["node-\(2 * run.index)", "node-\(2 * run.index)"]
    } else {
      hosts = self.hosts(of: run) { if !findings.notes.contains($0) { findings.notes.append($0) } }
      if isLoop { hosts[1] = hosts[0] }
    }
    guard hosts[0] != hosts[1] else {
      findings.inside.append(
        Findings.Inside(
          name: name, host: hosts[0], from: end, to: end, isBidirectional: isBidirectional,
          bytesPerSecond: points.last.map { [[$0.bytesPerSecond]] }, latencySeconds: latencySeconds.map { [[$0]] }))
      return
    }
    findings.pairs.append(
      Findings.Pair(from: hosts[0], to: hosts[1], points: points, latencySeconds: latencySeconds, trust: .idle))
    if isBidirectional || latencySeconds != nil {
      findings.pairs.append(
        Findings.Pair(from: hosts[1], to: hosts[0], points: points, latencySeconds: latencySeconds, trust: .idle))
    }
  }
}
