import Testing
import Training

@testable import Documents
@testable import Execution

/// Check E.6: workers that leave in the middle of a sum, and workers that join.
@Suite struct OuterGroupTests {
  /// What workers have moved by in a round, the same for the same names.
  private static func progress(_ names: [Int], round: Int, count: Int = 37) -> [Int: [Float]] {
    Dictionary(
      uniqueKeysWithValues: names.map { name in
        let hash = CounterHash(seed: 5).appending(name).appending(round)
        return (name, (0..<count).map { hash.appending($0).unitInterval - 0.4 })
      })
  }

  private static let anchor = (0..<37).map { Float($0) / 8 }
  private static let settings = OuterOptimizer(momentum: 0.5, learningRate: 0.7, penalty: .gapAware(1))

  private static func group(_ names: [Int], format: OuterStep.Format = .fp32) -> OuterGroup {
    OuterGroup(names: names, anchor: anchor, settings: settings, format: format)
  }

  private static func round(_ group: inout OuterGroup, _ round: Int) throws {
    let outcome = try group.sum(progress(group.members.map(\.name), round: round))
    guard case .sum(let sum, let count) = outcome else { throw OuterGroup.Refusal.unknown(worker: -1) }
    try group.step(bySum: sum, workerCount: count, to: round + 1)
  }

  @Test(arguments: OuterStep.Format.allCases)
  func membersStayTheSameToTheBit(format: OuterStep.Format) throws {
    var group = Self.group([0, 1, 2, 3], format: format)
    for round in 0..<4 {
      try Self.round(&group, round)
      for member in group.members {
        #expect(member.state == group.members[0].state && member.state.hash == group.members[0].state.hash)
        #expect(member.state.revision == round + 1)
      }
    }
    #expect(group.members[0].state.anchor != Self.anchor)
  }

  /// Wherever a worker goes away in the course of a sum: nobody has anything of it, what the others had is as it was, and
  /// those that are left agree, to the bit, with a group that never had the other.
  @Test(arguments: OuterStep.Format.allCases)
  func whoLeavesInTheMiddleLeavesNothing(format: OuterStep.Format) throws {
    let names = [0, 1, 2, 3]
    var before = Self.group(names, format: format)
    try Self.round(&before, 0)
    var messages = 0
    while true {
      for leaver in names {
        var group = before
        let progress = Self.progress(names, round: 1), kept = progress
        let outcome = try group.sum(progress, departure: .init(worker: leaver, messageCount: messages))
        guard outcome == .discarded(leaving: leaver) else {
          // All have arrived: the round counts, with all four.
          guard case .sum(_, let count) = outcome else { return }
          #expect(count == 4 && messages > 8)
          return
        }
        #expect(progress == kept)
        let others = names.filter { $0 != leaver }
        #expect(group.members.map(\.name) == others)
        #expect(group.members.map(\.state) == before.members.filter { $0.name != leaver }.map(\.state))
        try Self.round(&group, 1)
        // A fresh sum of as many.
        var fresh = before
        try fresh.leave(leaver)
        try Self.round(&fresh, 1)
        #expect(group.members == fresh.members, "\(leaver) after \(messages) messages")
        for member in group.members { #expect(member.state.hash == group.members[0].state.hash) }
      }
      messages += 1
    }
  }

  /// All but one may go away, one after the other.
  @Test func aGroupShrinksToOne() throws {
    var group = Self.group([0, 1, 2])
    for (round, leaver) in [2, 0].enumerated() {
      let progress = Self.progress(group.members.map(\.name), round: round)
      #expect(try group.sum(progress, departure: .init(worker: leaver, messageCount: 1)) == .discarded(leaving: leaver))
      try Self.round(&group, round)
    }
    #expect(group.members.map(\.name) == [1] && group.members[0].state.revision == 2)
  }

  /// A joiner's state is the group's before it adds anything, and the others go on as if nobody had come.
  @Test func aJoinerMustHaveTheGroupsState() throws {
    var group = Self.group([0, 1, 2])
    try Self.round(&group, 0)
    try Self.round(&group, 1)
    let fresh = OuterGroup.State(anchor: Self.anchor, settings: Self.settings)
    #expect(throws: OuterGroup.Refusal.revision(worker: 7, found: 0, expected: 2)) {
      try group.join(OuterGroup.Member(name: 7, state: fresh))
    }
    // At the same revision by another way.
    var other = Self.group([5, 6])
    try Self.round(&other, 0)
    try Self.round(&other, 1)
    #expect(throws: OuterGroup.Refusal.state(worker: 7)) {
      try group.join(OuterGroup.Member(name: 7, state: other.members[0].state))
    }
    #expect(group.members.map(\.name) == [0, 1, 2])

    let before = group.members.map(\.state)
    var joined = group
    try joined.join(OuterGroup.Member(name: 7, state: group.sharedState()))
    #expect(joined.members.map(\.name) == [0, 1, 2, 7])
    #expect(joined.members.prefix(3).map(\.state) == before)
    #expect(joined.members[3].state.hash == before[0].hash)
    // One that adds nothing leaves the sum as it is; its arrival alone changes no trajectory.
    var still = Self.progress([0, 1, 2], round: 2)
    guard case .sum(let without, _) = try group.sum(still) else { return }
    still[7] = [Float](repeating: 0, count: 37)
    guard case .sum(let with, let count) = try joined.sum(still) else { return }
    #expect(count == 4)
    for (mine, theirs) in zip(with, without) { #expect(abs(mine - theirs) < 1e-5) }
    // And it goes on with the others.
    try Self.round(&joined, 2)
    for member in joined.members { #expect(member.state == joined.members[0].state) }
    #expect(throws: OuterGroup.Refusal.known(worker: 7)) { try joined.join(joined.members[0].with(name: 7)) }
  }

  /// Late steps have a sum in flight that a joiner had no part in: it is brought up to date once more when that is done.
  @Test func aJoinerOfLateRoundsSynchronisesTwice() throws {
    var group = Self.group([0, 1, 2])
    try Self.round(&group, 0)
    // In flight while a worker synchronises.
    let inFlight = try group.sum(Self.progress([0, 1, 2], round: 1))
    let first = try group.sharedState()
    guard case .sum(let sum, let count) = inFlight else { return }
    try group.step(bySum: sum, workerCount: count, to: 2)
    #expect(throws: OuterGroup.Refusal.revision(worker: 3, found: 1, expected: 2)) {
      try group.join(OuterGroup.Member(name: 3, state: first))
    }
    try group.join(OuterGroup.Member(name: 3, state: group.sharedState()))
    try Self.round(&group, 2)
    for member in group.members { #expect(member.state == group.members[0].state) }
  }

  @Test func aJumpOfTheRevisionIsRefused() throws {
    var group = Self.group([0, 1])
    guard case .sum(let sum, let count) = try group.sum(Self.progress([0, 1], round: 0)) else { return }
    for revision in [0, 2, 3] {
      #expect(throws: OuterGroup.Refusal.self) { try group.step(bySum: sum, workerCount: count, to: revision) }
    }
    #expect(group.members.allSatisfy { $0.state.revision == 0 && $0.state.anchor == Self.anchor })
    try group.step(bySum: sum, workerCount: count, to: 1)
    #expect(throws: OuterGroup.Refusal.revision(worker: 0, found: 1, expected: 0)) {
      try group.step(bySum: sum, workerCount: count, to: 1)
    }
  }

  /// One bit is enough, and nobody has moved.
  @Test func aMemberThatHasDriftedIsFound() throws {
    var anchor = Self.anchor
    anchor[20] = anchor[20].nextUp
    let group = Self.group([0, 1, 2])
    var drifted = group
    try drifted.leave(2)
    let other = OuterGroup.Member(name: 2, state: OuterGroup.State(anchor: anchor, settings: Self.settings))
    #expect(other.state.hash != group.members[0].state.hash)
    #expect(throws: OuterGroup.Refusal.state(worker: 2)) { try drifted.join(other) }
    #expect(throws: OuterGroup.Refusal.size(worker: 1, found: 0, expected: 37)) {
      try drifted.sum([0: Self.anchor])
    }
  }

  /// A worker's name decides only where it stands in the group.
  @Test func namesDoNotMatter() throws {
    var group = Self.group([0, 1, 2]), other = Self.group([4, 6, 9])
    let progress = Self.progress([0, 1, 2], round: 0)
    let renamed = Dictionary(uniqueKeysWithValues: zip([4, 6, 9], [0, 1, 2]).map { ($0, progress[$1] ?? []) })
    #expect(try group.sum(progress) == other.sum(renamed))
  }

  /// The group's sum is the executor's, over the same ring.
  @Test(arguments: OuterStep.Format.allCases)
  func sumsAreThoseOfRanks(format: OuterStep.Format) throws {
    var layout = OuterLayout(workers: 3, step: OuterStep(period: 1, format: format), rule: .sgd, learningRate: 0.1)
    layout.route = .ring
    layout.outer = OuterOptimizer(momentum: 0.5, learningRate: 0.7)
    let run = try layout.run(1), tiny = try TinyTrainer(layout)
    // Everything on a rank in one buffer, in the order of its parts.
    let parts = run.ranks[0].machine.state.parts
    let order = parts.map { part in tiny.parts.firstIndex(of: part.part) ?? 0 }
    func flat(_ weights: [[Float]]) -> [Float] { order.flatMap { weights[$0] } }
    let start = flat(tiny.initial)
    let ends = tiny.localSteps(round: 0, period: 1, from: tiny.initial).map(flat)
    var group = OuterGroup(names: [0, 1, 2], anchor: start, settings: layout.outer, format: format)
    let progress = Dictionary(
      uniqueKeysWithValues: ends.enumerated().map { index, end in (index, zip(start, end).map { $0 - $1 }) })
    guard case .sum(let sum, let count) = try group.sum(progress) else { return }
    try group.step(bySum: sum, workerCount: count, to: 1)
    #expect(group.members[0].state.anchor == parts.flatMap { $0.outer?.anchor ?? [] })
  }
}

extension OuterGroup.Member {
  fileprivate func with(name: Int) -> Self { Self(name: name, state: state) }
}
