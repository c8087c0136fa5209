import Foundation

/// The channels between ranks, and who is to be woken when something comes.
///
/// `@unchecked Sendable`: all state is read and written under `lock` only; semaphores may be signalled from any thread.
final class Network: @unchecked Sendable {
  private let lock = NSLock()
  private var mailboxes: [Mailbox<Message>]
  /// Ranks that got something since they were last taken off, in that order.
  private var woken: [Int] = []
  private var isWoken: [Bool]
  /// Threads: what each rank's thread sleeps on, and whether it does.
  private let semaphores: [DispatchSemaphore]
  private var isAsleep: [Bool]
  private var asleepCount = 0
  private var endedCount = 0
  private var isStopped = false

  init(rankCount: Int, usesThreads: Bool) {
    mailboxes = [Mailbox<Message>](repeating: Mailbox(), count: rankCount)
    isWoken = [Bool](repeating: false, count: rankCount)
    semaphores = (0..<(usesThreads ? rankCount : 0)).map { _ in DispatchSemaphore(value: 0) }
    isAsleep = isWoken
  }

  func put(_ message: Message, from sender: Int, to receiver: Int, stream: Int) {
    lock.withLock {
      mailboxes[receiver].put(message, from: sender, stream: stream)
      if isAsleep[receiver] { wake(receiver) }
      guard !isWoken[receiver] else { return }
      isWoken[receiver] = true
      if semaphores.isEmpty { woken.append(receiver) }
    }
  }

  func take(at receiver: Int, from sender: Int, stream: Int) -> Message? {
    lock.withLock { mailboxes[receiver].take(from: sender, stream: stream) }
  }

  /// Messages to a rank that nobody took.
  func leftOverCount(at rank: Int) -> Int { lock.withLock { mailboxes[rank].count } }

  // MARK: Stepping

  /// The ranks that got something new since they were last asked for.
  func nextWoken() -> [Int] {
    lock.withLock {
      defer { woken.removeAll(keepingCapacity: true) }
      for rank in woken { isWoken[rank] = false }
      return woken
    }
  }

  // MARK: Threads

  /// Sleeps until something new comes for a rank that cannot go on; false when nothing will: all sleep or have ended,
  /// or the run was stopped.
  func sleep(_ rank: Int) -> Bool {
    let mustWait = lock.withLock { () -> Bool in
      if isStopped { return false }
      if isWoken[rank] {
        isWoken[rank] = false
        return false
      }
      isAsleep[rank] = true
      asleepCount += 1
      if asleepCount + endedCount == mailboxes.count { stopAll() }
      return true
    }
    if mustWait { semaphores[rank].wait() }
    return lock.withLock {
      isWoken[rank] = false
      return !isStopped
    }
  }

  /// Says that a rank's program has ended; it sleeps no more.
  func end() {
    lock.withLock {
      endedCount += 1
      if asleepCount > 0, asleepCount + endedCount == mailboxes.count { stopAll() }
    }
  }

  /// Wakes everyone for good.
  func stop() { lock.withLock { stopAll() } }

  /// Makes ready for another iteration, when no thread runs.
  func beginIteration() {
    lock.withLock {
      endedCount = 0
      for rank in isWoken.indices { isWoken[rank] = false }
      woken = []
    }
  }

  private func wake(_ rank: Int) {
    isAsleep[rank] = false
    asleepCount -= 1
    semaphores[rank].signal()
  }

  private func stopAll() {
    isStopped = true
    for rank in isAsleep.indices where isAsleep[rank] { wake(rank) }
  }
}
