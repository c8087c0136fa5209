extension MeasuredLinks {
  /// One moment's measurements between nodes. Every matrix has a row per sending and a column per receiving node.
  package struct Snapshot: Sendable, Equatable {
    package let name: String
    /// When it began, as ISO 8601 text such as `2026-01-31T22:05:00Z`; nil where unknown.
    package let time: String?
    /// What else ran meanwhile; nil where unknown or where entries differ.
    package let load: Load?
    /// Bytes per second from the row's node to the column's, the median of the samples with the largest message; nil
    /// where not measured, and on the diagonal.
    package let bytesPerSecond: [[Double?]]
    /// Seconds of one way of a ping-pong of small messages, the median.
    package let latencySeconds: [[Double?]]?
    /// α of the fit seconds = α + β · bytes.
    package let alphaSeconds: [[Double?]]?
    /// β of the same fit: the inverse of the rate that ever larger messages come near to.
    package let betaSecondsPerByte: [[Double?]]?
    /// Third quartile less first quartile of the rate's samples, as a share of the median.
    package let spread: [[Double?]]?
    /// How many samples the rate is the median of.
    package let sampleCount: [[Int?]]?
    /// Index into ``MeasuredLinks/origins`` of each rate.
    package let originIndex: [[Int?]]?
    /// Rates with every message size and number of streams that was tried.
    package let sizes: [SizeRates]
    /// Why pairs have no rate.
    package let gaps: [Gap]
    /// Figures of other origins for pairs that have a more trusted one.
    package let superseded: [Superseded]

    /// - Precondition: matrices of as many rows and columns as nodes; finite positive rates, none on the diagonal.
    package init(
      name: String, time: String? = nil, load: Load? = nil, bytesPerSecond: [[Double?]],
      latencySeconds: [[Double?]]? = nil, alphaSeconds: [[Double?]]? = nil, betaSecondsPerByte: [[Double?]]? = nil,
      spread: [[Double?]]? = nil, sampleCount: [[Int?]]? = nil, originIndex: [[Int?]]? = nil,
      sizes: [SizeRates] = [], gaps: [Gap] = [], superseded: [Superseded] = []
    ) {
      self.name = name
      self.time = time
      self.load = load
      self.bytesPerSecond = bytesPerSecond
      self.latencySeconds = latencySeconds
      self.alphaSeconds = alphaSeconds
      self.betaSecondsPerByte = betaSecondsPerByte
      self.spread = spread
      self.sampleCount = sampleCount
      self.originIndex = originIndex
      self.sizes = sizes
      self.gaps = gaps
      self.superseded = superseded
    }
  }

  /// What else runs while a pair is measured.
  package enum Load: String, Sendable, CaseIterable {
    /// Nothing.
    case idle
    /// All nodes send and receive.
    case loaded
  }

  /// The rates of all pairs with one message size.
  package struct SizeRates: Sendable, Equatable {
    package let messageBytes: Int
    /// Connections or queues that shared the message.
    package let streamCount: Int
    package let bytesPerSecond: [[Double?]]

    package init(messageBytes: Int, streamCount: Int, bytesPerSecond: [[Double?]]) {
      self.messageBytes = messageBytes
      self.streamCount = streamCount
      self.bytesPerSecond = bytesPerSecond
    }
  }

  /// Why a pair, a row or a column has no rate.
  package struct Gap: Sendable, Equatable {
    /// Index of the sending node; nil for all.
    package let from: Int?
    /// Index of the receiving node; nil for all.
    package let to: Int?
    /// Such as `unreachable: connection refused` or `died in round 3`.
    package let reason: String

    package init(from: Int?, to: Int?, reason: String) {
      self.from = from
      self.to = to
      self.reason = reason
    }
  }

  /// A figure that was not taken, because another one of the same pair is trusted more.
  package struct Superseded: Sendable, Equatable {
    package let from: Int
    package let to: Int
    package let bytesPerSecond: Double
    /// Index into ``MeasuredLinks/origins``.
    package let originIndex: Int

    package init(from: Int, to: Int, bytesPerSecond: Double, originIndex: Int) {
      self.from = from
      self.to = to
      self.bytesPerSecond = bytesPerSecond
      self.originIndex = originIndex
    }
  }
}
