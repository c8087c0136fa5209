/// The most forward passes whose backward pass is still to come, by stage; a pass is of one micro-batch through one chunk.
///
/// A closed form, for prices that are asked for too often to walk the steps. Tests hold it against
/// ``PipelineSchedule/inFlightCount(ofStage:chunk:)`` and ``PipelineSchedule/moments(ofStage:)``, which walk.
@usableFromInline package struct PassesInFlight: Sendable, Hashable {
  /// How a schedule puts weight gradients off.
  package enum Splitting: UInt8, Sendable {
    /// Not at all: backward passes are whole.
    case none
    case zeroBubble, zeroBubbleV, dualPipeV
  }

  /// What a stage holds at one moment of an iteration, in passes.
  package struct Moment: Sendable, Hashable {
    /// Begun and not done with: forward without backward pass, or without weight gradient.
    package var count = 0
    /// Of these, with their input gradient and without their weight gradient.
    package var awaitingCount = 0
    /// Of the count, those through stage 0's first chunk.
    package var inFirstChunk = 0
    /// Of the count, those through the model's last chunk.
    package var inLastChunk = 0
    /// Of those, with their input gradient.
    package var awaitingInLastChunk = 0

    package init(
      count: Int = 0, awaitingCount: Int = 0, inFirstChunk: Int = 0, inLastChunk: Int = 0, awaitingInLastChunk: Int = 0
    ) {
      self.count = count
      self.awaitingCount = awaitingCount
      self.inFirstChunk = inFirstChunk
      self.inLastChunk = inLastChunk
      self.awaitingInLastChunk = awaitingInLastChunk
    }
  }

  /// What order alone would keep in flight on stage 0.
  @usableFromInline package let onFirstStage: Int
  /// How many fewer each later stage keeps than the one before.
  @usableFromInline package let fewerPerStage: Int
  /// Passes that there are.
  @usableFromInline package let passCount: Int
  /// The most passes in flight of stage 0's first chunk.
  @usableFromInline package let inFirstChunk: Int
  /// Whether, and how, weight gradients are put off.
  package let splitting: Splitting
  private let stageCount: Int32
  /// Chunks that stages alternate between, and micro-batches that they take through one before the next; 1 and 0 where they
  /// do not.
  private let chunkCount: Int32, groupSize: Int32

  /// - Parameters:
  ///   - stageCount: of the pipeline, where weight gradients are put off.
  ///   - chunkCount: chunks that stages alternate between.
  ///   - groupSize: micro-batches that they take through one before the next.
  package init(
    onFirstStage: Int, fewerPerStage: Int, passCount: Int, inFirstChunk: Int, splitting: Splitting = .none,
    stageCount: Int = 0, chunkCount: Int = 1, groupSize: Int = 0
  ) {
    self.onFirstStage = onFirstStage
    self.fewerPerStage = fewerPerStage
    self.passCount = passCount
    self.inFirstChunk = inFirstChunk
    self.splitting = splitting
    self.stageCount = Int32(truncatingIfNeeded: stageCount)
    self.chunkCount = Int32(truncatingIfNeeded: chunkCount)
    self.groupSize = Int32(truncatingIfNeeded: groupSize)
  }

  /// The most passes in flight on a stage.
  @inlinable package func count(stage stageIndex: Int) -> Int {
    min(onFirstStage - fewerPerStage * stageIndex, passCount)
  }

  /// Where weight gradients are put off, the moments of a stage that no other one is worse than in everything: what is
  /// begun waits for its weight gradient, and what waits for that has its input gradient already.
  ///
  /// - Parameter body: called once for each, two or three times.
  package func forEachMoment(ofStage r: Int, _ body: (Moment) -> Void) {
    let p = Int(stageCount), count = count(stage: r)
    switch splitting {
    case .none: return
    case .zeroBubble:
      // The weight gradient of the pair before is r pairs late; on the last stage all that wait are of the last chunk.
      let ends = r == p - 1 ? p : 0
      body(
        Moment(
          count: count, awaitingCount: r + 1, inFirstChunk: r == 0 ? inFirstChunk : 0, inLastChunk: ends,
          awaitingInLastChunk: ends))
    case .zeroBubbleV:
      if r == 0 {
        body(Moment(count: count, awaitingCount: 1, inFirstChunk: min(2 * p, passCount / 2)))
        body(
          Moment(
            count: count, awaitingCount: 1, inFirstChunk: 2 * p - 1, inLastChunk: 1, awaitingInLastChunk: 1))
      } else {
        body(Moment(count: count, awaitingCount: 1))
        body(Moment(count: p + r, awaitingCount: 2 * r + 1))
      }
    case .dualPipeV:
      if r == 0 {
        body(Moment(count: count, inFirstChunk: 2 * p, inLastChunk: 1))
        body(
          Moment(
            count: 2 * p, awaitingCount: 1, inFirstChunk: 2 * p - 1, inLastChunk: 1, awaitingInLastChunk: 1))
      } else {
        body(Moment(count: count))
        if r < p - 1 { body(Moment(count: 2 * p, awaitingCount: 1)) }
        body(Moment(count: p, awaitingCount: r + 1))
      }
    }
  }

  /// Of the first forward passes of a stage that alternates between chunks, how many go through one of them.
  package func firstPasses(_ count: Int, throughChunk chunk: Int) -> Int {
    let group = Int(groupSize), (groups, rest) = count.quotientAndRemainder(dividingBy: group * Int(chunkCount))
    return groups * group + min(max(0, rest - chunk * group), group)
  }

  /// Forward passes of a stage before its first pair of a forward and a backward pass.
  package func warmUpCount(stage stageIndex: Int) -> Int {
    min(onFirstStage - fewerPerStage * stageIndex - 1, passCount)
  }

  /// The chunks of a forward pass and of the backward pass after it, pair by pair, as many as it takes until all comes again.
  package func forEachPair(ofStage stageIndex: Int, _ body: (_ forwardChunk: Int, _ backwardChunk: Int) -> Void) {
    let group = Int(groupSize), round = group * Int(chunkCount), begin = warmUpCount(stage: stageIndex)
    for number in 0..<min(round, passCount - begin) {
      body((begin + number) % round / group, Int(chunkCount) - 1 - number % round / group)
    }
  }
}
