import Foundation
import Training

/// All ranks of a miniature, run in one process.
struct MiniatureRun {
  let setting: ExecutionSetting
  private(set) var ranks: [RankRunner<NumericMachine>]
  private let network: Network
  private let usesThreads: Bool

  /// - Parameters:
  ///   - programs: of every rank, by rank.
  ///   - settingOfRank: of ranks that have another than all.
  ///   - delay: turns for which messages are on their way; only where ranks take turns.
  ///   - usesThreads: whether every rank has a thread of its own; otherwise ranks take turns, always in the same order.
  init(
    setting: ExecutionSetting, programs: [RankProgram], usesThreads: Bool,
    settingOfRank: [Int: ExecutionSetting] = [:], delay: Network.Delay? = nil
  ) {
    self.setting = setting
    self.usesThreads = usesThreads
    let all = PreparedProgram.prepare(programs)
    ranks = zip(all, CollectiveShare.shares(of: programs)).map { prepared, shares in
      RankRunner(
        prepared,
        on: NumericMachine(
          prepared, shares: shares, all: all, setting: settingOfRank[prepared.program.rank] ?? setting))
    }
    network = Network(rankCount: programs.count, usesThreads: usesThreads, delay: delay)
    // What was cast before the first iteration counts for the cast at its end.
    if setting.gathersNarrow { shareLargest() }
  }

  /// Turns that the ranks have taken in the last iteration, with those in which all have waited.
  var turnCount: Int { network.turnCount }

  /// Takes up other programs of the same ranks, which go on with what they hold.
  mutating func load(_ programs: [RankProgram]) {
    let all = PreparedProgram.prepare(programs)
    for (rank, shares) in CollectiveShare.shares(of: programs).enumerated() {
      ranks[rank].load(all[rank])
      ranks[rank].machine.load(shares: shares, all: all)
    }
  }

  /// Runs every program once to its end.
  mutating func iterate() throws(ExecutionFailure) {
    network.beginIteration()
    for index in ranks.indices { ranks[index].beginIteration() }
    if usesThreads { try runThreads() } else { try takeTurns() }
    guard ranks.allSatisfy(\.hasEnded) else { throw .deadlock(among: ranks, on: network) }
    for rank in ranks.indices where network.leftOverCount(at: rank) > 0 {
      throw .leftOver(rank: rank, messageCount: network.leftOverCount(at: rank))
    }
    shareLargest()
  }

  private mutating func takeTurns() throws(ExecutionFailure) {
    var turn = Array(ranks.indices)
    while !turn.isEmpty {
      for rank in turn { try ranks[rank].advance(network) }
      turn = network.nextWoken()
    }
  }

  private mutating func runThreads() throws(ExecutionFailure) {
    let seats = ranks.map(Seat.init)
    ranks = []
    let network = network
    let group = DispatchGroup()
    for seat in seats {
      group.enter()
      let thread = Thread {
        seat.run(network)
        group.leave()
      }
      thread.stackSize = 1 << 20
      thread.start()
    }
    group.wait()
    ranks = seats.map(\.rank)
    if let failure = seats.compactMap(\.failure).first { throw failure }
  }
}

/// A rank on its own thread.
///
/// `@unchecked Sendable`: its thread alone touches it until the group of all threads has been waited for, the starting
/// thread alone before and after.
private final class Seat: @unchecked Sendable {
  var rank: RankRunner<NumericMachine>
  var failure: ExecutionFailure?

  init(_ rank: RankRunner<NumericMachine>) { self.rank = rank }

  func run(_ network: Network) {
    do {
      repeat { try rank.advance(network) } while !rank.hasEnded && network.sleep(rank.number)
      network.end()
    } catch {
      failure = error
      network.stop()
    }
  }
}
