package import Costing
package import Documents

/// A plan's iteration in virtual time beside what the cost model predicts of it, and what makes the difference.
package struct Simulation: Sendable {
  /// A reason why simulated and predicted seconds differ.
  package struct Difference: Sendable, Equatable {
    /// A short sentence.
    package let reason: String
    /// Simulated less predicted, seconds.
    package let seconds: Double
  }

  /// As executed, flows sharing links.
  package let run: TimedRun
  /// The same with every flow alone on its links.
  package let alone: TimedRun
  package let prediction: Prediction
  /// What makes the difference, in a fixed order; they add up to it. Those that are rounding are left out.
  package let differences: [Difference]

  /// Simulates a strategy.
  ///
  /// - Throws: ``TimedRun/Failure`` when a rank waits for what never comes.
  /// - Precondition: as of ``TimedRun``.
  package init(
    _ model: CostModel, strategy: Strategy, split: Split, prediction: Prediction
  ) throws(TimedRun.Failure) {
    self.prediction = prediction
    run = try TimedRun(model, strategy: strategy, split: split, contends: true)
    alone = try TimedRun(model, strategy: strategy, split: split, contends: false)
    let modelled = alone.setting.cost.passEndSeconds(of: split).max() ?? 0
    let passes = alone.passEndSeconds.max() ?? 0
    let all = [
      Difference(
        reason: strategy.sharding.gradientDegree > 1
          ? "gathers and reductions hide under what is computed meanwhile, not under their own layer"
          : "replicas send over their own links, the model prices the slowest",
        seconds: passes - modelled),
      Difference(
        reason: "all stages wait for the gradient's norm before their step",
        seconds: (alone.iterationSeconds - passes) - (prediction.iterationSeconds - modelled)),
      Difference(
        reason: "flows share links, and the norm is summed over them",
        seconds: run.iterationSeconds - alone.iterationSeconds),
    ]
    differences = all.filter { abs($0.seconds) > 1e-9 * prediction.iterationSeconds }
  }
}
