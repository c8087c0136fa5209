package import Documents
import JSONText

/// A way to divide a training among devices: whole, as a plan has it, or only what is stated of it.
///
/// ```swift
/// let fixed = try Strategy("tensor=8,zero_stage=1")
/// let plan = try planner.best(fixing: fixed).get()
/// print(plan.strategy["pipeline"] ?? "", plan.strategy)
/// ```
///
/// The keys are those of `--fix`, `--strategy` and the `strategy` object of plans.
public struct Strategy: Sendable, Equatable, CustomStringConvertible {
  /// What errors call it.
  package let source: String
  /// What is stated, as the search takes it.
  package let pattern: StrategyPattern
  /// What documents say: of a whole strategy the schedule too, which no pattern holds.
  private let members: [JSONMember]

  /// Reads `key=value,…`.
  ///
  /// - Parameter source: what errors call the text.
  public init(_ text: String, source: String = "strategy") throws(SextantError) {
    do {
      pattern = try StrategyPattern(text: text, source: source)
    } catch { throw SextantError(error) }
    self.source = source
    members = pattern.members
  }

  /// A whole strategy.
  package init(_ strategy: Documents.Strategy) {
    source = "strategy"
    pattern = StrategyPattern(strategy)
    members = strategy.members
  }

  /// The keys that are stated, in the order of documents.
  public var keys: [String] { members.map(\.key) }

  /// What is stated of a key, as `--fix` has it: `8`, `full`, `true`; nil where nothing is.
  public subscript(key: String) -> String? { members.first { $0.key == key }?.value.word }

  /// `key=value,…`, which ``init(_:source:)`` reads.
  public var description: String { pattern.text }
}
