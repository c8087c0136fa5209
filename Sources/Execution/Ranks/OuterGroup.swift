import Documents
import Training

/// Workers that meet for outer steps, leave and join: the smallest group that keeps what it holds in common.
///
/// Every worker has a copy of the same state, anchor and momentum, which goes on by one revision with every outer step. A
/// change of the group, and a sum over it, take the consent of every member, which is asked for its revision and the hash of
/// its state (PCCL, Keiblinger et al. 2025): what does not agree is refused, and nobody has moved.
struct OuterGroup: Sendable {
  /// What all members hold the same of.
  struct State: Sendable, Equatable {
    private(set) var revision: Int
    private(set) var outer: OuterState
    private(set) var steps = AnchorSteps()

    init(anchor: [Float], settings: OuterOptimizer) {
      revision = 0
      outer = OuterState(anchor: anchor, settings: settings)
    }

    var anchor: [Float] { outer.anchor }

    /// Of revision and every number, to the bit. It tells apart what has drifted, and withstands no adversary.
    var hash: UInt64 {
      var hash = CounterHash(seed: 0).appending(revision).appending(outer.anchor.count)
      for value in outer.anchor + outer.momentum + [steps.lastSquares] { hash = hash.appending(Int(value.bitPattern)) }
      return hash.bits
    }

    /// One outer step by the sum of what so many workers have moved by.
    mutating func step(bySum sum: [Float], workerCount: Int, settings: OuterOptimizer) {
      let penalty = steps.penalty(settings.penalty)
      let moved = outer.step(bySum: sum[...], workerCount: workerCount, penalty: penalty, settings: settings)
      if settings.penalty.asksForAnchorStep {
        steps.lastSquares = Float(moved.reduce(0.0) { $0 + Double($1) * Double($1) })
      }
      revision += 1
    }
  }

  /// A worker that takes part.
  struct Member: Sendable, Equatable {
    let name: Int
    var state: State
  }

  /// Why a worker is not taken into the group, or a vote of it failed.
  enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// A worker has taken more or fewer outer steps than the group.
    case revision(worker: Int, found: Int, expected: Int)
    /// A worker is at the group's revision with other numbers.
    case state(worker: Int)
    case known(worker: Int)
    case unknown(worker: Int)
    /// What a worker has to add has another size than the state.
    case size(worker: Int, found: Int, expected: Int)

    var description: String {
      switch self {
      case .revision(let worker, let found, let expected):
        "worker \(worker) is at revision \(found), the group at \(expected)"
      case .state(let worker): "worker \(worker) has another state than the group, of the same revision"
      case .known(let worker): "worker \(worker) is in the group"
      case .unknown(let worker): "worker \(worker) is not in the group"
      case .size(let worker, let found, let expected):
        "worker \(worker) adds \(found) numbers to a sum of \(expected)"
      }
    }
  }

  /// Where a worker goes away.
  struct Departure: Sendable {
    let worker: Int
    /// After so many of the messages of a sum, of all workers, have arrived.
    let messageCount: Int
  }

  /// How a sum over the group ended.
  enum Outcome: Sendable, Equatable {
    /// Every member has this.
    case sum([Float], workerCount: Int)
    /// A member went away before all had it: nobody has anything of it, and the others may try again.
    case discarded(leaving: Int)
  }

  let settings: OuterOptimizer
  let format: OuterStep.Format
  /// By name, ascending.
  private(set) var members: [Member]

  /// A group of workers that begin together.
  init(names: [Int], anchor: [Float], settings: OuterOptimizer, format: OuterStep.Format = .fp32) {
    self.settings = settings
    self.format = format
    members = names.sorted().map { Member(name: $0, state: State(anchor: anchor, settings: settings)) }
  }

  /// What most members have: the first of them where several are as many.
  private var canonical: State? {
    var votes: [UInt64: Int] = [:]
    for member in members { votes[member.state.hash, default: 0] += 1 }
    return members.max { (votes[$0.state.hash] ?? 0, -$0.name) < (votes[$1.state.hash] ?? 0, -$1.name) }?.state
  }

  // MARK: Members

  /// The state that a joiner has to be brought to, copied from a member as it is.
  func sharedState() throws(Refusal) -> State {
    guard let state = canonical else { throw .unknown(worker: 0) }
    try vote(state)
    return state
  }

  /// Takes a worker in, if its state is the group's to the bit.
  mutating func join(_ worker: Member) throws(Refusal) {
    guard !members.contains(where: { $0.name == worker.name }) else { throw .known(worker: worker.name) }
    if let state = canonical {
      try vote(state)
      try Self.compare(worker, with: state)
    }
    members.append(worker)
    members.sort { $0.name < $1.name }
  }

  mutating func leave(_ name: Int) throws(Refusal) {
    guard let index = members.firstIndex(where: { $0.name == name }) else { throw .unknown(worker: name) }
    members.remove(at: index)
  }

  /// That every member is where the group is.
  private func vote(_ state: State) throws(Refusal) {
    for member in members { try Self.compare(member, with: state) }
  }

  private static func compare(_ member: Member, with state: State) throws(Refusal) {
    guard member.state.revision == state.revision else {
      throw .revision(worker: member.name, found: member.state.revision, expected: state.revision)
    }
    guard member.state.hash == state.hash else { throw .state(worker: member.name) }
  }

  // MARK: Rounds

  /// Sums what all members have moved by, message by message as the collective of so many workers has it; one that goes away
  /// in the course of it is no member any more.
  ///
  /// - Parameter progress: by name, of every member. It stays as it is, whatever comes of the sum.
  mutating func sum(_ progress: [Int: [Float]], departure: Departure? = nil) throws(Refusal) -> Outcome {
    guard let state = canonical else { throw .unknown(worker: 0) }
    try vote(state)
    var inputs: [[Float]] = []
    for member in members {
      let own = progress[member.name] ?? []
      guard own.count == state.anchor.count else {
        throw .size(worker: member.name, found: own.count, expected: state.anchor.count)
      }
      inputs.append(own)
    }
    var limit: Int?
    if let departure {
      guard members.contains(where: { $0.name == departure.worker }) else { throw .unknown(worker: departure.worker) }
      limit = departure.messageCount
    }
    let results = WorkerSum(workerCount: members.count, elementCount: state.anchor.count, format: format)
      .results(of: inputs, messageLimit: limit)
    guard let results else {
      let leaver = departure?.worker ?? 0
      try leave(leaver)
      return .discarded(leaving: leaver)
    }
    // Whoever goes away after the last message has taken part.
    if let departure { try leave(departure.worker) }
    // All have the same, to the bit: their states go on together.
    precondition(results.allSatisfy { $0 == results[0] }, "members of a sum have different results")
    return .sum(results[0], workerCount: results.count)
  }

  /// One outer step of every member, by a sum over so many workers.
  ///
  /// - Parameter revision: that the step leads to. One that is not the next is refused.
  mutating func step(bySum sum: [Float], workerCount: Int, to revision: Int) throws(Refusal) {
    for member in members where member.state.revision + 1 != revision {
      throw .revision(worker: member.name, found: member.state.revision, expected: revision - 1)
    }
    for index in members.indices {
      members[index].state.step(bySum: sum, workerCount: workerCount, settings: settings)
    }
  }
}
