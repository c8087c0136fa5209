import Documents

/// The streams of a rank that visits one part after another: uploads, gathers of slices, computation and offloads, each in
/// the order of the parts, with as many blocks in flight as there are buffers.
///
/// A block is uploaded into one of three buffers (``Training/IterationShape/blockBufferCount``) as soon as that is free,
/// gathered when it has come, computed on when it is whole and everything before it is done, and offloaded after that: while
/// block i is computed on, block i + 1 comes and block i − 1 leaves (ZO2, Wang et al. 2025, figure 3).
struct VisitStreams: Sendable {
  /// The end of what each stream has done so far, seconds.
  private(set) var uploadSeconds = 0.0
  private(set) var gatherSeconds = 0.0
  private(set) var computeSeconds = 0.0
  private(set) var offloadSeconds = 0.0
  /// What each stream was busy with, seconds.
  private(set) var busy = Busy()
  /// When each buffer is free again, in turn.
  private var free = (0.0, 0.0, 0.0)
  /// When the computation before the last one ended: resident parts are gathered one ahead.
  private var earlierComputeSeconds = 0.0

  /// What the streams do, however they wait.
  struct Busy: Sendable, Equatable {
    var upload = 0.0
    var gather = 0.0
    var compute = 0.0
    var offload = 0.0
  }

  /// The end of everything.
  var endSeconds: Double { max(computeSeconds, offloadSeconds) }

  /// Visits the next part.
  ///
  /// - Parameters:
  ///   - computeSeconds: what the device computes in the visit.
  ///   - isHosted: whether the part comes from the host.
  ///   - leaves: whether it goes back there.
  mutating func visit(_ part: PartVisit, computeSeconds seconds: Double, isHosted: Bool, leaves: Bool) {
    var ready = isHosted ? 0 : earlierComputeSeconds
    if isHosted {
      uploadSeconds = max(uploadSeconds, free.0) + part.transferSeconds
      busy.upload += part.transferSeconds
      ready = uploadSeconds
    }
    if part.gatherSeconds > 0 {
      gatherSeconds = max(gatherSeconds, ready) + part.gatherSeconds
      busy.gather += part.gatherSeconds
      ready = gatherSeconds
    }
    earlierComputeSeconds = computeSeconds
    computeSeconds = max(computeSeconds, ready) + seconds
    busy.compute += seconds
    guard isHosted else { return }
    if leaves {
      offloadSeconds = max(offloadSeconds, computeSeconds) + part.transferSeconds
      busy.offload += part.transferSeconds
    }
    free = (free.1, free.2, leaves ? offloadSeconds : computeSeconds)
  }
}
