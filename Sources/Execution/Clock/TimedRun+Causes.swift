import Costing
package import Documents
import Training

extension TimedRun {
  /// Where the time of each stage goes, of its slowest simulated rank: the one with the least bubble.
  ///
  /// A wait for a message that is under way is the pipeline's, for one that was not sent yet the bubble's; likewise
  /// collectives among replicas.
  package var causesOfStages: [Prediction.TimeSplit] {
    var slowest = [Prediction.TimeSplit?](repeating: nil, count: setting.mesh.degree(of: .pipeline))
    for track in tracks {
      let causes = causes(of: track)
      if let known = slowest[track.stage], known.bubbleSeconds <= causes.bubbleSeconds { continue }
      slowest[track.stage] = causes
    }
    return slowest.map { $0 ?? Prediction.TimeSplit() }
  }

  private func causes(of track: Track) -> Prediction.TimeSplit {
    var causes = Prediction.TimeSplit()
    // After each iteration of a round.
    var sums: [Prediction.TimeSplit] = []
    var slices = [ClockMachine.Slice?](repeating: nil, count: track.program.steps.count)
    for slice in track.slices { slices[slice.step] = slice }
    var reached = 0.0
    for slice in track.slices {
      let step = track.program.steps[slice.step]
      guard case .compute(let computation) = step.operation else { continue }
      if slice.startSeconds > reached {
        let last = step.waitsFor.compactMap { slices[$0] }.max { $0.endSeconds < $1.endSeconds }
        causes.add(wait: reached..<slice.startSeconds, for: last.map { Awaited($0, of: track, setting.shape) })
      }
      reached = slice.endSeconds
      switch computation {
      case .pass(let part, let pass): causes.add(setting.causes(of: part, pass, stage: track.stage))
      case .evaluatePart(let part, let microBatches, _):
        causes.add(setting.causes(of: part, microBatches: microBatches, stage: track.stage))
      case .update, .perturb: causes.optimizerSeconds += slice.endSeconds - slice.startSeconds
      case .updateParameters:
        // What the exchanges of the step quantise is made and read beside it.
        let quantising = setting.tails[track.stage].quantisingSeconds, fixed = setting.fixedSecondsInIteration
        causes.dataSeconds += quantising
        causes.fixedSeconds += fixed
        causes.optimizerSeconds += max(0, slice.endSeconds - slice.startSeconds - quantising - fixed)
        sums.append(causes)
      case .outerStep: causes.outerSeconds += slice.endSeconds - slice.startSeconds
      default: continue
      }
    }
    // Collectives that outlast the last computation, and then the others.
    if let last = track.slices.last, last.endSeconds > reached {
      causes.add(wait: reached..<last.endSeconds, for: Awaited(last, of: track, setting.shape))
    }
    if round.leftOutCount > 0, sums.count >= 3 {
      causes.add(sums[sums.count - 2], times: Double(round.leftOutCount))
      causes.add(sums[sums.count - 3], times: -Double(round.leftOutCount))
    }
    var ofIteration = Prediction.TimeSplit()
    ofIteration.add(causes, times: 1 / Double(round.period))
    ofIteration.fixedSeconds += fixedSeconds
    let sum = ofIteration.parts.reduce(0) { $0 + $1.seconds }
    ofIteration.bubbleSeconds += max(0, iterationSeconds - sum)
    return ofIteration
  }
}

/// A step that a computation waited for.
private struct Awaited {
  let slice: ClockMachine.Slice
  let operation: ProgramStep.Operation
  /// Whether it brings weights from the host or takes them there, or gathers slices that have just come.
  let isFromHost: Bool
  /// Whether workers send each other something.
  let isOfWorkers: Bool

  init(_ slice: ClockMachine.Slice, of track: TimedRun.Track, _ shape: IterationShape) {
    self.slice = slice
    operation = track.program.steps[slice.step].operation
    isOfWorkers = track.program.steps[slice.step].stream == .outer
    isFromHost =
      switch operation {
      case .upload, .offload: true
      case .collective(let collective):
        if case .exchanged(let exchange, let part?, _) = collective.operand {
          exchange.content == .weights && shape.isHosted(part)
        } else {
          false
        }
      case .compute, .send, .receive: false
      }
  }
}

extension Prediction.TimeSplit {
  /// Adds another a number of times.
  fileprivate mutating func add(_ other: Self, times: Double) {
    for part: WritableKeyPath<Self, Double> in [
      \.computeSeconds, \.recomputeSeconds, \.launchSeconds, \.tensorSeconds, \.contextSeconds, \.expertSeconds,
      \.pipelineSeconds, \.dataSeconds, \.bubbleSeconds, \.optimizerSeconds, \.fixedSeconds, \.hostSeconds,
      \.outerSeconds,
    ] { self[keyPath: part] += times * other[keyPath: part] }
  }

  fileprivate mutating func add(_ pass: PassCauses) {
    computeSeconds += pass.computeSeconds
    recomputeSeconds += pass.recomputeSeconds
    launchSeconds += pass.launchSeconds
    tensorSeconds += pass.tensorSeconds
    contextSeconds += pass.contextSeconds
    expertSeconds += pass.expertSeconds
    dataSeconds += pass.dataSeconds
  }

  /// Adds a gap in computation, by the last of the steps that it waited for.
  fileprivate mutating func add(
    wait gap: Range<Double>, for last: Awaited?
  ) {
    if last?.isFromHost ?? false {
      hostSeconds += gap.upperBound - gap.lowerBound
      return
    }
    if last?.isOfWorkers ?? false {
      outerSeconds += gap.upperBound - gap.lowerBound
      return
    }
    let met = min(gap.upperBound, max(gap.lowerBound, last?.slice.metSeconds ?? gap.upperBound))
    bubbleSeconds += met - gap.lowerBound
    switch last?.operation {
    case .receive: pipelineSeconds += gap.upperBound - met
    case .collective: dataSeconds += gap.upperBound - met
    case .compute, .send, .upload, .offload, nil: bubbleSeconds += gap.upperBound - met
    }
  }
}
