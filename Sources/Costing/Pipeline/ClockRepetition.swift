/// Finds out when the clocks of a steady pipeline begin to repeat themselves.
///
/// Between warm-up and cool-down every round of a schedule takes sums and maxima of the same clocks: a linear map over
/// (max, +). Such a map becomes periodic: after some rounds every c of them move all clocks by the same time
/// (Baccelli, Cohen, Olsder, Quadrat 1992, theorem 3.109). From there the clocks of any later round are known. Brent's
/// method looks for c: the clocks are compared with those of the latest round whose number is a power of two.
struct ClockRepetition {
  /// So many rounds move all clocks by so many seconds.
  struct Period {
    let roundCount: Int
    let seconds: Double

    /// Moves the clocks over as many whole periods as there are in a number of rounds; the rounds that these are.
    func leap(over roundCount: Int, clocks: UnsafeMutableBufferPointer<Double>...) -> Int {
      let count = roundCount / self.roundCount
      for part in clocks { for index in part.indices { part[index] += Double(count) * seconds } }
      return count * self.roundCount
    }
  }

  private var remembered: [Double]
  private var round = 0
  private var rememberedRound = 0

  /// Begins with the clocks before the first round.
  init(_ clocks: UnsafeMutableBufferPointer<Double>...) { remembered = clocks.flatMap(Array.init) }

  /// Takes in the clocks after a round; what they repeat, once they do.
  ///
  /// Differences are equal to within a few units in the last place of the clocks themselves: a map of sums and maxima
  /// makes no difference larger, so that the end is off by no more than that for every period.
  mutating func period(_ clocks: UnsafeMutableBufferPointer<Double>...) -> Period? {
    round += 1
    var least = Double.infinity, most = -Double.infinity, latest = 0.0, index = 0
    for part in clocks {
      for clock in part {
        let moved = clock - remembered[index]
        least = min(least, moved)
        most = max(most, moved)
        latest = max(latest, clock)
        index += 1
      }
    }
    if most - least <= 4 * latest.ulp {
      return Period(roundCount: round - rememberedRound, seconds: (least + most) / 2)
    }
    if round & (round - 1) == 0 {
      remembered = clocks.flatMap(Array.init)
      rememberedRound = round
    }
    return nil
  }
}

extension PipelineTimes {
  /// With more micro-batches than this, a schedule's recurrence leaps over rounds that repeat themselves, and is as
  /// long as a walk over all its steps to within 10⁻¹¹ of it, and not to the bit.
  package static let walkedMicroBatchCount = 16_384
}
