public import Documents

/// What one file of another tool says, in SI units, before it is put together with others.
public struct Findings: Sendable, Equatable {
  /// The tool.
  public let engine: String
  public let source: String
  /// What has to be known of all figures of the file, as sentences.
  public var notes: [String] = []
  /// Rates and latencies from node to node.
  public var pairs: [Pair] = []
  public var inside: [Inside] = []
  public var collectives: [Collective] = []
  /// How devices, network cards or nodes hang together, where the file is of that.
  public var structure: Structure?

  init(engine: String, source: String) {
    self.engine = engine
    self.source = source
  }

  /// One direction of a pair of nodes.
  public struct Pair: Sendable, Equatable {
    public let from: String
    public let to: String
    /// By message size, largest last; empty where only the latency was measured.
    public var points: [Point] = []
    public var latencySeconds: Double?
    /// How many values the rate of the largest message is the median of, and third less first quartile over the median.
    public var sampleCount: Int?
    public var spread: Double?
    public let trust: MeasuredLinks.Trust

    /// The rate with the largest message.
    public var bytesPerSecond: Double? { points.last?.bytesPerSecond }

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
  public struct Point: Sendable, Equatable {
    public let messageBytes: Int
    public let bytesPerSecond: Double
  }

  /// Links inside one node.
  public struct Inside: Sendable, Equatable {
    public let name: String
    /// The node; nil where the tool does not name it.
    public var host: String?
    public let from: MeasuredLinks.InsideLinks.End
    public let to: MeasuredLinks.InsideLinks.End
    public var isBidirectional = false
    public var bytesPerSecond: [[Double?]]?
    public var latencySeconds: [[Double?]]?
  }

  /// A timed collective.
  public struct Collective: Sendable, Equatable {
    public let kind: MeasuredLinks.CollectiveTimes.Kind
    public let rankCount: Int
    public var nodeCount: Int?
    /// The nodes; nil where the tool does not name all.
    public var hosts: [String]?
    public var order: MeasuredLinks.CollectiveTimes.Order?
    public var isInPlace: Bool?
    public var points: [MeasuredLinks.CollectiveTimes.Point] = []
    public var busBytesPerSecond: Double?
  }

  public enum Structure: Sendable, Equatable {
    case node(NodeStructure)
    case network(NetworkStructure)
  }
}

/// What a person knows of a file that the tool does not print.
public struct ImportContext: Sendable, Equatable {
  /// The sending and the receiving host of a point-to-point test; the same one twice for a test inside a node.
  public var hosts: [String] = []
  /// Ranks and nodes of a collective.
  public var rankCount: Int?
  public var nodeCount: Int?
  public var collective: MeasuredLinks.CollectiveTimes.Kind?

  public init() {}

  /// A point-to-point finding between the hosts that were given, or, where none were, two that stand for them.
  func place(
    _ points: [Findings.Point], latencySeconds: Double?, name: String, end: MeasuredLinks.InsideLinks.End = .host,
    isBidirectional: Bool, into findings: inout Findings
  ) {
    var hosts = hosts
    if hosts.count != 2 {
      hosts = ["node-0", "node-1"]
      findings.notes.append("the hosts are not named by the tool; node-0 and node-1 stand for sender and receiver")
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
