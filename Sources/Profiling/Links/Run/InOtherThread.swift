import Foundation
import Synchronization

/// A piece of blocking work on a thread of its own, whose outcome is waited for.
final class InOtherThread<Value: Sendable>: Sendable {
  private let outcome = Mutex<Result<Value, LinkFailure>?>(nil)
  private let done = DispatchSemaphore(value: 0)

  /// - Parameter tell: called on that thread when the work is over.
  init(
    _ work: @escaping @Sendable () throws(LinkFailure) -> Value, whenOver tell: @escaping @Sendable () -> Void = {}
  ) {
    Thread.detachNewThread { [self] in
      let result: Result<Value, LinkFailure>
      do throws(LinkFailure) {
        result = .success(try work())
      } catch {
        result = .failure(error)
      }
      outcome.withLock { $0 = result }
      done.signal()
      tell()
    }
  }

  /// Whether ``value()`` would not wait.
  var isOver: Bool { outcome.withLock { $0 != nil } }

  /// Waits for the work, which bounds its own waiting; to be asked for once.
  func value() throws(LinkFailure) -> Value {
    done.wait()
    guard let result = outcome.withLock({ $0 }) else { throw .cancelled }
    return try result.get()
  }
}
