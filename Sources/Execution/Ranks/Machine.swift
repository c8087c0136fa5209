/// What the steps of a rank's program are performed on: numbers that are computed and
/// sent, or a clock on which they take time.
///
/// ``RankRunner`` keeps the order of streams and waits for both; a machine knows what a step does.
protocol Machine {
  /// What connects the machines of all ranks.
  associatedtype Medium

  /// Begins a step, or goes on with one that was begun before.
  ///
  /// - Returns: whether the step has ended. If not, it is asked again when something has come for the rank.
  /// - Throws: what other ranks do does not fit the step.
  mutating func perform(
    _ step: Int, of program: PreparedProgram, on medium: Medium
  ) throws(ExecutionFailure) -> Bool

  /// The rank that a step which has begun waits for; nil if it waits for none.
  func awaitedRank(_ step: Int, of program: PreparedProgram, on medium: Medium) -> Int?

  /// Makes ready to run the program once more.
  mutating func beginIteration()
}
