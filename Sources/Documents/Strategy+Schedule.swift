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

    /// 1F1B whose backward passes are split: gradients of inputs at once, gradients of weights where the stage would wait.
    /// With one chunk a stage ZB-H1, with more ZB1P (Qi et al. 2023, arXiv 2401.10241).
    case zeroBubble(chunkCount: Int)

    /// The same over two chunks a stage that lie along a V, the first and the last virtual stage on the same ranks: ZB-V
    /// (Qi et al. 2024, arXiv 2405.15362).
    case zeroBubbleV

    /// The half of DualPipe (DeepSeek-V3, arXiv 2412.19437) that needs the parameters once: two chunks a stage along a V,
    /// a forward pass of one beside a backward pass of the other.
    case dualPipeV

    /// The schedule with whole backward passes that runs a number of chunks per stage.
    /// - Precondition: `chunkCount` is at least 1.
    package init(chunkCount: Int) {
      precondition(chunkCount >= 1, "a stage runs at least one chunk")
      self = chunkCount == 1 ? .oneForwardOneBackward : .interleaved(chunkCount: chunkCount)
    }

    /// The schedule of a name, with a number of chunks where the name leaves it open; nil of another word.
    init?(name: String, chunkCount: Int) {
      switch name {
      case Self.names[0], Self.names[1]: self.init(chunkCount: chunkCount)
      case Self.names[2]: self = .forwardOnly
      case Self.names[3]: self = .zeroBubble(chunkCount: chunkCount)
      case Self.names[4]: self = .zeroBubbleV
      case Self.names[5]: self = .dualPipeV
      default: return nil
      }
    }

    /// The same kind of schedule with another number of chunks, where it has a choice.
    func with(chunkCount: Int) -> Self {
      switch self {
      case .zeroBubble: .zeroBubble(chunkCount: chunkCount)
      case .zeroBubbleV, .dualPipeV: chunkCount == 2 ? self : Self(chunkCount: chunkCount)
      case .oneForwardOneBackward, .interleaved, .forwardOnly: Self(chunkCount: chunkCount)
      }
    }

    /// Chunks of layers per stage.
    package var chunkCount: Int {
      switch self {
      case .oneForwardOneBackward, .forwardOnly: 1
      case .interleaved(let chunkCount), .zeroBubble(let chunkCount): chunkCount
      case .zeroBubbleV, .dualPipeV: 2
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

    /// Whether stages alternate between several chunks, with whole backward passes.
    package var isInterleaved: Bool { if case .interleaved = self { true } else { false } }

    /// Whether gradients of weights are computed apart from those of inputs.
    package var splitsBackward: Bool {
      switch self {
      case .zeroBubble, .zeroBubbleV, .dualPipeV: true
      case .oneForwardOneBackward, .interleaved, .forwardOnly: false
      }
    }

    /// Whether chunks lie along a V: down the stages, and back up.
    package var isV: Bool { self == .zeroBubbleV || self == .dualPipeV }

    /// Whether activations go from the last stage to the first, between chunks.
    package var wraps: Bool { chunkCount > 1 && !isV }

    /// The fewest micro-batches with which the schedule is run.
    package func leastMicroBatchCount(stageCount: Int) -> Int {
      switch self {
      case .oneForwardOneBackward, .forwardOnly: 1
      case .interleaved, .zeroBubble: stageCount
      // Fewer leave its steady state out, which PyTorch fills with passes that it then drops.
      case .zeroBubbleV: 2 * stageCount - 1
      case .dualPipeV: 2 * stageCount
      }
    }

    // MARK: Where chunks lie

    /// The position in the model of a stage's chunk, from 0: `chunk · p + stage`, or along a V down and back up.
    @inline(__always)
    package func virtualStageIndex(stage: Int, chunk: Int, stageCount: Int) -> Int {
      isV && chunk == 1 ? 2 * stageCount - 1 - stage : chunk * stageCount + stage
    }

    /// The stage and its chunk at a position in the model.
    @inline(__always)
    package func place(ofVirtualStage virtualStage: Int, stageCount: Int) -> (stage: Int, chunk: Int) {
      let (chunk, place) = virtualStage.quotientAndRemainder(dividingBy: stageCount)
      return (isV && chunk == 1 ? stageCount - 1 - place : place, chunk)
    }

    /// The word of the schedule in documents: one of ``names``.
    package var name: String {
      switch self {
      case .oneForwardOneBackward: Self.names[0]
      case .interleaved: Self.names[1]
      case .forwardOnly: Self.names[2]
      case .zeroBubble: Self.names[3]
      case .zeroBubbleV: Self.names[4]
      case .dualPipeV: Self.names[5]
      }
    }

    /// A phrase; nil where other parts say it.
    var words: String? {
      switch self {
      case .oneForwardOneBackward, .interleaved, .forwardOnly: nil
      case .zeroBubble(1): "zero bubble (ZB-H1)"
      case .zeroBubble(let chunkCount): "zero bubble over \(chunkCount) interleaved chunks a stage"
      case .zeroBubbleV: "zero bubble along a V (ZB-V)"
      case .dualPipeV: "DualPipeV"
      }
    }

    /// In a table cell.
    var shortName: String {
      switch self {
      case .zeroBubble: "zb"
      case .zeroBubbleV: "zbv"
      case .dualPipeV: "dpv"
      case .oneForwardOneBackward, .interleaved, .forwardOnly: name
      }
    }

    /// The words of all schedules.
    static let names = ["1f1b", "1f1b-interleaved", "forward-only", "zero-bubble", "zero-bubble-v", "dualpipe-v"]
  }
}
