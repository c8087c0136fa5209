package import Costing
import Documents
package import Search

/// Why a search has no plan, with the limits that bind.
///
/// ```swift
/// switch try planner.best() {
/// case .success(let plan): print(plan.strategy)
/// case .failure(let no): print(no, no.shortage?.sufficientNodeCount ?? 0)
/// }
/// ```
public struct NoPlan: Error, Sendable, CustomStringConvertible {
  /// What there is no plan for.
  public enum Reason: Sendable {
    /// No strategy keeps the rules, see ``NoPlan/brokenRules``.
    case noStrategy
    /// None fits into memory, see ``NoPlan/shortage``.
    case memory
    /// The search was stopped before it completed a strategy.
    case interrupted, timeLimit
  }

  /// Of the strategy that comes nearest: what its tightest stage lacks, and what would have to change.
  public struct Shortage: Sendable {
    package let document: MemoryShortage
    /// The strategy that comes nearest.
    public var strategy: Strategy { Strategy(document.strategy) }
    /// Its stage that is furthest over.
    public var stage: Int { document.stageIndex }
    /// What a device of that stage needs.
    public var peakBytes: Int { document.stageMemory.peakBytes }
    /// What may be used of it.
    public var limitBytes: Int { document.limitBytes }
    /// Memory that a device would have to have, all else equal.
    public var neededDeviceBytes: Int { document.neededDeviceBytes }
    /// Nodes with which something fits; nil if none of the multiples that are tried is enough.
    public var sufficientNodeCount: Int? { document.sufficientNodeCount }
    /// The longest sequence among halvings with which something fits; nil if none does.
    public var sufficientSequence: Int? { document.sufficientSequenceLength }
    /// The recomputation with which something fits where less of it was fixed; nil if none does.
    public var sufficientRecompute: String? { document.sufficientRecompute?.rawValue }
  }

  /// What would leave a plan if it alone were changed, each by as little as possible; all of it was tried.
  public struct Changes: Sendable {
    package let document: SmallestChanges
    /// Global batches that would do: the nearest below, the nearest above.
    public var globalBatches: [Int] { document.globalBatches }
    /// The most nodes that would do, fewer than there are; nil where none of those tried do.
    public var nodeCount: Int? { document.nodeCount }
    /// Other values of what is fixed: of each key those that would do.
    public var fixed: [(key: String, values: [String])] {
      document.fixed.map { ($0.key, $0.others.map(\.word)) }
    }
    /// Frameworks that can be told a strategy; `any` where none can but something can be priced.
    public var frameworks: [String] { document.frameworks }
    /// Whether something would do if nothing were fixed, though no single change of what is fixed is enough.
    public var isWithoutFixed: Bool { document.isWithoutFixed }
  }

  package let result: PlanSearch.Result
  package let model: CostModel
  /// The framework that was to run the plan; `any` where the whole lattice was searched.
  public let framework: String

  /// What there is no plan for.
  public var reason: Reason {
    switch result.certificate.ending {
    case .interrupted: .interrupted
    case .timeLimit: .timeLimit
    case .exhausted, .completionLimit:
      result.shortage == nil && result.certificate.memoryRejectedCount == 0 ? .noStrategy : .memory
    }
  }
  /// Rules that strategies break, and how many of them.
  public var brokenRules: [(rule: String, count: Int)] {
    result.certificate.rejections.map { ($0.rule, $0.count) }
  }
  /// What memory lacks; nil where that is not why, or where the search was stopped before that was worked out.
  public var shortage: Shortage? { result.shortage.map(Shortage.init) }

  /// What else would leave a plan; nil where the search was stopped before that was worked out.
  public var changes: Changes? { result.changes.map(Changes.init) }

  /// The changes in words, each as the end of "would work with".
  package var changeWords: [String] {
    let isSaid = shortage?.sufficientRecompute != nil
    return result.changes?.words(
      globalBatch: model.job.globalBatch, presentNodeCount: model.nodeOrder.count,
      without: isSaid ? "recompute" : nil) ?? []
  }

  /// One line.
  public var description: String {
    let words = changeWords
    return why + (words.isEmpty ? "" : "; would work with \(words.joined(separator: ", or "))")
  }

  private var why: String {
    switch reason {
    case .interrupted: "interrupted before any strategy was completed"
    case .timeLimit: "the time limit was reached before any strategy was completed"
    case .noStrategy:
      "no strategy is possible" + (brokenRules.isEmpty ? "" : ": ")
        + brokenRules.map { "\($0.rule) (\($0.count))" }.joined(separator: "; ")
    case .memory:
      "no strategy fits into memory"
        + (shortage.map { ": \($0.strategy) needs \($0.peakBytes) bytes on stage \($0.stage), of \($0.limitBytes)" }
          ?? ", and the search was stopped before it was known what is short")
    }
  }
}
