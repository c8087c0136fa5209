import Glibc
import Synchronization

/// A signal that ends the process once nothing unfinished lies on the disk; 0 for none. Lock-free, for handlers.
private let heldSignal = Atomic<CInt>(0)

/// How many files and folders are being written. Lock-free, for handlers.
private let writingCount = Atomic<Int>(0)

/// The signals that have ``HeldSignals/handler`` while something is written.
private let handledSignals = Mutex<[CInt]>([])

/// Signals that would end the process while a temporary file or folder exists: they wait until it is gone or has its name.
///
/// Only signals whose default is to end the process, and that have no other handler, are held, and only while something
/// is written. What is written is abandoned at the next step, so that nobody waits for more than one call of the system.
/// SIGKILL cannot be held; faults of the program itself, such as SIGSEGV, are not.
package enum HeldSignals {
  private static let signals =
    [
      SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ,
      SIGVTALRM, SIGPROF, SIGPOLL, SIGPWR,
    ] + Array(__libc_current_sigrtmin()...__libc_current_sigrtmax())

  private static let handler: @convention(c) (CInt) -> Void = { HeldSignals.endProcess(by: $0) }

  /// Whether a signal waits for what is being written to be abandoned.
  package static var isEnding: Bool {
    // A global is made at its first use, which must not be in a handler: both are used here.
    writingCount.load(ordering: .sequentiallyConsistent) >= 0
      && heldSignal.load(ordering: .sequentiallyConsistent) != 0
  }

  /// Ends the process as a signal does by default: at once, or when what is being written is gone.
  ///
  /// A signal handler may call it, once ``isEnding`` was asked outside of one.
  package static func endProcess(by signal: CInt) {
    heldSignal.store(signal, ordering: .sequentiallyConsistent)
    // Of this and the last writer, who looks the other way round, at least one sees that the other was there.
    if writingCount.load(ordering: .sequentiallyConsistent) == 0 { raiseDefault(signal) }
  }

  /// Holds signals back while something is written.
  static func whileWriting<Failure: Error>(_ body: () throws(Failure) -> Void) throws(Failure) {
    begin()
    defer { end() }
    try body()
  }

  private static func begin() {
    _ = isEnding
    handledSignals.withLock { handled in
      guard writingCount.add(1, ordering: .sequentiallyConsistent).oldValue == 0 else { return }
      for number in signals where isHandled(number, by: SIG_DFL) {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = handler
        if sigaction(number, &action, nil) == 0 { handled.append(number) }
      }
    }
  }

  private static func end() {
    let isLast = handledSignals.withLock { handled in
      guard writingCount.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 else { return false }
      // Whoever set another handler meanwhile keeps it.
      for number in handled where isHandled(number, by: handler) { signal(number, SIG_DFL) }
      handled = []
      return true
    }
    let held = isLast ? heldSignal.load(ordering: .sequentiallyConsistent) : 0
    if held != 0 { raiseDefault(held) }
  }

  /// The corresponding C function is `raise`.
  private static func raiseDefault(_ number: CInt) {
    signal(number, SIG_DFL)
    var only = sigset_t()
    sigemptyset(&only)
    sigaddset(&only, number)
    raise(number)
    pthread_sigmask(SIG_UNBLOCK, &only, nil)
  }

  private static func isHandled(_ number: CInt, by handler: sighandler_t?) -> Bool {
    var present = sigaction()
    return sigaction(number, nil, &present) == 0
      && unsafeBitCast(present.__sigaction_handler.sa_handler, to: UInt.self) == unsafeBitCast(handler, to: UInt.self)
  }
}
