import Documents

/// Everything that one rank does in one iteration, or in a round of them (``Stretch``), in order.
package struct RankProgram: Sendable, Hashable {
  /// How much of a pass is one step.
  package enum Grain: Sendable, Hashable {
    /// What a rank computes between two collectives: for ranks that really compute.
    case pieces
    /// A part of the model: for ranks that need only its seconds, since the ranks of a tensor group run it in step.
    case parts
  }

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
  package func programs(_ stretch: Stretch = .usual) -> [RankProgram] {
    programs(ofRanks: Array(0..<mesh.worldSize), in: .pieces, stretch)
  }

  /// The programs of some ranks, in their order.
  package func programs(
    ofRanks ranks: [Int], in grain: RankProgram.Grain, _ stretch: Stretch = .usual
  ) -> [RankProgram] {
    ranks.map { rank in
      var lowering = ProgramLowering(self, rank: rank, grain: grain)
      return lowering.program(stretch)
    }
  }
}
