/// Measured rates of links: between nodes, in one or more snapshots of the same nodes, and, where known, inside nodes
/// and of whole collectives.
///
/// Rates between nodes are of one device's flow to one device of the other node. They are priced, and so are collectives,
/// for groups of their shape; what is inside nodes is kept for people and for fits. Every figure may say where it comes from and how far it is
/// trusted. Other kinds of document refer to it; `sextant.links/1` is its own.
package struct MeasuredLinks: Sendable, Equatable {
  package let name: String
  /// The tool that measured, such as `mpigraph`; several are separated by commas.
  package let engine: String
  /// Where the figures come from.
  package let source: String
  /// Host names; index = row = column.
  package let nodeNames: [String]
  /// Where single figures come from; what has an origin has an index into this list.
  package let origins: [Origin]
  /// Rates between nodes; empty where only other things were measured.
  package let snapshots: [Snapshot]
  /// Rates inside nodes.
  package let inside: [InsideLinks]
  /// Whole collectives, timed.
  package let collectives: [CollectiveTimes]

  /// Whether pairs of nodes were measured; what was not measured depends on no order of the nodes.
  package var hasPairs: Bool { !snapshots.isEmpty }

  /// The median over the snapshots of one ordered pair; nil where no snapshot has it.
  package func medianBytesPerSecond(from: Int, to: Int) -> Double? {
    snapshots.compactMap { $0.bytesPerSecond[from][to] }.median
  }

  /// - Precondition: snapshots of as many rows as nodes, whose names differ; indices of origins and nodes that exist.
  package init(
    name: String, engine: String, source: String, nodeNames: [String], origins: [Origin] = [],
    snapshots: [Snapshot], inside: [InsideLinks] = [], collectives: [CollectiveTimes] = []
  ) {
    self.name = name
    self.engine = engine
    self.source = source
    self.nodeNames = nodeNames
    self.origins = origins
    self.snapshots = snapshots
    self.inside = inside
    self.collectives = collectives
  }
}

extension MeasuredLinks {
  /// How far a figure is trusted, best first: what is nearest to the traffic of training wins.
  package enum Trust: String, Sendable, CaseIterable, Comparable {
    /// A collective of the very group, timed.
    case collective
    /// From one node to another while all nodes send and receive.
    case loaded
    /// From one node to another while nothing else runs.
    case idle
    /// Not measured; completed from measured pairs in the same place of the structure.
    case inferred
    /// What links of this class usually reach, such as NVLink of a generation.
    case linkClass = "class"
    /// A datasheet's rate.
    case nominal

    /// Less trusted is less.
    package static func < (left: Trust, right: Trust) -> Bool { left.rank > right.rank }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? Self.allCases.count }
  }

  /// Where figures come from.
  package struct Origin: Sendable, Equatable, Hashable {
    /// The tool, such as `mpigraph` or `nccl-tests`.
    package let engine: String
    /// The file or the run.
    package let source: String
    package let trust: Trust
    /// What a reader has to know of these figures; empty where nothing.
    package let note: String

    package init(engine: String, source: String, trust: Trust, note: String = "") {
      self.engine = engine
      self.source = source
      self.trust = trust
      self.note = note
    }
  }
}
