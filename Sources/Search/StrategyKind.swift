import Documents

/// A kind of strategy that differs from the winner in one respect, such as "no pipeline": to say why it lost.
struct StrategyKind {
  let name: String
  let contains: (Strategy) -> Bool

  /// Whether any strategy of the lattice is of this kind, whether it fits or not.
  func isPossible(in priced: PricedLattice) -> Bool {
    priced.candidates.contains { contains($0.strategy) } || priced.unfit.contains(where: contains)
  }

  /// Every other kind than a strategy's own, in a fixed order.
  static func others(than winner: Strategy) -> [StrategyKind] {
    var kinds: [StrategyKind] = []
    kinds.append(
      winner.tensorDegree > 1
        ? StrategyKind(name: "no tensor parallelism") { $0.tensorDegree == 1 }
        : StrategyKind(name: "tensor parallelism") { $0.tensorDegree > 1 })
    kinds.append(
      winner.pipelineDegree > 1
        ? StrategyKind(name: "no pipeline") { $0.pipelineDegree == 1 }
        : StrategyKind(name: "a pipeline") { $0.pipelineDegree > 1 })
    kinds.append(
      winner.dataDegree > 1
        ? StrategyKind(name: "no data parallelism") { $0.dataDegree == 1 }
        : StrategyKind(name: "data parallelism") { $0.dataDegree > 1 })
    if winner.pipelineDegree > 1 {
      kinds.append(
        winner.virtualStageCount > 1
          ? StrategyKind(name: "plain 1F1B") { $0.pipelineDegree > 1 && $0.virtualStageCount == 1 }
          : StrategyKind(name: "interleaved 1F1B") { $0.virtualStageCount > 1 })
    }
    for stage in Strategy.ZeroStage.allCases where stage != winner.zeroStage {
      kinds.append(StrategyKind(name: "ZeRO \(stage.rawValue)") { $0.zeroStage == stage })
    }
    for recompute in Strategy.Recompute.allCases where recompute != winner.recompute {
      kinds.append(StrategyKind(name: "recompute \(recompute.rawValue)") { $0.recompute == recompute })
    }
    kinds.append(
      winner.usesSequenceParallelism
        ? StrategyKind(name: "no sequence parallelism") { !$0.usesSequenceParallelism }
        : StrategyKind(name: "sequence parallelism") { $0.usesSequenceParallelism })
    return kinds
  }
}
