import Foundation
import Synchronization

/// Values that are worked out beside each other, each into a place of its own, so that the order of threads leaves no trace.
///
/// Threads take the next place as they come free: what takes long holds up nothing but itself.
///
/// - Parameters:
///   - count: how many there are.
///   - threadCount: threads that work; with one, all is done on the caller's.
///   - work: what gives the value of a place, on any thread.
func valuesBesideEachOther<Value: Sendable>(
  _ count: Int, threadCount: Int, _ work: @Sendable (_ place: Int) -> Value
) -> [Value] {
  guard threadCount > 1, count > 1 else { return (0..<count).map(work) }
  let values = Mutex([Value?](repeating: nil, count: count))
  let next = Atomic(0)
  withoutActuallyEscaping(work) { work in
    DispatchQueue.concurrentPerform(iterations: min(threadCount, count)) { _ in
      while true {
        let place = next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard place < count else { return }
        let value = work(place)
        values.withLock { $0[place] = value }
      }
    }
  }
  // Every place below the count was taken by some thread, and all threads are done.
  return values.withLock { $0 }.compactMap { $0 }
}
