extension Strategy {
  /// The order in which a pipeline stage alternates forward and backward passes.
  package enum Schedule: Sendable, Hashable {
    /// One forward, one backward, with a flush at the end of the iteration: Narayanan et al. 2021
    /// (arXiv 2104.04473), section 2.2.1, as Megatron-LM runs it.
    case oneForwardOneBackward

    /// One forward, one backward over several chunks of layers per stage, at least 2: Narayanan et al. 2021,
    /// section 2.2.2.
    case interleaved(chunkCount: Int)

    /// Forward passes alone, one micro-batch after the other: zeroth-order training.
    case forwardOnly

    /// The schedule that runs a number of chunks per stage.
    /// - Precondition: `chunkCount` is at least 1.
    package init(chunkCount: Int) {
      precondition(chunkCount >= 1, "a stage runs at least one chunk")
      self = chunkCount == 1 ? .oneForwardOneBackward : .interleaved(chunkCount: chunkCount)
    }

    /// Chunks of layers per stage.
    package var chunkCount: Int {
      switch self {
      case .oneForwardOneBackward, .forwardOnly: 1
      case .interleaved(let chunkCount): chunkCount
      }
    }

    /// Micro-batches that interleaved stages take through a chunk before they turn to the next; nil where there is no such
    /// number.
    ///
    /// With p stages and m micro-batches there are as many groups as fit, ⌊m/p⌋, all of one size: p where m is a multiple
    /// of p, otherwise more, as PyTorch's `ScheduleInterleaved1F1B` has it.
    package static func groupSize(stageCount: Int, microBatchCount: Int) -> Int? {
      let groupCount = microBatchCount / stageCount
      return groupCount > 0 && microBatchCount % groupCount == 0 ? microBatchCount / groupCount : nil
    }

    /// Whether stages alternate between several chunks.
    package var isInterleaved: Bool { if case .interleaved = self { true } else { false } }

    /// The word of the schedule in documents: one of ``names``.
    package var name: String {
      switch self {
      case .oneForwardOneBackward: Self.names[0]
      case .interleaved: Self.names[1]
      case .forwardOnly: Self.names[2]
      }
    }

    /// The words of all schedules.
    static let names = ["1f1b", "1f1b-interleaved", "forward-only"]
  }
}
