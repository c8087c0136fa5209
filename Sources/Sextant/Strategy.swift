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
  private let members: [JSONMember]

  /// Reads `key=value,…`.
  ///
  /// - Parameter source: what errors call the text.
  public init(_ text: String, source: String = "strategy") throws(SextantError) {
    do {
      self.init(try StrategyPattern(text: text, source: source).json, source: source)
    } catch { throw SextantError(error) }
  }

  /// A whole strategy.
  package init(_ strategy: Documents.Strategy) { self.init(strategy.json, source: "strategy") }

  private init(_ json: JSON, source: String) {
    guard case .object(let members) = json else { preconditionFailure("a strategy is an object") }
    self.source = source
    self.members = members
  }

  /// What is stated, as the search takes it.
  package func pattern() throws(SextantError) -> StrategyPattern {
    do { return try StrategyPattern(Field(.object(members), source: source)) } catch { throw SextantError(error) }
  }

  /// The keys that are stated, in the order of documents.
  public var keys: [String] { members.map(\.key) }

  /// What is stated of a key, as `--fix` has it: `8`, `full`, `true`; nil where nothing is.
  public subscript(key: String) -> String? {
    guard let value = members.first(where: { $0.key == key })?.value else { return nil }
    return if case .string(let word) = value { word } else { value.text(style: .compact) }
  }

  /// `key=value,…`, which ``init(_:source:)`` reads.
  public var description: String {
    keys.filter { $0 != "schedule" }.map { "\($0)=\(self[$0] ?? "")" }.joined(separator: ",")
  }
}
