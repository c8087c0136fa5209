import Costing
import Documents
import Training

extension TimedRun {
  /// Bytes of activations that a rank holds from a moment on.
  struct Held: Sendable {
    /// The pass that changed them; nil where visits did.
    let pass: PipelineStep?
    let seconds: Double
    let activationBytes: Int
  }

  /// The activations of a simulated rank over time: taken when a part's forward pass ends, given back when its backward
  /// pass does, or its weight gradient.
  func heldActivations(of track: Track) -> [Held] {
    let memory = setting.cost[track.stage].memory
    var held: [Held] = [], bytes = 0
    if setting.shape.isZerothOrder { return heldBetweenVisits(of: track) }
    for slice in track.slices {
      guard case .compute(.pass(let part, let pass)) = track.program.steps[slice.step].operation else { continue }
      // What further predictions keep is counted with the head.
      if case .prediction = part { continue }
      let stagePart = setting.stagePart(part)
      let kept = memory.activationBytes(of: stagePart), awaiting = memory.awaitingBytes(of: stagePart)
      let change =
        switch pass.pass {
        case .forward: kept
        case .backward: -kept
        case .inputGradient: awaiting
        case .weightGradient: -kept - awaiting
        }
      guard change != 0 else { continue }
      bytes += change
      held.append(Held(pass: pass, seconds: slice.endSeconds, activationBytes: bytes))
    }
    return held
  }

  /// Under zeroth-order training: the activations of each loss and micro-batch, from a rank's first part to its last.
  private func heldBetweenVisits(of track: Track) -> [Held] {
    let parts = track.program.parts
    var held: [Held] = [], bytes = 0
    for slice in track.slices {
      guard case .compute(.evaluatePart(let part, let microBatches, _)) = track.program.steps[slice.step].operation
      else { continue }
      let moved = microBatches.count * setting.travellingByteCount
      bytes += (part == parts.first ? moved : 0) - (part == parts.last ? moved : 0)
      if part == parts.first || part == parts.last {
        held.append(Held(pass: nil, seconds: slice.endSeconds, activationBytes: bytes))
      }
    }
    return held
  }

  /// The most bytes of activations that a rank of each stage holds at once.
  package var peakActivationBytes: [Int] {
    var peaks = [Int](repeating: 0, count: setting.mesh.degree(of: .pipeline))
    for track in tracks {
      for held in heldActivations(of: track) { peaks[track.stage] = max(peaks[track.stage], held.activationBytes) }
    }
    return peaks
  }
}
