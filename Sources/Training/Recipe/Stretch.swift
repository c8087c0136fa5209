import Documents

/// What one program of a rank covers: an iteration, or where workers take outer steps a round of iterations. Rounds are
/// different at the two ends of a training, where the mean of workers is late.
package enum Stretch: Sendable, Hashable, CaseIterable {
  /// The first round: nothing is in flight, and there is no mean to step by.
  case opening
  /// Any iteration, and any other round.
  case usual
  /// After the last round: what it has found out is summed and stepped by, nothing is trained.
  case closing
}

extension IterationShape {
  /// The programs of so many iterations, or rounds of them, in order.
  package func stretches(count: Int) -> [Stretch] {
    guard isLate, count > 0 else { return [Stretch](repeating: .usual, count: count) }
    return [.opening] + [Stretch](repeating: .usual, count: count - 1) + [.closing]
  }

  /// Whether outer steps go by the mean of the round before.
  package var isLate: Bool { strategy.update == .outer && strategy.outer.staleness > 0 }

  /// Iterations of a program.
  package func iterationCount(_ stretch: Stretch = .usual) -> Int {
    cycle(stretch).count { $0 == .passes || $0 == .visits }
  }

  /// How often in a program ranks come to a moment; of those within passes, how often they come to passes.
  package func count(of moment: Moment, in stretch: Stretch) -> Int {
    cycle(stretch).count { phase in
      switch phase {
      case .exchange(let it), .await(let it): it == moment
      case .passes, .visits: moment.isOfPasses
      case .launch, .updateResident, .compute: false
      }
    }
  }
}
