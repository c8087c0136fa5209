package import Documents

/// Who runs which pass of which micro-batch, in which order: a pipeline schedule as data.
///
/// It is the one truth about the order of an iteration: programs are lowered from it and executed, and the cost model's
/// times are those of a walk over it. It says nothing about time itself: a stage starts its next step when the results
/// that the step needs have arrived.
package struct PipelineSchedule: Sendable, Hashable {
  /// Pipeline stages, at least 1.
  package let stageCount: Int

  /// Model chunks (virtual stages) per stage, at least 1.
  package let chunkCount: Int

  /// Micro-batches per pipeline and iteration, at least 1.
  package let microBatchCount: Int

  /// Everything each stage does in one iteration, in order.
  private let steps: [[PipelineStep]]

  /// By stage, the steps that run beside the step after them.
  private let pairs: [Set<Int>]

  /// Whether the backward pass is split, at `(stage · chunkCount + chunk) · microBatchCount + microBatch`; empty where none is.
  private let isSplit: [Bool]

  /// The position in the model of each chunk, at `stage · chunkCount + chunk`.
  private let virtualStages: [Int]

  /// The same the other way round: by position in the model, `stage · chunkCount + chunk`.
  private let chunks: [Int]

  /// The schedule of a name, for a pipeline of some shape.
  ///
  /// - Parameter combines: see ``Documents/Strategy/Schedule/passOrder(stageCount:microBatchCount:combines:)``.
  /// - Throws: ``PipelineScheduleError``, its case saying what the shape lacks.
  /// - Complexity: O(stages × chunks × micro-batches).
  package init(
    _ schedule: Strategy.Schedule, stageCount: Int, microBatchCount: Int, combines: Bool = false
  ) throws(PipelineScheduleError) {
    let order = try schedule.passOrder(
      stageCount: stageCount, microBatchCount: microBatchCount, combines: combines)
    self.init(
      steps: (0..<stageCount).map(order.steps(ofStage:)), pairs: (0..<stageCount).map(order.pairs(ofStage:)),
      chunkCount: schedule.chunkCount,
      microBatchCount: microBatchCount, virtualStageIndex: order.virtualStageIndex(stage:chunk:))
  }

  /// Any lists of steps, fitting together or not.
  ///
  /// - Parameters:
  ///   - steps: By stage.
  ///   - pairs: By stage, indices of forward passes that run beside the backward pass after them; empty is none anywhere.
  ///   - virtualStageIndex: The position in the model of a stage's chunk, different for each.
  /// - Precondition: There is a stage; every step is of a micro-batch and a chunk that exist.
  package init(
    steps: [[PipelineStep]], pairs: [[Int]] = [], chunkCount: Int, microBatchCount: Int,
    virtualStageIndex: (_ stageIndex: Int, _ chunkIndex: Int) -> Int
  ) {
    precondition(!steps.isEmpty, "a pipeline has at least 1 stage")
    precondition(
      steps.allSatisfy { $0.allSatisfy { $0.microBatchIndex < microBatchCount && $0.chunkIndex < chunkCount } },
      "every step is of one of \(microBatchCount) micro-batches and of one of \(chunkCount) chunks")
    stageCount = steps.count
    self.chunkCount = chunkCount
    self.microBatchCount = microBatchCount
    self.steps = steps
    self.pairs = pairs.isEmpty ? steps.map { _ in [] } : pairs.map(Set.init)
    var isSplit: [Bool] = []
    for (stage, steps) in steps.enumerated() {
      for step in steps where step.pass == .inputGradient {
        if isSplit.isEmpty {
          isSplit = [Bool](repeating: false, count: self.steps.count * chunkCount * microBatchCount)
        }
        isSplit[(stage * chunkCount + step.chunkIndex) * microBatchCount + step.microBatchIndex] = true
      }
    }
    self.isSplit = isSplit
    let virtualStages = steps.indices.flatMap { stage in (0..<chunkCount).map { virtualStageIndex(stage, $0) } }
    precondition(
      virtualStages.sorted() == Array(virtualStages.indices), "every virtual stage is one chunk of one stage")
    self.virtualStages = virtualStages
    chunks = virtualStages.indices.sorted { virtualStages[$0] < virtualStages[$1] }
  }

  /// Everything a stage does in one iteration, in order.
  ///
  /// - Precondition: `stageIndex` is a stage of the pipeline.
  package func steps(ofStage stageIndex: Int) -> [PipelineStep] {
    precondition(
      (0..<stageCount).contains(stageIndex), "stage \(stageIndex) is not one of \(stageCount)")
    return steps[stageIndex]
  }

  /// Whether gradients of weights are computed apart from those of inputs, anywhere.
  package var splitsBackward: Bool { !isSplit.isEmpty }

  /// Whether a step of a stage, by its index, runs beside the one after it: both start when both can, and end together.
  package func isPaired(_ index: Int, ofStage stageIndex: Int) -> Bool { pairs[stageIndex].contains(index) }

  /// The position in the model of a stage's chunk, from 0.
  package func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    virtualStages[stageIndex * chunkCount + chunkIndex]
  }

  /// The stage and its chunk at a position in the model; nil before the first and after the last.
  package func place(ofVirtualStage virtualStageIndex: Int) -> (stageIndex: Int, chunkIndex: Int)? {
    guard chunks.indices.contains(virtualStageIndex) else { return nil }
    let (stage, chunk) = chunks[virtualStageIndex].quotientAndRemainder(dividingBy: chunkCount)
    return (stage, chunk)
  }

  /// The pass of the same micro-batch at the next or the previous virtual stage that a pass gives its result to or takes its
  /// input from; nil beyond the model's ends.
  package func neighbour(
    of step: PipelineStep, atVirtualStage virtualStage: Int, downstream: Bool
  ) -> PipelineStep? {
    guard let there = place(ofVirtualStage: virtualStage + (downstream ? 1 : -1)) else { return nil }
    let pass: PipelineStep.Pass =
      step.pass == .forward
      ? .forward
      : !isSplit.isEmpty
        && isSplit[(there.stageIndex * chunkCount + there.chunkIndex) * microBatchCount + step.microBatchIndex]
        ? .inputGradient : .backward
    return PipelineStep(pass: pass, microBatchIndex: step.microBatchIndex, chunkIndex: there.chunkIndex)
  }

  /// The most forward passes of a stage, or of one of its chunks, that are not done with: a walk over its steps.
  package func inFlightCount(ofStage stageIndex: Int, chunk chunkIndex: Int? = nil) -> Int {
    var inFlight = 0, most = 0
    for step in steps(ofStage: stageIndex) where chunkIndex == nil || step.chunkIndex == chunkIndex {
      if step.pass == .forward { inFlight += 1 }
      most = max(most, inFlight)
      if step.pass.endsMicroBatch { inFlight -= 1 }
    }
    return most
  }

  /// What a stage holds after each of its steps, by a walk over them, as far as no other moment is worse in everything.
  ///
  /// A whole backward pass, and a weight gradient, hold until they end.
  package func moments(ofStage stageIndex: Int) -> Set<PassesInFlight.Moment> {
    var moment = PassesInFlight.Moment(), all: Set<PassesInFlight.Moment> = []
    let last = stageCount * chunkCount - 1
    for step in steps(ofStage: stageIndex) {
      let place = virtualStageIndex(stage: stageIndex, chunk: step.chunkIndex)
      func change(_ part: WritableKeyPath<PassesInFlight.Moment, Int>, by count: Int) { moment[keyPath: part] += count }
      if step.pass == .forward {
        change(\.count, by: 1)
        if place == 0 { change(\.inFirstChunk, by: 1) }
        if place == last { change(\.inLastChunk, by: 1) }
      }
      if step.pass == .inputGradient {
        change(\.awaitingCount, by: 1)
        if place == last { change(\.awaitingInLastChunk, by: 1) }
      }
      all.insert(moment)
      if step.pass.endsMicroBatch {
        change(\.count, by: -1)
        if place == 0 { change(\.inFirstChunk, by: -1) }
        if place == last { change(\.inLastChunk, by: -1) }
      }
      if step.pass == .weightGradient {
        change(\.awaitingCount, by: -1)
        if place == last { change(\.awaitingInLastChunk, by: -1) }
      }
    }
    return all.filter { moment in !all.contains { $0 != moment && $0.isAtLeast(moment) } }
  }
}

extension PassesInFlight.Moment {
  /// Whether nothing is less than at another moment.
  fileprivate func isAtLeast(_ other: Self) -> Bool {
    count >= other.count && awaitingCount >= other.awaitingCount && inFirstChunk >= other.inFirstChunk
      && inLastChunk >= other.inLastChunk && awaitingInLastChunk >= other.awaitingInLastChunk
  }
}
