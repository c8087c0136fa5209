import Foundation
import Synchronization

/// Whether Ctrl-C was pressed. Lock-free, so that a signal handler may set it.
private let isInterrupted = Atomic(false)

/// Ctrl-C, as the search and the measuring of links ask for it.
struct Interruption {
  /// Starts watching; from here on the first Ctrl-C asks to stop, and a second ends the process.
  ///
  /// - Parameter heedsTermination: whether SIGTERM counts as Ctrl-C: launchers such
  ///   as mpirun pass Ctrl-C on as SIGTERM.
  init(heedsTermination: Bool = false) {
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

  /// Whether to stop.
  var isRequested: Bool { isInterrupted.load(ordering: .relaxed) }
}
