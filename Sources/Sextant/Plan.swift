package import Documents
import JSONText

/// A way to train a model on a cluster, with its price, its proof, and everything it was made from.
///
/// ```swift
/// let plan = try planner.best().get()
/// try plan.write(to: "plan.json")
/// print(try Plan.file("plan.json").verification().holds)
/// ```
public struct Plan: Sendable, Equatable {
  package let document: Documents.Plan

  package init(document: Documents.Plan) { self.document = document }

  /// Reads a plan document; what it says twice must agree.
  public static func file(_ path: String) throws(SextantError) -> Plan {
    do { return Plan(document: try Documents.Plan(contentsOf: path)) } catch { throw SextantError(error) }
  }

  /// The text of a plan document, called `plan` in errors.
  public static func text(_ json: String) throws(SextantError) -> Plan {
    do {
      return Plan(document: try Documents.Plan(parse(Array(json.utf8), source: "plan")))
    } catch { throw SextantError(error) }
  }

  /// The plan document: equal plans have equal texts.
  public var json: String { document.json.text(style: .pretty) }

  /// Writes the plan document, all of it or nothing.
  public func write(to path: String) throws(SextantError) { try Sextant.write(json, to: path) }

  /// How the training is divided.
  public var strategy: Strategy { Strategy(document.strategy) }
  /// What it multiplies in: the job's own precision, or a narrower one where ``Allowance/lowPrecision(tolerance:)`` lets it
  /// choose.
  public var precision: Precision { Precision(document.job.precision) }
  /// Layers of each virtual stage: `chunk · stages + stage`, in the model's order.
  public var layerCounts: [Int] { document.split.layerCounts }
  /// The nodes that are used, in the order of ranks.
  public var nodeNames: [String] { document.arrangement.nodeOrder.map { document.cluster.nodeNames[$0] } }
  /// What an iteration takes.
  public var prediction: Prediction { Prediction(document: document.prediction) }
  /// How sure it is that nothing is better.
  public var certificate: Certificate { Certificate(document: document.certificate) }
  /// The framework that it was planned for; `any` where the whole lattice was searched.
  public var framework: String { document.question.framework }
  /// Frameworks that can be told all of it.
  public var launchFrameworks: [String] { document.runnableFrameworks.map(\.name) }
}

/// How sure a search is of its answer.
public struct Certificate: Sendable, Equatable {
  package let document: Documents.Certificate

  /// Why the search ended.
  public enum Ending: Sendable {
    /// Nothing was left that could be better.
    case exhausted
    /// A limit was reached: of completed strategies, or of time.
    case completionLimit, timeLimit
    /// The caller stopped it.
    case interrupted
  }

  /// Why the search ended.
  public var ending: Ending {
    switch document.ending {
    case .exhausted: .exhausted
    case .completionLimit: .completionLimit
    case .timeLimit: .timeLimit
    case .interrupted: .interrupted
    }
  }
  /// How far the plan may be from the best, as a share of its score; 0 is proven optimal under the model.
  public var gap: Double { document.gap }
  /// What of the gap the plan gives up to be plainer than the fastest strategy that was found.
  public var plainnessCost: Double { document.plainnessCost }
  /// No strategy scores below this, seconds.
  public var lowerBoundSeconds: Double { document.lowerBoundSeconds }
  /// The plan's iteration time, with a surcharge where its memory is risky.
  public var scoreSeconds: Double { document.scoreSeconds }
  /// Strategies that were looked at.
  public var enumeratedCount: Int { document.enumeratedCount }
}

/// Writes a text, all of it or nothing.
package func write(_ text: String, to path: String) throws(SextantError) {
  do { try writeFileAtomically(Array(text.utf8), to: path) } catch { throw SextantError(error) }
}
