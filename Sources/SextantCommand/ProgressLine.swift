import Foundation

/// A progress bar on standard error: only on a terminal, and only once the work has taken a second.
struct ProgressLine {
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let start = ContinuousClock.now
  private var lastShown: ContinuousClock.Instant?

  /// Shows how much is done, ten times a second at most.
  mutating func show(done: Int, of total: Int, doing what: String) {
    guard isTerminal, total > 0 else { return }
    let now = ContinuousClock.now
    guard now - start > .seconds(1), lastShown.map({ now - $0 > .milliseconds(100) }) ?? true else { return }
    lastShown = now
    let width = 30
    let filled = min(width, done * width / total)
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: width - filled)
    StandardStreams.write("\r\(what) [\(bar)] \(done) of \(total)", to: STDERR_FILENO)
  }

  /// Removes the bar.
  func clear() {
    guard lastShown != nil else { return }
    StandardStreams.write("\r\u{1B}[K", to: STDERR_FILENO)
  }
}
