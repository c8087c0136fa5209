import Costing
import Documents

/// A kind of strategy that differs from the winner in one respect, such as "no pipeline": to say why it lost.
struct StrategyKind {
  let name: String
  private let matches: (_ strategy: Strategy, _ stagesChoose: Bool) -> Bool

  init(name: String, contains: @escaping (Strategy) -> Bool) {
    self.name = name
    matches = { strategy, _ in contains(strategy) }
  }

  private init(name: String, matches: @escaping (Strategy, Bool) -> Bool) {
    self.name = name
    self.matches = matches
  }

  /// Whether a point of the lattice is of this kind.
  func contains(_ strategy: Strategy, _ freedom: StageFreedom) -> Bool { matches(strategy, freedom != .none) }

  /// Whether any strategy of the lattice is of this kind, whether it fits or not.
  func isPossible(in priced: PricedLattice) -> Bool {
    priced.candidates.contains { contains($0.strategy, $0.freedom) }
      || priced.unfit.contains { contains($0.strategy, $0.freedom) }
  }

  /// Every other kind than a strategy's own, in a fixed order.
  ///
  /// - Parameter stagesDiffer: whether its stages choose for themselves.
  static func others(than winner: Strategy, stagesDiffer: Bool) -> [StrategyKind] {
    var kinds: [StrategyKind] = []
    for axis in Mesh.searchedAxes {
      let what = axis == .pipeline ? "pipeline" : "\(axis.name) parallelism"
      kinds.append(
        winner.mesh.degree(of: axis) > 1
          ? StrategyKind(name: "no \(what)") { $0.mesh.degree(of: axis) == 1 }
          : StrategyKind(name: axis == .pipeline ? "a pipeline" : what) { $0.mesh.degree(of: axis) > 1 })
    }
    if winner.pipelineDegree > 1 {
      kinds.append(
        winner.schedule.isInterleaved
          ? StrategyKind(name: "plain 1F1B") { $0.pipelineDegree > 1 && !$0.schedule.isInterleaved }
          : StrategyKind(name: "interleaved 1F1B") { $0.schedule.isInterleaved })
    }
    for stage in Strategy.ZeroStage.allCases where stage != winner.zeroStage {
      kinds.append(StrategyKind(name: "ZeRO \(stage.rawValue)") { $0.zeroStage == stage })
    }
    kinds.append(
      winner.hasShardLevels
        ? StrategyKind(name: "without shard levels") { !$0.hasShardLevels }
        : StrategyKind(name: "shard levels") { $0.hasShardLevels })
    kinds.append(
      winner.sharding.isQuantised
        ? StrategyKind(name: "exact") { !$0.sharding.isQuantised }
        : StrategyKind(name: "quantised collectives") { $0.sharding.isQuantised })
    for recompute in Strategy.Recompute.allCases where recompute != winner.recompute || stagesDiffer {
      kinds.append(
        StrategyKind(
          name: "recompute \(recompute.rawValue)" + (stagesDiffer ? " everywhere" : ""),
          matches: { $0.recompute == recompute && !$1 }))
    }
    kinds.append(
      winner.usesSequenceParallelism
        ? StrategyKind(name: "no sequence parallelism") { !$0.usesSequenceParallelism }
        : StrategyKind(name: "sequence parallelism") { $0.usesSequenceParallelism })
    return kinds
  }
}
