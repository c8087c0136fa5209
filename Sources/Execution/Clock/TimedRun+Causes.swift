import Costing
import Documents
import Training

extension TimedRun {
  /// Where the time of a rank goes; all of it adds up to the iteration.
  package struct Causes: Sendable, Equatable {
    package var computeSeconds = 0.0
    package var recomputeSeconds = 0.0
    /// Waits of the device for launches.
    package var launchSeconds = 0.0
    /// Exposed collectives of the tensor group.
    package var tensorSeconds = 0.0
    /// Waits for a message that is under way.
    package var pipelineSeconds = 0.0
    /// Waits for collectives among replicas, and what they slow computation by.
    package var dataSeconds = 0.0
    /// Waits for other stages: for a message that was not sent yet, or for the slowest at the end.
    package var bubbleSeconds = 0.0
    package var optimizerSeconds = 0.0
    package var fixedSeconds = 0.0

    package init() {}

    /// Name and seconds of each, in a fixed order; the names of ``Documents/Prediction/TimeSplit``.
    package var parts: [(name: String, seconds: Double)] {
      [
        ("compute", computeSeconds), ("recompute", recomputeSeconds), ("launch", launchSeconds),
        ("tensor", tensorSeconds), ("pipeline", pipelineSeconds), ("data", dataSeconds), ("bubble", bubbleSeconds),
        ("optimizer", optimizerSeconds), ("fixed", fixedSeconds),
      ]
    }
  }

  /// Of the slowest simulated rank of each stage: the one with the least bubble.
  package var causesOfStages: [Causes] {
    var slowest = [Causes?](repeating: nil, count: setting.mesh.degree(of: .pipeline))
    for track in tracks {
      let causes = causes(of: track)
      if let known = slowest[track.stage], known.bubbleSeconds <= causes.bubbleSeconds { continue }
      slowest[track.stage] = causes
    }
    return slowest.map { $0 ?? Causes() }
  }

  private func causes(of track: Track) -> Causes {
    var causes = Causes()
    causes.fixedSeconds = fixedSeconds
    var slices = [ClockMachine.Slice?](repeating: nil, count: track.program.steps.count)
    for slice in track.slices { slices[slice.step] = slice }
    var reached = 0.0
    for slice in track.slices {
      let step = track.program.steps[slice.step]
      guard case .compute(let computation) = step.operation else { continue }
      if slice.startSeconds > reached {
        let last = step.waitsFor.compactMap { slices[$0] }.max { $0.endSeconds < $1.endSeconds }
        causes.add(
          wait: reached..<slice.startSeconds, for: last.map { ($0, track.program.steps[$0.step].operation) })
      }
      reached = slice.endSeconds
      switch computation {
      case .pass(let part, let pass): causes.add(setting.causes(of: part, pass, stage: track.stage))
      case .updateParameters:
        // What the exchanges of the step quantise is made and read beside it.
        let quantising = setting.tails[track.stage].quantisingSeconds
        causes.dataSeconds += quantising
        causes.optimizerSeconds += max(0, slice.endSeconds - slice.startSeconds - quantising)
      default: continue
      }
    }
    // Collectives that outlast the last computation, and then the others.
    if let last = track.slices.last, last.endSeconds > reached {
      causes.add(wait: reached..<last.endSeconds, for: (last, track.program.steps[last.step].operation))
      reached = last.endSeconds
    }
    causes.bubbleSeconds += max(0, iterationSeconds - fixedSeconds - reached)
    return causes
  }
}

extension TimedRun.Causes {
  fileprivate mutating func add(_ pass: PassCauses) {
    computeSeconds += pass.computeSeconds
    recomputeSeconds += pass.recomputeSeconds
    launchSeconds += pass.launchSeconds
    tensorSeconds += pass.tensorSeconds
    dataSeconds += pass.dataSeconds
  }

  /// Adds a gap in computation, by the last of the steps that it waited for.
  fileprivate mutating func add(
    wait gap: Range<Double>, for last: (slice: ClockMachine.Slice, operation: ProgramStep.Operation)?
  ) {
    let met = min(gap.upperBound, max(gap.lowerBound, last?.slice.metSeconds ?? gap.upperBound))
    bubbleSeconds += met - gap.lowerBound
    switch last?.operation {
    case .receive: pipelineSeconds += gap.upperBound - met
    case .collective: dataSeconds += gap.upperBound - met
    case .compute, .send, nil: bubbleSeconds += gap.upperBound - met
    }
  }
}
