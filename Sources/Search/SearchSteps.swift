import Synchronization

/// The steps of a search: the lattice of an order of the nodes priced, a strategy completed.
///
/// A step is done or not done: one in whose middle the search is stopped counts for nothing. So the number of steps
/// says where a search was stopped, whatever the speed of the machine, and it can be repeated up to there.
struct SearchSteps {
  /// Steps that were done.
  private(set) var count = 0
  /// What stopped the search, once something has.
  private(set) var stop: PlanSearch.Interruption?

  private let interruption: @Sendable () -> PlanSearch.Interruption?
  private let repeatedStop: (stepCount: Int, interruption: PlanSearch.Interruption)?

  /// - Parameters:
  ///   - interruption: what stops the search from outside; asked before every step, and often within.
  ///   - repeatedStop: after how many steps another search was stopped, by what; this one stops there, and nowhere else.
  init(
    interruption: @escaping @Sendable () -> PlanSearch.Interruption?,
    repeatedStop: (stepCount: Int, interruption: PlanSearch.Interruption)? = nil
  ) {
    self.interruption = interruption
    self.repeatedStop = repeatedStop
  }

  /// What is asked in the middle of a step: nobody where another search is repeated.
  private var watch: StopWatch {
    repeatedStop == nil ? StopWatch { [interruption] in interruption() != nil } : .never
  }

  /// Does a step; nil when the search is stopped before its end.
  mutating func take<Value>(_ work: (StopWatch) throws(Stopped) -> Value) -> Value? {
    if stop == nil {
      stop = repeatedStop.map { count >= $0.stepCount ? $0.interruption : nil } ?? interruption()
    }
    guard stop == nil else { return nil }
    do throws(Stopped) {
      let value = try work(watch)
      count += 1
      return value
    } catch {
      stop = interruption() ?? .user
      return nil
    }
  }

  /// Does steps beside each other, and gives what those gave that come before the first that was stopped.
  ///
  /// - Parameter work: a step, by its place among them; on any thread.
  mutating func takeBesideEachOther<Value: Sendable>(
    _ stepCount: Int, threadCount: Int, _ work: @Sendable (_ place: Int, StopWatch) throws(Stopped) -> Value
  ) -> [Value] {
    guard stop == nil else { return [] }
    let repeated = repeatedStop.map { max(0, min(stepCount, $0.stepCount - count)) } ?? stepCount
    let watch = watch
    let isOver = Atomic(false)
    let values = valuesBesideEachOther(repeated, threadCount: threadCount) { place -> Value? in
      // Of what comes after a step that was stopped nothing is wanted.
      if isOver.load(ordering: .relaxed) { return nil }
      let value = try? work(place, watch)
      if value == nil { isOver.store(true, ordering: .relaxed) }
      return value
    }
    let done = values.prefix { $0 != nil }.compactMap { $0 }
    count += done.count
    if done.count < stepCount { stop = repeatedStop?.interruption ?? interruption() ?? .user }
    return done
  }
}

/// The search was stopped: what is thrown from the middle of a step.
struct Stopped: Error {}

/// Asked in the middle of a step whether to give it up.
struct StopWatch: Sendable {
  private let isStopped: @Sendable () -> Bool

  /// - Parameter isStopped: asked on any thread.
  init(isStopped: @escaping @Sendable () -> Bool) { self.isStopped = isStopped }

  /// Of work that nobody stops.
  static let never = StopWatch { false }

  /// Whether to give up.
  var isRequested: Bool { isStopped() }

  /// - Throws: when the step is to be given up. It costs about a look at the clock: ask every 10 µs or more.
  func check() throws(Stopped) { if isStopped() { throw Stopped() } }
}
