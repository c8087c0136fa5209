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
    // Every flow alone on its links.
    let alone = try TimedRun(model, strategy: strategy, split: split, contends: false)
    let isOuter = strategy.update == .outer
    // Of a round: one of its iterations, and what the round adds to them.
    let modelled =
      isOuter
      ? prediction.outerRound?.localSeconds ?? 0 : alone.setting.cost.passEndSeconds(of: split).max() ?? 0
    let passes = isOuter ? alone.round.localSeconds : alone.passEndSeconds.max() ?? 0
    let isZerothOrder = strategy.update == .zerothOrder
    let all = [
      Difference(
        reason: isOuter
          ? "an iteration of one worker: its exchanges come in turn, and hide under what is computed meanwhile"
          : isZerothOrder
            ? strategy.pipelineDegree > 1
              ? "weights come and go as buffers are free, the model takes the busiest stream of a stage for each micro-batch"
              : "a head that uses the embedding's matrix takes the embedding up whole, the model its matrix alone"
            : strategy.sharding.gradientDegree > 1
              ? "gathers and reductions hide under what is computed meanwhile, not under their own layer"
              : strategy.overlapsExperts && strategy.pipelineDegree > 1
                ? "a pair of passes begins when both inputs are there and sends when both are through, in the model one by one"
                : "replicas send over their own links, the model prices the slowest",
        seconds: passes - modelled),
      Difference(
        reason: isOuter
          ? "the last iteration of a round leaves its gathers to the outer step, and the model's all-reduce slows others down"
          : isZerothOrder
            ? "what stays on a device takes its step while other weights leave, and no stage steps before all losses are there"
            : "gradients, tied matrices and weights are exchanged in turn, and no stage steps before the norm",
        seconds: (alone.iterationSeconds - passes) - (prediction.iterationSeconds - modelled)),
      Difference(
        reason: "flows share links, and \(isZerothOrder ? "losses are" : "the norm is") summed over them",
        seconds: run.iterationSeconds - alone.iterationSeconds),
    ]
    differences = all.filter { abs($0.seconds) > 1e-9 * prediction.iterationSeconds }
  }
}
