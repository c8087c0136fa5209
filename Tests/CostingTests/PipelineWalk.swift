import Costing
import Training

/// A step together with the stage that runs it: a node of the pipeline's dependency graph.
///
/// The model is cut into p · v virtual stages; virtual stage `chunk · p + stage` lies on that stage, so the last stage
/// hands a chunk's activations back to stage 0, which runs the next chunk.
struct PipelineEvent: Hashable {
  let stageIndex: Int
  let step: PipelineStep

  init(_ pass: PipelineStep.Pass, stageIndex: Int, microBatchIndex: Int, chunkIndex: Int = 0) {
    self.stageIndex = stageIndex
    step = PipelineStep(pass: pass, microBatchIndex: microBatchIndex, chunkIndex: chunkIndex)
  }

  /// The event whose result this event consumes over a link, or nil for the forward pass of the first virtual stage,
  /// which reads the training data.
  ///
  /// A forward pass consumes the activations of the virtual stage before it. A backward pass consumes the gradients of
  /// the virtual stage after it; the last virtual stage turns around: its backward pass consumes its own forward pass.
  func source(stageCount p: Int, chunkCount v: Int) -> PipelineEvent? {
    let virtualStage = step.chunkIndex * p + stageIndex
    func event(_ pass: PipelineStep.Pass, on other: Int) -> PipelineEvent {
      PipelineEvent(pass, stageIndex: other % p, microBatchIndex: step.microBatchIndex, chunkIndex: other / p)
    }
    switch step.pass {
    case .forward: return virtualStage == 0 ? nil : event(.forward, on: virtualStage - 1)
    // Of schedules with whole backward passes.
    case .backward, .inputGradient, .weightGradient:
      let isLast = virtualStage == p * v - 1
      return isLast ? event(.forward, on: virtualStage) : event(.backward, on: virtualStage + 1)
    }
  }
}

/// The oracle of the product's walk and of its recurrences, in textbook form: whichever stage can go on does.
extension PipelineTimes {
  /// The end of each stage's last step, in seconds; nil when stages wait for each other or for a pass that no stage runs.
  ///
  /// Chunks lie in the model as ``PipelineEvent`` has it.
  func textbookEnds(_ steps: [[PipelineStep]]) -> [Double]? {
    var remaining = steps.map { $0[...] }
    var stageEnds = Array(repeating: 0.0, count: stageCount)
    var ends: [PipelineEvent: Double] = [:]
    var hasProgress = true
    while hasProgress {
      hasProgress = false
      for stage in 0..<stageCount {
        while let event = event(ofStage: stage, in: remaining) {
          let arrivals = needs(of: event).map { need in ends[need].map { $0 + transferSeconds(from: need, to: event) } }
          guard !arrivals.contains(nil) else { break }
          let end = arrivals.reduce(stageEnds[stage]) { max($0, $1 ?? 0) } + seconds(of: event)
          stageEnds[stage] = end
          ends[event] = end
          remaining[stage].removeFirst()
          hasProgress = true
        }
      }
    }
    return remaining.allSatisfy(\.isEmpty) ? stageEnds : nil
  }

  /// The end of each stage's last backward pass, in seconds.
  func textbookEnds(_ schedule: PipelineSchedule) -> [Double]? {
    textbookEnds((0..<stageCount).map(schedule.steps(ofStage:)))
  }

  private func event(ofStage stage: Int, in remaining: [ArraySlice<PipelineStep>]) -> PipelineEvent? {
    remaining[stage].first.map {
      PipelineEvent($0.pass, stageIndex: stage, microBatchIndex: $0.microBatchIndex, chunkIndex: $0.chunkIndex)
    }
  }

  /// The passes whose results a pass needs: its source, and for a backward pass the stage's own forward pass.
  private func needs(of event: PipelineEvent) -> [PipelineEvent] {
    let step = event.step
    let own = PipelineEvent(
      .forward, stageIndex: event.stageIndex, microBatchIndex: step.microBatchIndex, chunkIndex: step.chunkIndex)
    let source = event.source(stageCount: stageCount, chunkCount: chunkCount).map { [$0] } ?? []
    return source + (step.pass == .backward ? [own] : [])
  }

  private func seconds(of event: PipelineEvent) -> Double {
    let index = event.stageIndex * chunkCount + event.step.chunkIndex
    return event.step.pass == .forward ? forwardSeconds[index] : backwardSeconds[index]
  }

  /// Seconds of the transfer between an event and its source: none within a stage, over the wrap when the chunk changes
  /// (with two stages the wrap joins the same pair as the boundary), over the boundary otherwise.
  private func transferSeconds(from source: PipelineEvent, to event: PipelineEvent) -> Double {
    if source.stageIndex == event.stageIndex { return 0 }
    if source.step.chunkIndex != event.step.chunkIndex { return wrapTransferSeconds }
    return transferSeconds[min(source.stageIndex, event.stageIndex)]
  }
}
