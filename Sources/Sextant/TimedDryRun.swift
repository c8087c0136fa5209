import Costing
import Documents
package import Execution
import JSONText

/// One iteration of a plan at full size in virtual time: the programs of its ranks on a clock, with links that flows share.
///
/// ```swift
/// let run = try TimedDryRun.run(plan).get()
/// for difference in run.differences { print(difference.reason, difference.seconds) }
/// try run.writeTrace(to: "trace.json")
/// ```
///
/// It takes its prices from the cost model and puts them together as the ranks do, so that waiting, overlap and contention are
/// those of the programs and not of a formula.
public struct TimedDryRun: Sendable {
  /// A reason why simulated and predicted seconds differ.
  public struct Difference: Sendable, Equatable {
    /// A short sentence.
    public let reason: String
    /// Simulated less predicted, seconds.
    public let seconds: Double
  }

  /// Where the time of a stage goes: of its rank that waits least.
  public struct Stage: Sendable, Equatable {
    /// Seconds by cause, in a fixed order, with the names of ``Prediction``; they add up to the iteration.
    public let parts: [Part]
    /// The most bytes of activations that a rank holds at once.
    public let peakActivationBytes: Int
    /// What is predicted of that.
    public let predictedActivationBytes: Int

    /// Seconds of one cause.
    public struct Part: Sendable, Equatable {
      /// `compute`, `recompute`, `launch`, `tensor`, `pipeline`, `data`, `bubble`, `optimizer` or `fixed`.
      public let name: String
      /// Of one iteration.
      public let seconds: Double
    }
  }

  /// Of the iteration, simulated.
  public let iterationSeconds: Double
  /// What the plan predicts.
  public let predictedSeconds: Double
  /// What makes the difference; they add up to it but for rounding.
  public let differences: [Difference]
  /// In the order of the pipeline.
  public let stages: [Stage]
  /// Ranks that were simulated; others are like one of them.
  public let simulatedRankCount: Int
  package let simulation: Simulation

  /// Runs a plan's iteration in virtual time.
  ///
  /// - Parameter source: what errors call the plan.
  /// - Returns: the verdict of a plan that is not executed: it was edited, does not fit, or comes to no end.
  /// - Throws: ``SextantError`` when the plan cannot be priced, or needs too many steps.
  public static func run(_ plan: Plan, source: String = "plan") throws(SextantError) -> Result<TimedDryRun, Refusal> {
    if let verdict = try plan.refusal { return .failure(Refusal(verdict: verdict)) }
    let document = plan.document, model: CostModel
    if let sentence = document.strategy.notExecuted {
      throw SextantError(.unsupported, source: source, expected: sentence)
    }
    do {
      model = try CostModel(cluster: document.cluster, job: document.job, frameworkName: document.coefficientName)
        .arranged(document.arrangement.nodeOrder)
    } catch { throw SextantError(error) }
    let steps = TimedRun.stepCount(model, strategy: document.strategy, split: document.split)
    guard steps <= TimedRun.stepLimit else {
      throw SextantError(
        .unsupported, source: source,
        expected: "at most \(TimedRun.stepLimit.grouped) program steps are simulated, the plan needs \(steps.grouped)")
    }
    do {
      return .success(
        TimedDryRun(
          try Simulation(
            model, strategy: document.strategy, split: document.split, prediction: document.prediction)))
    } catch { return .failure(Refusal(verdict: .stuck("\(error)"))) }
  }

  /// A plan that is not executed.
  public struct Refusal: Error, Sendable, Equatable {
    /// Why.
    public let verdict: DryRun.Verdict
  }

  private init(_ simulation: Simulation) {
    self.simulation = simulation
    let run = simulation.run, prediction = simulation.prediction
    iterationSeconds = run.iterationSeconds
    predictedSeconds = prediction.iterationSeconds
    differences = simulation.differences.map { Difference(reason: $0.reason, seconds: $0.seconds) }
    let peaks = run.peakActivationBytes
    stages = run.causesOfStages.enumerated().map { stage, causes in
      Stage(
        parts: causes.parts.map { Stage.Part(name: $0.name, seconds: $0.seconds) },
        peakActivationBytes: peaks[stage],
        predictedActivationBytes: prediction.stageMemory[stage].activationBytes)
    }
    simulatedRankCount = run.simulatedRankCount
  }

  /// The iteration as a trace in Chrome's JSON format, which Perfetto (ui.perfetto.dev) opens.
  public var trace: [UInt8] { simulation.run.trace(stageMemory: simulation.prediction.stageMemory) }

  /// Writes the trace, all of it or nothing.
  public func writeTrace(to path: String) throws(SextantError) {
    do { try writeFileAtomically(trace, to: path) } catch { throw SextantError(error) }
  }
}
