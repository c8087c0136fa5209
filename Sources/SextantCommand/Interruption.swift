import Foundation
import JSONText
import Synchronization

/// When a stop was first asked for, in nanoseconds of the monotonic clock; 0 before that. Lock-free, so that a signal
/// handler may set it.
private let firstRequest = Atomic<UInt64>(0)

/// A request to stop, as the search and the measuring of links ask for it: Ctrl-C (SIGINT), a scheduler or launcher that
/// ends the job (SIGTERM), or a terminal that was closed (SIGHUP).
struct Interruption {
  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Signals that arrive within this time of the first are the same request, nanoseconds: `timeout` sends its signal to
  /// the command and then to the command's group, and a terminal that closes says so twice, once through the shell.
  private static let sameRequestNanoseconds: UInt64 = 500_000_000

  /// Starts watching; from here on the first signal asks to stop, and a second one ends the process as it would have
  /// without this.
  ///
  /// A signal that is ignored at the start stays ignored: `nohup` asks for that, and so do scripts for their background
  /// jobs, which Ctrl-C is not meant for.
  init() {
    // A global is made at its first use, which must not be in the handler.
    _ = (firstRequest.load(ordering: .relaxed), HeldSignals.isEnding)
    var watched = sigset_t()
    sigemptyset(&watched)
    for number in Self.signals {
      var present = sigaction()
      guard sigaction(number, nil, &present) == 0, !Self.ignores(present) else { continue }
      sigaddset(&watched, number)
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { Self.request($0) }
      sigaction(number, &action, nil)
    }
    // Who starts programs from a thread that takes no signals hands that on; then a stop would wait for ever.
    pthread_sigmask(SIG_UNBLOCK, &watched, nil)
  }

  /// Whether to stop.
  var isRequested: Bool { firstRequest.load(ordering: .relaxed) > 0 }

  /// What happens at a signal; it may interrupt anything, so it calls only what POSIX allows in handlers.
  private static func request(_ number: CInt) {
    let code = errno
    defer { errno = code }
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    let now = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    let (isFirst, first) = firstRequest.compareExchange(expected: 0, desired: now, ordering: .relaxed)
    guard !isFirst, now > first + sameRequestNanoseconds else { return }
    HeldSignals.endProcess(by: number)
  }

  private static func ignores(_ action: sigaction) -> Bool {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: UInt.self) == unsafeBitCast(SIG_IGN, to: UInt.self)
  }
}
