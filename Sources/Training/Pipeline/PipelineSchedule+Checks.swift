/// Why lists of steps are no schedule, whatever the order in which stages come to them.
package enum PipelineScheduleDefect: Error, Sendable, Hashable, CustomStringConvertible {
  /// A stage runs a pass twice, or both a whole backward pass and a part of it.
  case repeated(PipelineStep, stage: Int)
  /// A stage runs a pass before the one whose result it works on.
  case early(PipelineStep, before: PipelineStep, stage: Int)
  /// A stage never runs a pass that others, or the update, wait for.
  case missing(PipelineStep, stage: Int)
  /// A step is to run beside the next, and the two are not a forward and a whole backward pass of different
  /// micro-batches or chunks.
  case noPair(stage: Int, index: Int)

  package var description: String {
    switch self {
    case .repeated(let step, let stage): "stage \(stage) runs \(step) a second time"
    case .early(let step, let other, let stage): "stage \(stage) runs \(step) before \(other)"
    case .missing(let step, let stage): "stage \(stage) never runs \(step)"
    case .noPair(let stage, let index):
      "step \(index) of stage \(stage) and the one after it are not a forward and a backward pass that could run together"
    }
  }
}

extension PipelineSchedule {
  /// The first thing that is wrong with the lists of single stages; nil where every stage runs for every micro-batch and
  /// chunk one forward pass, and then either a backward pass or an input gradient and after it a weight gradient.
  ///
  /// Whether stages that wait for each other come to an end is for a walk over all lists to find out.
  /// - Complexity: O(steps).
  package var defect: PipelineScheduleDefect? {
    for stage in 0..<stageCount {
      if let defect = defect(ofStage: stage) { return defect }
    }
    return nil
  }

  private func defect(ofStage stage: Int) -> PipelineScheduleDefect? {
    var done: Set<PipelineStep> = []
    let steps = steps(ofStage: stage)
    for (index, step) in steps.enumerated() {
      let excluded: [PipelineStep.Pass] =
        switch step.pass {
        case .forward: []
        case .backward: [.inputGradient, .weightGradient]
        case .inputGradient, .weightGradient: [.backward]
        }
      guard done.insert(step).inserted, excluded.allSatisfy({ !done.contains(step.with(pass: $0)) }) else {
        return .repeated(step, stage: stage)
      }
      let source: PipelineStep.Pass? =
        switch step.pass {
        case .forward: nil
        case .backward, .inputGradient: .forward
        case .weightGradient: .inputGradient
        }
      if let source, !done.contains(step.with(pass: source)) {
        return .early(step, before: step.with(pass: source), stage: stage)
      }
      if isPaired(index, ofStage: stage) {
        guard steps.indices.contains(index + 1), step.pass == .forward, steps[index + 1].pass == .backward,
          (steps[index + 1].chunkIndex, steps[index + 1].microBatchIndex) != (step.chunkIndex, step.microBatchIndex)
        else { return .noPair(stage: stage, index: index) }
      }
    }
    for chunk in 0..<chunkCount {
      for microBatch in 0..<microBatchCount {
        let forward = PipelineStep(pass: .forward, microBatchIndex: microBatch, chunkIndex: chunk)
        guard done.contains(forward) else { return .missing(forward, stage: stage) }
        if done.contains(forward.with(pass: .backward)) { continue }
        for pass in [PipelineStep.Pass.inputGradient, .weightGradient] where !done.contains(forward.with(pass: pass)) {
          return .missing(forward.with(pass: pass), stage: stage)
        }
      }
    }
    return nil
  }
}
