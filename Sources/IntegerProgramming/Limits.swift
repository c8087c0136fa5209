extension IntegerProgram {
  /// When to stop a search that has not ended, and which of the solver's options help it.
  ///
  /// Nodes and gap are the limits that decide an answer: with them the same program stops at the same place on every
  /// machine. Seconds are a safety net.
  package struct Limits: Sendable, Equatable {
    /// The most nodes of the branch-and-cut tree that are solved; with 0 only the presolver can find an answer.
    package var nodeCount: Int

    /// The relative gap (``IntegerProgram/Solution/relativeGap``) at which an answer
    /// is good enough; 0 asks for a proof.
    package var relativeGap: Double

    /// The most seconds of wall time, above 0 or infinite. GLPK looks at the clock between nodes, not while it solves
    /// the linear relaxation of the first.
    package var wallSeconds: Double

    /// Cutting planes to generate.
    package var cuts: Cuts

    /// Whether to look for a first answer with the feasibility pump (Fischetti, Glover, Lodi 2005).
    package var usesFeasibilityPump: Bool

    /// Limits; without arguments a proof is wanted and only a million nodes or an hour stop the search.
    package init(
      nodeCount: Int = 1_000_000, relativeGap: Double = 0, wallSeconds: Double = 3600, cuts: Cuts = [],
      usesFeasibilityPump: Bool = false
    ) {
      self.nodeCount = nodeCount
      self.relativeGap = relativeGap
      self.wallSeconds = wallSeconds
      self.cuts = cuts
      self.usesFeasibilityPump = usesFeasibilityPump
    }

    /// - Throws: ``IntegerProgramError`` if a limit is out of its range.
    func check() throws(IntegerProgramError) {
      guard nodeCount >= 0 else { throw .nodeLimitOutOfRange(nodeCount) }
      guard relativeGap >= 0, relativeGap.isFinite else { throw .relativeGapOutOfRange(relativeGap) }
      guard wallSeconds > 0 else { throw .secondsOutOfRange(wallSeconds) }
    }

    /// The limit on time as GLPK takes it: milliseconds, the greatest number meaning none.
    var milliseconds: Int32 {
      wallSeconds < Double(Int32.max) / 1000 ? max(1, Int32(wallSeconds * 1000)) : .max
    }
  }

  /// Families of cutting planes.
  package struct Cuts: OptionSet, Sendable, Hashable {
    /// One bit a family.
    package let rawValue: Int

    /// The families of some bits.
    package init(rawValue: Int) { self.rawValue = rawValue }

    /// Gomory's mixed-integer cuts.
    package static let gomory = Cuts(rawValue: 1)

    /// Mixed-integer rounding cuts.
    package static let mixedIntegerRounding = Cuts(rawValue: 2)

    /// Mixed cover cuts, of knapsack rows.
    package static let cover = Cuts(rawValue: 4)

    /// Clique cuts, of rows that exclude pairs of binary variables.
    package static let clique = Cuts(rawValue: 8)

    /// All families.
    package static let all: Cuts = [.gomory, .mixedIntegerRounding, .cover, .clique]
  }
}
