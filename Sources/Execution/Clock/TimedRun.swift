package import Costing
package import Documents
import Training

/// An iteration of a strategy at full size in virtual time: the programs of its ranks, and when each of their steps began
/// and ended.
///
/// Where the time goes, what memory is held when, and the trace are folds of that.
package struct TimedRun: Sendable {
  /// Why programs come to no end.
  package struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
  }

  /// A simulated rank.
  struct Track: Sendable {
    let program: RankProgram
    let stage: Int
    /// Ended steps, by their end.
    let slices: [ClockMachine.Slice]
  }

  /// Seconds of the iteration, what is paid once an iteration whatever the strategy included; where workers take outer steps
  /// the part of an iteration in a round.
  package let iterationSeconds: Double
  /// The part of it that is paid whatever the strategy.
  let fixedSeconds: Double
  let setting: ClockSetting
  let tracks: [Track]
  /// How many iterations were simulated, and of how many.
  let round: Round
  /// All transfers and collectives, by their end.
  let flows: [FlowRecord]

  /// Runs an iteration.
  ///
  /// - Parameter contends: whether flows that take the same link at the same time share its rate. If not, every transfer
  ///   and every exchange takes what the cost model says.
  /// - Throws: ``Failure`` when a rank waits for what never comes.
  /// - Precondition: the strategy breaks no rule for the model's job and cluster.
  /// - Complexity: O(simulated ranks × micro-batches × layers of a stage).
  package init(_ model: CostModel, strategy: Strategy, split: Split, contends: Bool) throws(Failure) {
    guard strategy.update == .outer else {
      let setting = ClockSetting(model, strategy: strategy, split: split, contends: contends)
      try self.init(setting, programs: setting.programs)
      return
    }
    let period = strategy.outer.period
    var count = Self.simulatedIterationCount(model, strategy: strategy, split: split)
    while true {
      let setting = ClockSetting(
        model, strategy: strategy, split: split, contends: contends, roundIterationCount: count)
      try self.init(setting, programs: setting.programs, period: period)
      if count == period || round.isSettled { return }
      count = min(period, 2 * count)
    }
  }

  /// The most steps that are simulated, as ``stepCount(_:strategy:split:)`` counts them: about a gigabyte.
  package static let stepLimit = 5_000_000

  /// The programs' steps, a little more rather than less; a collective counts once more for every 32 members that it lists.
  package static func stepCount(_ model: CostModel, strategy: Strategy, split: Split) -> Int {
    let mesh = strategy.mesh, sharding = strategy.sharding
    let groups = mesh.worldSize / mesh.degree(of: .tensor)
    let ranks = model.cost(of: strategy).areReplicasAlike ? strategy.pipelineDegree : groups
    // Of a part in a pass: the pass itself, and what replicas exchange with it, in two hops where that is quantised.
    if strategy.update == .zerothOrder {
      // Of a part in a visit: perturbed and passed for each loss, and moved five times at most.
      let perPart = 2 * strategy.evaluationCount(model.job) + 5 * (1 + strategy.replicaCount / 32)
      let visits = strategy.visitCount(of: strategy.microBatchCount(globalBatch: model.job.globalBatch))
      return ranks / strategy.pipelineDegree * visits * ((split.layerCount + 3) * perPart + 8 * split.stageCount)
    }
    let iterations = simulatedIterationCount(model, strategy: strategy, split: split)
    let exchanges = sharding.gradientDegree > 1 ? (sharding.isQuantised ? 5 : 3) : 0
    let parts = 2 * (split.layerCount + 2) * (1 + exchanges * (1 + strategy.replicaCount / 32))
    // Of a chunk: the ends of its passes, and messages.
    let ends = 8 * split.layerCounts.count
    return ranks / strategy.pipelineDegree * strategy.microBatchCount(globalBatch: model.job.globalBatch)
      * (parts + ends) * iterations
  }

  /// Runs given programs of the ranks that are simulated.
  ///
  /// - Parameter period: iterations of the round that they are of, of which they may be the first few.
  init(_ setting: ClockSetting, programs: [RankProgram], period: Int = 1) throws(Failure) {
    let medium = ClockMedium(rankCount: programs.count, contends: setting.contends)
    var runners = PreparedProgram.prepare(programs).enumerated().map { place, prepared in
      RankRunner(
        prepared, on: ClockMachine(place: place, setting: setting, stepCount: prepared.program.steps.count))
    }
    do {
      for place in runners.indices { try runners[place].advance(medium) }
      while let places = medium.advance() {
        for place in places { try runners[place].advance(medium) }
      }
      guard runners.allSatisfy(\.hasEnded) else { throw ExecutionFailure.deadlock(among: runners, on: medium) }
      for (place, runner) in runners.enumerated() {
        let count = medium.leftOverCount(at: place)
        if count > 0 { throw ExecutionFailure.leftOver(rank: runner.number, messageCount: count) }
      }
    } catch { throw Failure(description: "\(error)") }
    self.setting = setting
    tracks = runners.enumerated().map { place, runner in
      Track(program: runner.prepared.program, stage: setting.stage(ofPlace: place), slices: runner.machine.slices)
    }
    flows = medium.flows
    fixedSeconds = setting.cost.fixedSeconds - setting.fixedSecondsInIteration
    round = Round(tracks: tracks, period: period)
    iterationSeconds =
      (medium.now + Double(round.leftOutCount) * round.localSeconds) / Double(period) + fixedSeconds
  }

  /// The end of the last backward pass of each stage, seconds from the beginning; under zeroth-order training of its visits,
  /// and of what they take to the host.
  package var passEndSeconds: [Double] {
    var ends = [Double](repeating: 0, count: setting.mesh.degree(of: .pipeline))
    for track in tracks {
      for slice in track.slices.reversed() {
        guard setting.endsPasses(track.program.steps[slice.step].operation) else { continue }
        ends[track.stage] = max(ends[track.stage], slice.endSeconds)
        break
      }
    }
    return ends
  }

  /// Ranks that were simulated.
  package var simulatedRankCount: Int { tracks.count }

  /// Ranks of the plan.
  package var worldSize: Int { setting.mesh.worldSize }

  /// Whether one rank of each stage stands for all replicas.
  package var areReplicasAlike: Bool { setting.areReplicasAlike }

  /// Steps of all programs.
  package var stepCount: Int { tracks.reduce(0) { $0 + $1.program.steps.count } }
}
