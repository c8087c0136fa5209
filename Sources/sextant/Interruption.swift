import Foundation
import Search
import Synchronization

/// Whether Ctrl-C was pressed. Lock-free, so that a signal handler may set it.
private let isInterrupted = Atomic(false)

/// Ctrl-C and the time limit, as the search asks for them.
struct Watch {
  private let deadline: ContinuousClock.Instant?

  /// Starts watching; from here on the first Ctrl-C asks to stop, and a second ends the process.
  ///
  /// - Parameters:
  ///   - timeLimitSeconds: nil for none.
  ///   - heedsTermination: whether SIGTERM counts as Ctrl-C, as which launchers such as mpirun hand it on.
  init(timeLimitSeconds: Double?, heedsTermination: Bool = false) {
    deadline = timeLimitSeconds.map { ContinuousClock.now + .seconds($0) }
    signal(SIGINT) { _ in
      isInterrupted.store(true, ordering: .relaxed)
      signal(SIGINT, SIG_DFL)
    }
    if heedsTermination { signal(SIGTERM) { _ in isInterrupted.store(true, ordering: .relaxed) } }
    // Who starts programs from a thread that takes no signals hands that on; then Ctrl-C would wait for ever.
    var interrupt = sigset_t()
    sigemptyset(&interrupt)
    sigaddset(&interrupt, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &interrupt, nil)
  }

  /// Why to stop, if there is a reason.
  var interruption: PlanSearch.Interruption? {
    if isInterrupted.load(ordering: .relaxed) { return .user }
    if let deadline, ContinuousClock.now >= deadline { return .timeLimit }
    return nil
  }
}
