import Costing
import Documents
import Training

extension TimedRun {
  /// Bytes of activations that a rank holds from a moment on.
  struct Held: Sendable {
    /// The pass that changed them.
    let pass: PipelineStep
    let seconds: Double
    let activationBytes: Int
  }

  /// The activations of a simulated rank over time: taken when a part's forward pass ends, given back when its backward
  /// pass does.
  func heldActivations(of track: Track) -> [Held] {
    let memory = setting.cost[track.stage].memory
    var held: [Held] = [], bytes = 0
    for slice in track.slices {
      guard case .compute(.pass(let part, let pass)) = track.program.steps[slice.step].operation else { continue }
      let kept = memory.activationBytes(of: setting.stagePart(part))
      guard kept > 0 else { continue }
      bytes += pass.pass == .forward ? kept : -kept
      held.append(Held(pass: pass, seconds: slice.endSeconds, activationBytes: bytes))
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
