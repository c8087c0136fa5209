extension Strategy {
  /// The order in which a pipeline stage alternates forward and backward passes.
  package enum Schedule: Sendable, Hashable {
    /// One forward, one backward, with a flush at the end of the iteration: Narayanan et al. 2021
    /// (arXiv 2104.04473), section 2.2.1, as Megatron-LM runs it.
    case oneForwardOneBackward

    /// One forward, one backward over several chunks of layers per stage, at least 2: Narayanan et al. 2021,
    /// section 2.2.2.
    case interleaved(chunkCount: Int)

    /// The schedule that runs a number of chunks per stage.
    /// - Precondition: `chunkCount` is at least 1.
    package init(chunkCount: Int) {
      precondition(chunkCount >= 1, "a stage runs at least one chunk")
      self = chunkCount == 1 ? .oneForwardOneBackward : .interleaved(chunkCount: chunkCount)
    }

    /// Chunks of layers per stage.
    package var chunkCount: Int {
      switch self {
      case .oneForwardOneBackward: 1
      case .interleaved(let chunkCount): chunkCount
      }
    }

    /// Whether stages alternate between several chunks.
    package var isInterleaved: Bool { if case .interleaved = self { true } else { false } }

    /// The word of the schedule in documents: one of ``names``.
    package var name: String { Self.names[isInterleaved ? 1 : 0] }

    /// The words of all schedules.
    static let names = ["1f1b", "1f1b-interleaved"]
  }
}
