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
    case .backward:
      let isLast = virtualStage == p * v - 1
      return isLast ? event(.forward, on: virtualStage) : event(.backward, on: virtualStage + 1)
    }
  }
}

/// Every unfinished stage waits for a pass that never ends: the step lists do not fit together.
struct PipelineDeadlock: Error, CustomStringConvertible {
  struct Wait {
    /// The stage and the step it cannot start.
    let event: PipelineEvent
    /// The position of that step in the stage's list.
    let stepIndex: Int
    /// The pass it waits for.
    let source: PipelineEvent
  }

  /// The unfinished stages, first to last; never empty.
  let waits: [Wait]

  var description: String {
    waits.map {
      "stage \($0.event.stageIndex) waits at step \($0.stepIndex), \($0.event.step), "
        + "for \($0.source.step) of stage \($0.source.stageIndex)"
    }.joined(separator: "; ")
  }
}

/// The oracle of the fast recurrences: a walk over any step lists, which knows nothing about kinds of schedule.
extension PipelineTimes {
  /// The end of each stage's last step, in seconds, when every stage runs its own list in order and starts a step as
  /// soon as the step before has ended and the results it needs have arrived; 0 for an empty list.
  ///
  /// - Throws: ``PipelineDeadlock`` when stages wait for each other or for a pass that no stage runs.
  /// - Complexity: O(stages · steps).
  func walk(_ steps: [[PipelineStep]]) throws(PipelineDeadlock) -> [Double] {
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
    let waits = (0..<stageCount).compactMap { stage in
      event(ofStage: stage, in: remaining).flatMap { event in
        needs(of: event).first { ends[$0] == nil }.map {
          PipelineDeadlock.Wait(event: event, stepIndex: remaining[stage].startIndex, source: $0)
        }
      }
    }
    guard waits.isEmpty else { throw PipelineDeadlock(waits: waits) }
    return stageEnds
  }

  /// The end of each stage's last backward pass, in seconds.
  func walk(_ schedule: PipelineSchedule) throws(PipelineDeadlock) -> [Double] {
    try walk((0..<stageCount).map(schedule.steps(ofStage:)))
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
