/// One forward pass, one backward pass in turn: Narayanan et al. 2021 (arXiv 2104.04473), section 2.2.1.
///
/// With p stages and m micro-batches, stage i first runs min(m, p − i − 1) forward passes, as Megatron-LM does; then
/// pairs of one forward and one backward pass; then the backward passes that are left. Where passes are combined, one more
/// before the pairs, whose passes then run beside each other.
struct OneForwardOneBackward: PassOrder {
  let stageCount: Int
  let microBatchCount: Int
  var combines = false

  func steps(ofStage stageIndex: Int) -> [PipelineStep] {
    PipelineStep.inPairs(
      warmUpCount: warmUpCount(stageIndex), passCount: microBatchCount,
      forward: { PipelineStep(pass: .forward, microBatchIndex: $0) },
      backward: { PipelineStep(pass: .backward, microBatchIndex: $0) })
  }

  func pairs(ofStage stageIndex: Int) -> [Int] {
    combines ? PipelineStep.pairs(warmUpCount: warmUpCount(stageIndex), passCount: microBatchCount) : []
  }

  private func warmUpCount(_ stageIndex: Int) -> Int { stageCount - stageIndex - 1 + (combines ? 1 : 0) }

  /// One chunk a stage.
  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int { stageIndex }

  /// min(p − i, m): the warm-up and the forward pass of the first pair.
  var passesInFlight: PassesInFlight {
    PassesInFlight(
      onFirstStage: stageCount + (combines ? 1 : 0), fewerPerStage: 1, passCount: microBatchCount,
      inFirstChunk: min(stageCount + (combines ? 1 : 0), microBatchCount))
  }
}

extension PipelineStep {
  /// Where in ``inPairs(warmUpCount:passCount:forward:backward:)`` the pairs begin.
  static func pairs(warmUpCount: Int, passCount: Int) -> [Int] {
    let warmUpCount = min(warmUpCount, passCount)
    return (0..<passCount - warmUpCount).map { warmUpCount + 2 * $0 }
  }

  /// Warm-up forwards, then pairs (forward, backward), then cool-down backwards.
  ///
  /// - Parameters:
  ///   - warmUpCount: Forward passes before the first pair, if there are as many.
  ///   - passCount: Forward passes, and backward passes.
  ///   - forward: The forward pass of a number from 0.
  ///   - backward: The backward pass of a number from 0.
  static func inPairs(
    warmUpCount: Int, passCount: Int, forward: (_ number: Int) -> PipelineStep,
    backward: (_ number: Int) -> PipelineStep
  ) -> [PipelineStep] {
    let warmUpCount = min(warmUpCount, passCount)
    var steps = (0..<warmUpCount).map(forward)
    steps.reserveCapacity(2 * passCount)
    for number in warmUpCount..<passCount {
      steps.append(forward(number))
      steps.append(backward(number - warmUpCount))
    }
    for number in (passCount - warmUpCount)..<passCount { steps.append(backward(number)) }
    return steps
  }
}
