package import Execution
import Search

/// A plan executed in miniature, in this process: its groups, stages, schedule and collectives, on a small transformer.
///
/// ```swift
/// let run = try DryRun(plan)
/// print(run.verdict.holds ? "\(run.steps.map(\.loss))" : "\(run.verdict)")
/// ```
///
/// Losses, gradient norms and parameters are compared with a serial reference, bytes sent and held with the cost model.
public struct DryRun: Sendable {
  /// How to execute.
  public struct Options: Sendable {
    /// What changes the parameters.
    public enum Optimizer: String, Sendable, CaseIterable {
      /// The plan's own.
      case planned
      case adam, sgd
    }

    /// Where tokens of models with experts go.
    public enum Routing: String, Sendable, CaseIterable {
      /// To all experts in turn, as many to each: what the plan counts.
      case balanced
      /// Where routers send them.
      case learned
    }

    /// Ranks to execute at most; a plan with more is shrunk.
    public var rankLimit = 64
    /// Optimizer steps, at least 1.
    public var stepCount = 3
    /// What changes the parameters.
    public var optimizer = Optimizer.planned
    /// Of parameters, tokens and dropout.
    public var seed: UInt64 = 1
    /// Whether every rank has a thread of its own; the numbers are the same.
    public var usesThreads = false
    /// Whether what is kept or sent is rounded to the plan's precision; otherwise fp32.
    public var emulatesPrecision = false
    /// Where tokens of models with experts go.
    public var routing = Routing.balanced

    /// Three steps of the plan's optimizer on up to 64 ranks.
    public init() {}
  }

  /// Whether the plan holds.
  public enum Verdict: Sendable, Equatable {
    case holds
    /// It was edited after it was written: it does not state what its own content says. Nothing was executed.
    case edited([Verification.Disagreement])
    /// At full size a stage needs more than a device can hold. Nothing was executed.
    case exceedsMemory(stage: Int, peakBytes: Int, limitBytes: Int)
    /// Its programs contradict each other or come to no end.
    case stuck(String)
    /// What was executed is not what was counted, a sentence each.
    case disagrees([String])

    /// Whether all of it holds.
    public var holds: Bool { self == .holds }
  }

  /// One optimizer step.
  public struct Step: Sendable, Equatable {
    /// Mean over all tokens, before the update.
    public let loss: Double
    /// The same of the serial reference.
    public let referenceLoss: Double
  }

  /// Whether the plan holds.
  public let verdict: Verdict
  /// What was executed; nil where nothing was, or not to the end.
  package let execution: (miniature: Miniature, run: Execution.DryRun)?

  /// In order; empty where nothing was executed to its end.
  public var steps: [Step] {
    execution?.run.steps.map { Step(loss: $0.loss.executed, referenceLoss: $0.loss.reference) } ?? []
  }

  /// Executes a plan.
  ///
  /// - Parameter source: what errors call the plan.
  /// - Throws: ``SextantError`` when the plan cannot be priced, has no miniature of so few ranks, or is not supported.
  public init(_ plan: Plan, options: Options = Options(), source: String = "plan") throws(SextantError) {
    if let verdict = try plan.refusal {
      self.init(verdict)
      return
    }
    let miniature: Miniature
    do {
      miniature = try Miniature(of: plan.document, rankLimit: options.rankLimit)
    } catch { throw SextantError(.input, source: source, expected: "\(error)") }
    let executed = Execution.DryRun.Options(
      stepCount: options.stepCount, optimizer: options.optimizer.execution, usesThreads: options.usesThreads,
      emulatesPrecision: options.emulatesPrecision, seed: options.seed, balancesExperts: options.routing == .balanced)
    if let sentence = miniature.unsupported(executed) {
      throw SextantError(.unsupported, source: source, expected: sentence)
    }
    do {
      let run = try Execution.DryRun(miniature, options: executed)
      self.init(run.disagreements.isEmpty ? .holds : .disagrees(run.disagreements), (miniature, run))
    } catch { self.init(.stuck("\(error)")) }
  }

  private init(_ verdict: Verdict, _ execution: (Miniature, Execution.DryRun)? = nil) {
    self.verdict = verdict
    self.execution = execution
  }
}

extension DryRun.Options.Optimizer {
  fileprivate var execution: Execution.DryRun.Options.Optimizer {
    switch self {
    case .planned: .planned
    case .adam: .adam
    case .sgd: .sgd
    }
  }
}

extension Plan {
  /// Why a plan is not executed at all: it was edited, or does not fit; nil if it may be.
  /// - Throws: ``SextantError`` when it cannot be priced.
  var refusal: DryRun.Verdict? {
    get throws(SextantError) {
      let disagreements: [PlanVerification.Disagreement]
      do { disagreements = try PlanVerification.disagreementsWithoutSearch(of: document) } catch {
        throw SextantError(error)
      }
      guard disagreements.isEmpty else { return .edited(disagreements.map(Verification.Disagreement.init)) }
      return document.memoryExcess.map {
        .exceedsMemory(stage: $0.stage, peakBytes: $0.peakBytes, limitBytes: $0.limitBytes)
      }
    }
  }
}
