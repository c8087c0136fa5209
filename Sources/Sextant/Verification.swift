package import Search

/// A plan computed again from nothing but its own content: its time, its memory, and the search with its bound.
///
/// ```swift
/// for difference in try plan.verification().disagreements { print(difference) }
/// ```
public struct Verification: Sendable {
  /// Something that the plan states and the model does not say.
  public struct Disagreement: Sendable, Equatable, CustomStringConvertible {
    let document: PlanVerification.Disagreement
    /// The JSON path in the plan.
    public var path: String { document.path }
    /// What the plan states there.
    public var stated: String { document.stated }
    /// What it should state.
    public var computed: String { document.computed }
    /// One line.
    public var description: String { "\(path) states \(stated), but the model says \(computed)" }
  }

  package let document: PlanVerification

  /// Whether all of the plan holds.
  public var holds: Bool { document.disagreements.isEmpty }
  /// In the plan's order; empty when all of it holds.
  public var disagreements: [Disagreement] { document.disagreements.map(Disagreement.init) }
  /// Of the search made again.
  public var certificate: Certificate { Certificate(document: document.certificate) }
}

extension Plan {
  /// Computes the plan again.
  ///
  /// - Parameter threads: that price strategies; nil for as many as there are cores. The answer does not depend on it.
  /// - Throws: ``SextantError`` when what is inside the plan cannot be priced at all.
  public func verification(threads: Int? = nil) throws(SextantError) -> Verification {
    do {
      return Verification(document: try PlanVerification(document, threadCount: threads ?? coreCount))
    } catch { throw SextantError(error) }
  }
}
