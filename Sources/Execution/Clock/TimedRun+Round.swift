import Costing
import Documents
import Training

/// Rounds of workers on the clock. Once nothing is in flight beside them all iterations are alike: a few are simulated, and
/// the others take as long as the last but one of those. The last one is followed by the outer step and not by gathers.
extension TimedRun {
  /// What is simulated of a round.
  struct Round: Sendable {
    /// Iterations of the round.
    let period: Int
    /// Those that were simulated.
    let simulatedCount: Int
    /// Of an iteration beside which nothing is in flight, where one was seen; otherwise the mean.
    let localSeconds: Double
    /// Whether what workers send each other had come before that iteration.
    let isSettled: Bool

    var leftOutCount: Int { period - simulatedCount }

    init(tracks: [Track], period: Int) {
      self.period = period
      var ends: [Double] = [], begun = Double.infinity, awaited = 0.0
      for track in tracks {
        var index = 0
        for slice in track.slices {
          let step = track.program.steps[slice.step]
          if step.stream == .outer {
            begun = min(begun, slice.startSeconds)
            awaited = max(awaited, slice.endSeconds)
          }
          guard step.operation == .compute(.updateParameters) else { continue }
          if index == ends.count { ends.append(0) }
          ends[index] = max(ends[index], slice.endSeconds)
          index += 1
        }
      }
      let last = ends.count - 1
      simulatedCount = ends.isEmpty ? period : ends.count
      guard last >= 2 else {
        (localSeconds, isSettled) = ((ends.last ?? 0) / Double(max(1, ends.count)), false)
        return
      }
      localSeconds = ends[last - 1] - ends[last - 2]
      // On time, what is sent follows the last iteration.
      isSettled = awaited <= ends[last - 2] || begun >= ends[last]
    }
  }

  /// Iterations that are simulated at first: as many as what is in flight lasts were links shared by three, and three more.
  static func simulatedIterationCount(_ model: CostModel, strategy: Strategy, split: Split) -> Int {
    guard strategy.update == .outer else { return 1 }
    let cost = model.cost(of: strategy)
    guard strategy.outer.staleness > 0,
      let round = model.prediction(of: cost, split: split).outerRound, round.localSeconds > 0
    else { return min(strategy.outer.period, 3) }
    let needed = (3 * round.allReduceSeconds / round.localSeconds).rounded(.up) + 3
    return needed < Double(strategy.outer.period) ? Int(needed) : strategy.outer.period
  }
}
