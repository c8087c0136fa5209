extension MeasuredLinks {
  /// Links inside one node, measured together: between its devices, or between its host side and its devices.
  package struct InsideLinks: Sendable, Equatable {
    /// What is at one end.
    package enum End: String, Sendable, CaseIterable {
      case device
      /// Host memory: of a NUMA node where there are several, of a process where there are no devices.
      case host
    }

    /// The test, such as `device_to_device_memcpy_read_ce` or `loopback-tcp`.
    package let name: String
    /// Index of the node; nil where the tool does not say on which node it ran.
    package let nodeIndex: Int?
    /// What rows are.
    package let from: End
    /// What columns are.
    package let to: End
    /// Whether both directions ran at once; the rates are of one direction all the same.
    package let isBidirectional: Bool
    /// Bytes per second from row to column; nil where not measured. Rows of equal length.
    package let bytesPerSecond: [[Double?]]?
    /// Seconds of one access or one way from row to column.
    package let latencySeconds: [[Double?]]?
    /// Index into ``MeasuredLinks/origins``.
    package let originIndex: Int

    /// - Precondition: rows of equal length.
    package init(
      name: String, nodeIndex: Int?, from: End, to: End, isBidirectional: Bool, bytesPerSecond: [[Double?]]?,
      latencySeconds: [[Double?]]? = nil, originIndex: Int
    ) {
      self.name = name
      self.nodeIndex = nodeIndex
      self.from = from
      self.to = to
      self.isBidirectional = isBidirectional
      self.bytesPerSecond = bytesPerSecond
      self.latencySeconds = latencySeconds
      self.originIndex = originIndex
    }
  }

  /// A collective of one group, timed with one or more message sizes.
  package struct CollectiveTimes: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
      case allReduce = "all-reduce"
      case allGather = "all-gather"
      case reduceScatter = "reduce-scatter"
      case allToAll = "all-to-all"
      case broadcast
      case reduce
      case gather
      case scatter
      /// Every rank sends to the next one of a ring.
      case sendReceive = "send-receive"
    }

    /// How the ranks of the group lie among all ranks.
    package enum Order: String, Sendable, CaseIterable {
      case consecutive
      /// Spread as far as possible: as many nodes as the group can reach.
      case strided
    }

    /// One message size.
    package struct Point: Sendable, Equatable {
      /// What one rank holds in full: the buffer of an all-reduce or all-to-all, the gathered buffer of an all-gather,
      /// the whole input of a reduce-scatter.
      package let messageBytes: Int
      package let seconds: Double

      package init(messageBytes: Int, seconds: Double) {
        self.messageBytes = messageBytes
        self.seconds = seconds
      }
    }

    package let kind: Kind
    package let rankCount: Int
    /// How many nodes the ranks are on; nil where unknown.
    package let nodeCount: Int?
    /// Indices of the nodes; nil where the tool does not name them.
    package let nodeIndices: [Int]?
    package let order: Order?
    /// Whether input and output share one buffer; nil where unknown.
    package let isInPlace: Bool?
    /// By message size; empty where the tool gives a rate only.
    package let points: [Point]
    /// Bus bandwidth as nccl-tests defines it, where the tool gives no times: the rate of the busiest link of a ring.
    package let busBytesPerSecond: Double?
    /// Index into ``MeasuredLinks/origins``.
    package let originIndex: Int

    package init(
      kind: Kind, rankCount: Int, nodeCount: Int? = nil, nodeIndices: [Int]? = nil, order: Order? = nil,
      isInPlace: Bool? = nil, points: [Point], busBytesPerSecond: Double? = nil, originIndex: Int
    ) {
      self.kind = kind
      self.rankCount = rankCount
      self.nodeCount = nodeCount
      self.nodeIndices = nodeIndices
      self.order = order
      self.isInPlace = isInPlace
      self.points = points
      self.busBytesPerSecond = busBytesPerSecond
      self.originIndex = originIndex
    }
  }
}

extension MeasuredLinks.CollectiveTimes.Kind {
  /// What bus bandwidth is of message bytes over seconds, n ranks (NVIDIA nccl-tests, doc/PERFORMANCE.md): 2(n − 1)/n
  /// for all-reduce, (n − 1)/n where every rank sends or receives all chunks but its own, 1 where data goes one way.
  package func busFactor(rankCount: Int) -> Double {
    let n = Double(rankCount)
    return switch self {
    case .allReduce: 2 * (n - 1) / n
    case .allGather, .reduceScatter, .allToAll, .gather, .scatter: (n - 1) / n
    case .broadcast, .reduce, .sendReceive: 1
    }
  }
}
