import Documents

/// Everything that one rank does in one iteration, in order.
package struct RankProgram: Sendable, Hashable {
  package let rank: Int
  /// What the rank holds, in the order of its chunks.
  package var parts: [ModelPart]
  package var steps: [ProgramStep]

  package init(rank: Int, parts: [ModelPart], steps: [ProgramStep]) {
    self.rank = rank
    self.parts = parts
    self.steps = steps
  }
}

extension IterationShape {
  /// The programs of all ranks, by rank.
  ///
  /// - Complexity: O(ranks × micro-batches × layers).
  package func programs() -> [RankProgram] {
    (0..<mesh.worldSize).map { rank in
      var lowering = ProgramLowering(self, rank: rank)
      return lowering.program()
    }
  }
}
