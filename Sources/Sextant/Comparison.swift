package import Costing
import Documents
import JSONText

/// A running configuration beside a plan on the same cluster: what each difference would gain alone.
///
/// ```swift
/// let comparison = try planner.comparison(of: running, with: plan)
/// for change in comparison.changes { print(change.key, change.from, change.to, change.gainSeconds) }
/// ```
public struct Comparison: Sendable {
  /// One difference, from what runs to what the plan has.
  public struct Change: Sendable, Equatable {
    /// A strategy's key, or `layers`.
    public let key: String
    public let from: String
    public let to: String
    /// Seconds of an iteration with this change and those of ``needs``; nil where not even all of them together are so.
    public let iterationSeconds: Double?
    /// Seconds by which that is less than what runs; negative where it is more.
    public let gainSeconds: Double?
    /// Other changes without which this one breaks a rule or does not fit.
    public let needs: [String]
    /// Why it does not stand alone; nil where it does.
    public let reason: String?
  }

  /// What runs, priced.
  package let running: Costing.Estimate
  /// The plan's seconds of an iteration.
  public let planSeconds: Double
  /// The differences, the one that gains most first: alone, or with those that it needs.
  public let changes: [Change]

  /// Seconds of an iteration of what runs.
  public var runningSeconds: Double { running.prediction.iterationSeconds }
}

extension Comparison {
  /// The comparison as a document's part.
  var document: JSON {
    object(
      ("running", running.json), ("running_seconds", .number(runningSeconds)), ("plan_seconds", .number(planSeconds)),
      (
        "changes",
        .array(
          changes.map { change in
            object(
              ("key", .string(change.key)), ("from", .string(change.from)), ("to", .string(change.to)),
              ("iteration_seconds", change.iterationSeconds.map(JSON.number)),
              ("gain_seconds", change.gainSeconds.map(JSON.number)),
              ("needs", change.needs.isEmpty ? nil : .strings(change.needs)), ("reason", change.reason.map(JSON.string))
            )
          })
      ))
  }

  /// The plan's document and the comparison, together.
  public func json(beside plan: Plan) -> String {
    object(("plan", plan.document.json), ("comparison", document)).text(style: .pretty)
  }
}
