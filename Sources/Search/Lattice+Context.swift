import Costing
import Documents

/// Sequences that ranks divide: which degrees are looked at, and how keys and values come together.
extension Lattice {
  /// Tokens of a sequence that a rank keeps at least where the search divides it: with fewer, what is exchanged for attention
  /// is large beside what is computed, and tensor parallelism divides activations as well.
  static let leastSearchedTokenCount = 4_096

  /// The context degree that is fixed, or 1 and those that leave a rank enough tokens and that the framework offers; where an
  /// exchange is fixed that whole sequences have not, every degree but 1.
  static func contextDegrees(
    _ model: CostModel, pattern: StrategyPattern, capabilities: Capabilities?
  ) -> [Int] {
    if let fixed = pattern.contextDegree { return [fixed] }
    let isOffered = capabilities.map { !$0.contextExchanges.isEmpty } ?? true
    let length = model.job.sequenceLength
    if !pattern.matchesWholeSequences {
      return divisors(of: model.deviceCount).filter { $0 > 1 && length % (2 * $0) == 0 }
    }
    guard isOffered, model.hasFlashAttention, pattern.usesFlashAttention != false,
      length >= 2 * leastSearchedTokenCount
    else { return [1] }
    return divisors(of: model.deviceCount).filter { degree in
      degree == 1 || length / degree >= leastSearchedTokenCount && length % (2 * degree) == 0
    }
  }

  /// How ranks of a mesh may bring keys and values together, each as a strategy that says so; one that says nothing where
  /// sequences are whole.
  func contextExchanges(_ mesh: Mesh) -> [Strategy] {
    Strategy(mesh: mesh).exchanges(pattern: pattern, capabilities: capabilities)
  }
}

extension Strategy {
  /// The strategy with each exchange that may be looked at, the plainest first.
  fileprivate func exchanges(pattern: StrategyPattern, capabilities: Capabilities?) -> [Strategy] {
    guard contextDegree > 1 else { return pattern.matchesWholeSequences ? [self] : [] }
    return ContextExchange.allCases.flatMap { exchange -> [Strategy] in
      if let capabilities, !capabilities.contextExchanges.contains(where: { $0.exchange == exchange }) { return [] }
      if let fixed = pattern.contextExchange, fixed != exchange { return [] }
      let inner =
        exchange == .allToAllRing
        ? pattern.contextInnerDegree.map { [$0] }
          ?? divisors(of: contextDegree).filter { (2..<contextDegree).contains($0) }
        : pattern.contextInnerDegree ?? 1 == 1 ? [1] : []
      return inner.map { with(\.contextExchange, exchange).with(\.contextInnerDegree, $0) }
    }
  }

  /// The strategy with the first exchange that a job's model allows, or the first of all.
  func withPlainestExchange(job: TrainingJob, pattern: StrategyPattern, capabilities: Capabilities?) -> Strategy {
    let exchanges = exchanges(pattern: pattern, capabilities: capabilities)
    return exchanges.first { $0.violation(of: job) == nil } ?? exchanges.first ?? self
  }

  private func violation(of job: TrainingJob) -> StrategyViolation? {
    violation(job: job, deviceCount: worldSize, hasFlashAttention: true)
  }
}

extension StrategyPattern {
  /// Whether nothing is fixed that only divided sequences have.
  fileprivate var matchesWholeSequences: Bool {
    (self.contextExchange ?? .ring) == .ring && (self.contextInnerDegree ?? 1) == 1
  }
}
