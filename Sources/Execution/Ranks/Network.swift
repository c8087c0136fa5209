import Foundation

/// The channels between ranks, and who is to be woken when something comes.
///
/// A message is there at once, or so many turns of the ranks later as is asked for: what is computed may not depend on it.
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
  /// Where ranks take turns, and messages are on their way for some of these.
  private var late: LateMail?

  /// How many turns a message is on its way.
  typealias Delay = @Sendable (_ sender: Int, _ receiver: Int, _ stream: Int, _ number: Int) -> Int

  /// - Parameter delay: of the message of a number between two ranks on a stream; only where ranks take turns.
  init(rankCount: Int, usesThreads: Bool, delay: Delay? = nil) {
    precondition(delay == nil || !usesThreads, "threads have no turns that a message could wait for")
    late = delay.map(LateMail.init)
    mailboxes = [Mailbox<Message>](repeating: Mailbox(), count: rankCount)
    isWoken = [Bool](repeating: false, count: rankCount)
    semaphores = (0..<(usesThreads ? rankCount : 0)).map { _ in DispatchSemaphore(value: 0) }
    isAsleep = isWoken
  }

  func put(_ message: Message, from sender: Int, to receiver: Int, stream: Int) {
    lock.withLock {
      if late?.hold(message, from: sender, to: receiver, stream: stream) == true { return }
      deliver(message, from: sender, to: receiver, stream: stream)
    }
  }

  private func deliver(_ message: Message, from sender: Int, to receiver: Int, stream: Int) {
    mailboxes[receiver].put(message, from: sender, stream: stream)
    if isAsleep[receiver] { wake(receiver) }
    guard !isWoken[receiver] else { return }
    isWoken[receiver] = true
    if semaphores.isEmpty { woken.append(receiver) }
  }

  func take(at receiver: Int, from sender: Int, stream: Int) -> Message? {
    lock.withLock { mailboxes[receiver].take(from: sender, stream: stream) }
  }

  /// Messages to a rank that nobody took.
  func leftOverCount(at rank: Int) -> Int { lock.withLock { mailboxes[rank].count } }

  // MARK: Stepping

  /// Turns of the iteration, with those in which everyone has waited.
  var turnCount: Int { lock.withLock { turn } }
  private var turn = 0

  /// The ranks that got something new since they were last asked for.
  func nextWoken() -> [Int] {
    lock.withLock {
      turn += 1
      if let due = late?.nextTurn, woken.isEmpty { turn = max(turn, due) }
      for letter in late?.arrivals(by: turn) ?? [] {
        deliver(letter.message, from: letter.sender, to: letter.receiver, stream: letter.stream)
      }
      late?.turn = turn
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
      turn = 0
      late?.turn = 0
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
