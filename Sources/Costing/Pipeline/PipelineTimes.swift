/// How long each part of a pipeline takes for one micro-batch: all that the time of a schedule depends on.
///
/// Passes keep their stage busy; transfers do not: they run beside the next pass and delay only the receiver. All
/// micro-batches take the same time. The data-parallel synchronisation after the pipeline is not part of it.
package struct PipelineTimes: Sendable, Hashable {
  /// Pipeline stages, at least 1.
  package let stageCount: Int

  /// Model chunks (virtual stages) per stage, at least 1.
  package let chunkCount: Int

  /// Seconds of the forward pass of one micro-batch through one chunk, at `stage · chunkCount + chunk`.
  package let forwardSeconds: [Double]

  /// Seconds of the backward pass of one micro-batch through one chunk, at `stage · chunkCount + chunk`.
  package let backwardSeconds: [Double]

  /// Of those, seconds that go into gradients of weights where backward passes are split, at `stage · chunkCount + chunk`;
  /// empty where that is not asked.
  package let weightSeconds: [Double]

  /// How long a forward and a backward pass take that run beside each other, over the sum of both.
  package let pairFactor: Double

  /// Seconds of one transfer between stage i and stage i + 1, either way, at i: one fewer than there are stages.
  package let transferSeconds: [Double]

  /// Seconds of one transfer between the last stage and stage 0, either way, used between chunks.
  package let wrapTransferSeconds: Double

  /// - Precondition: The arrays have the lengths stated at each, and every time is finite and at least 0.
  package init(
    stageCount: Int, chunkCount: Int = 1, forwardSeconds: [Double], backwardSeconds: [Double],
    weightSeconds: [Double] = [], transferSeconds: [Double], wrapTransferSeconds: Double = 0, pairFactor: Double = 1
  ) {
    precondition(stageCount >= 1, "a pipeline has at least 1 stage, found \(stageCount)")
    precondition(chunkCount >= 1, "a stage has at least 1 chunk, found \(chunkCount)")
    precondition(
      forwardSeconds.count == stageCount * chunkCount, "one forward time per stage and chunk")
    precondition(
      backwardSeconds.count == stageCount * chunkCount, "one backward time per stage and chunk")
    precondition(
      weightSeconds.isEmpty || weightSeconds.count == stageCount * chunkCount, "one weight time per stage and chunk")
    precondition(
      zip(weightSeconds, backwardSeconds).allSatisfy { Self.isTime($0) && $0 <= $1 } && Self.isTime(pairFactor),
      "gradients of weights are a part of the backward pass")
    precondition(transferSeconds.count == stageCount - 1, "one transfer time per stage boundary")
    precondition(
      forwardSeconds.allSatisfy(Self.isTime) && backwardSeconds.allSatisfy(Self.isTime)
        && transferSeconds.allSatisfy(Self.isTime) && Self.isTime(wrapTransferSeconds),
      "every time is finite and at least 0")
    self.stageCount = stageCount
    self.chunkCount = chunkCount
    self.forwardSeconds = forwardSeconds
    self.backwardSeconds = backwardSeconds
    self.weightSeconds = weightSeconds
    self.pairFactor = pairFactor
    self.transferSeconds = transferSeconds
    self.wrapTransferSeconds = wrapTransferSeconds
  }

  private static func isTime(_ seconds: Double) -> Bool {
    seconds >= 0 && seconds.isFinite
  }
}
