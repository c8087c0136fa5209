package import Documents

/// What a pipeline schedule is: the order of every stage's passes, and where its chunks lie in the model.
///
/// A further schedule is one more conformer, in a file of its own, and its line in ``Documents/Strategy/Schedule``'s
/// `passOrder`.
package protocol PassOrder: Sendable {
  /// Everything a stage does in one iteration, in order: every pass of every micro-batch through each of its chunks once.
  ///
  /// - Precondition: `stageIndex` is a stage of the pipeline.
  func steps(ofStage stageIndex: Int) -> [PipelineStep]

  /// Steps, by their index in ``steps(ofStage:)``, that run beside the step after them: a forward pass with a backward pass.
  func pairs(ofStage stageIndex: Int) -> [Int]

  /// The position in the model of a stage's chunk, from 0.
  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int

  /// How many passes stages keep activations of, in closed form: what a walk over ``steps(ofStage:)`` counts.
  var passesInFlight: PassesInFlight { get }
}

extension PassOrder {
  /// One step after the other.
  func pairs(ofStage stageIndex: Int) -> [Int] { [] }
}

extension Strategy.Schedule {
  /// The order of passes that the schedule gives a pipeline of some shape.
  ///
  /// - Parameter combines: whether in 1F1B a forward pass runs beside a backward pass of another micro-batch, so that the
  ///   tokens of one are on their way to their experts while the other computes (Megatron Core's `combined_1f1b.py`).
  /// - Throws: ``PipelineScheduleError``, its case saying what the shape lacks.
  package func passOrder(
    stageCount: Int, microBatchCount: Int, combines: Bool = false
  ) throws(PipelineScheduleError) -> any PassOrder {
    guard stageCount >= 1 else { throw .stageCountBelowOne(stageCount: stageCount) }
    guard microBatchCount >= 1 else { throw .microBatchCountBelowOne(microBatchCount: microBatchCount) }
    switch self {
    case .oneForwardOneBackward:
      return OneForwardOneBackward(stageCount: stageCount, microBatchCount: microBatchCount, combines: combines)
    case .forwardOnly: return ForwardOnly(microBatchCount: microBatchCount)
    case .interleaved(let chunkCount):
      return try Interleaved(
        stageCount: stageCount, chunkCount: chunkCount, microBatchCount: microBatchCount, combines: combines)
    case .zeroBubble(let chunkCount):
      return try ZeroBubble(stageCount: stageCount, chunkCount: chunkCount, microBatchCount: microBatchCount)
    case .zeroBubbleV: return try ZeroBubbleV(stageCount: stageCount, microBatchCount: microBatchCount)
    case .dualPipeV: return try DualPipeV(stageCount: stageCount, microBatchCount: microBatchCount)
    }
  }

  /// How many passes a pipeline of some shape keeps in flight.
  ///
  /// - Precondition: ``passOrder(stageCount:microBatchCount:)`` gives the shape an order.
  package func passesInFlight(stageCount: Int, microBatchCount: Int, combines: Bool = false) -> PassesInFlight {
    do {
      return try passOrder(stageCount: stageCount, microBatchCount: microBatchCount, combines: combines).passesInFlight
    } catch {
      preconditionFailure(error.description)
    }
  }
}
