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

  /// The position in the model of each chunk, at `stage · chunkCount + chunk`.
  private let virtualStages: [Int]

  /// The same the other way round: by position in the model, `stage · chunkCount + chunk`.
  private let chunks: [Int]

  /// The schedule of a name, for a pipeline of some shape.
  ///
  /// - Throws: ``PipelineScheduleError``, its case saying what the shape lacks.
  /// - Complexity: O(stages × chunks × micro-batches).
  package init(
    _ schedule: Strategy.Schedule, stageCount: Int, microBatchCount: Int
  ) throws(PipelineScheduleError) {
    let order = try schedule.passOrder(stageCount: stageCount, microBatchCount: microBatchCount)
    self.init(
      steps: (0..<stageCount).map(order.steps(ofStage:)), chunkCount: schedule.chunkCount,
      microBatchCount: microBatchCount, virtualStageIndex: order.virtualStageIndex(stage:chunk:))
  }

  /// Any lists of steps, fitting together or not.
  ///
  /// - Parameters:
  ///   - steps: By stage.
  ///   - virtualStageIndex: The position in the model of a stage's chunk, different for each.
  /// - Precondition: There is a stage; every step is of a micro-batch and a chunk that exist.
  package init(
    steps: [[PipelineStep]], chunkCount: Int, microBatchCount: Int,
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

  /// The most forward passes of a stage, or of one of its chunks, whose backward pass is still to come: a walk over its
  /// steps.
  package func inFlightCount(ofStage stageIndex: Int, chunk chunkIndex: Int? = nil) -> Int {
    var inFlight = 0, most = 0
    for step in steps(ofStage: stageIndex) where chunkIndex == nil || step.chunkIndex == chunkIndex {
      inFlight += step.pass == .forward ? 1 : -1
      most = max(most, inFlight)
    }
    return most
  }
}
