import Training

/// A rank that cannot go on before another sends.
struct Waiting: Sendable, Equatable {
  let rank: Int
  /// Index into the rank's program.
  let step: Int
  let what: ProgramStep
  /// The rank that is to send.
  let on: Int

  init(rank: Int, step: Int, what: ProgramStep, on: Int) {
    self.rank = rank
    self.step = step
    self.what = what
    self.on = on
  }
}

/// A message that belongs to another step than the one that takes it.
struct Mismatch: Sendable, Equatable {
  let rank: Int
  let step: Int
  let what: ProgramStep
  let sender: Int
  let senderStep: Int
}

/// Why programs could not be run to their ends.
enum ExecutionFailure: Error, Sendable, Equatable {
  /// Ranks wait for each other in a circle, or for one that has ended: `chain` leads from a rank to the one it waits
  /// for; the last waits for `last`, which is in the chain or has ended.
  case deadlock(chain: [Waiting], last: Int, lastHasEnded: Bool)
  /// Two ranks do not run the same operation with each other.
  case mismatch(Mismatch)
  /// A tensor is of another size than the step says.
  case size(rank: Int, step: Int, what: ProgramStep, expected: Int, found: Int)
  /// A rank takes part in a collective of a group that it is not in.
  case notAMember(rank: Int, step: Int, what: ProgramStep)
  /// A row has come to a rank that has none of the experts which it is for.
  case misrouted(rank: Int, step: Int, what: ProgramStep, sender: Int, experts: [Int])
  /// Messages that nobody took.
  case leftOver(rank: Int, messageCount: Int)
}

extension ExecutionFailure: CustomStringConvertible {
  var description: String {
    switch self {
    case .deadlock(let chain, let last, let hasEnded):
      "deadlock: "
        + chain.map { "rank \($0.rank) at step \($0.step) (\($0.what)) waits for rank \($0.on)" }
        .joined(separator: ", ")
        + (hasEnded ? ", and rank \(last) has ended" : "")
    case .mismatch(let it):
      "rank \(it.rank) at step \(it.step) (\(it.what)) got what rank \(it.sender) sent for another operation, at its "
        + "step \(it.senderStep)"
    case .size(let rank, let step, let what, let expected, let found):
      "rank \(rank) at step \(step) (\(what)): expected \(expected) elements, found \(found)"
    case .notAMember(let rank, let step, let what):
      "rank \(rank) at step \(step) (\(what)) is not in the group"
    case .misrouted(let rank, let step, let what, let sender, let experts):
      "rank \(rank) at step \(step) (\(what)) got a row from rank \(sender) that does not belong there"
        + (experts.isEmpty ? "" : ": it is for experts \(experts.map(String.init).joined(separator: ", "))")
    case .leftOver(let rank, let count):
      "\(count) messages to rank \(rank) were never taken"
    }
  }
}

extension ExecutionFailure {
  /// Follows who waits for whom until it meets a rank again, or one that waits for nobody.
  static func deadlock<M: Machine>(among ranks: [RankRunner<M>], on medium: M.Medium) -> Self {
    var chain: [Waiting] = []
    var place: [Int: Int] = [:]
    var next = ranks.first { $0.waiting(on: medium) != nil }?.number
    while let rank = next, place[rank] == nil,
      let waiting = ranks.first(where: { $0.number == rank })?.waiting(on: medium)
    {
      place[rank] = chain.count
      chain.append(waiting)
      next = waiting.on
    }
    let last = next ?? 0
    // What leads into the circle is not part of it.
    if let start = place[last] { chain.removeFirst(start) }
    return .deadlock(chain: chain, last: last, lastHasEnded: place[last] == nil)
  }
}
