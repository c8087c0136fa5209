import Costing
import Documents

/// A family of strategies that differ from the winner in one respect, such as "no pipeline": to say why it lost.
struct StrategyFamily: Sendable {
  let name: String
  private let matches: @Sendable (_ strategy: Strategy, _ freedom: StageFreedom) -> Bool

  init(name: String, contains: @escaping @Sendable (Strategy) -> Bool) {
    self.name = name
    matches = { strategy, _ in contains(strategy) }
  }

  private init(name: String, matches: @escaping @Sendable (Strategy, StageFreedom) -> Bool) {
    self.name = name
    self.matches = matches
  }

  /// Whether a point of the lattice is of this family.
  func contains(_ strategy: Strategy, _ freedom: StageFreedom) -> Bool { matches(strategy, freedom) }

  /// Whether any strategy of the lattice is of this family, whether it fits or not.
  func isPossible(in priced: PricedLattice) -> Bool {
    priced.candidates.contains { contains($0.strategy, $0.freedom) }
      || priced.unfit.contains { contains($0.strategy, $0.freedom) }
  }

  /// Every other family than a strategy's own, in a fixed order.
  ///
  /// - Parameter stagesDiffer: whether its stages choose for themselves.
  static func others(than winner: Strategy, stagesDiffer: Bool) -> [StrategyFamily] {
    let updates: [(Strategy.Update, name: String)] = [
      (.firstOrder, Plan.Alternative.firstOrder), (.zerothOrder, "zeroth-order training"),
      (.outer, Plan.Alternative.outer),
    ]
    var families = updates.filter { $0.0 != winner.update }.map { update, name in
      StrategyFamily(name: name) { $0.update == update }
    }
    for axis in Mesh.searchedAxes + [.context] {
      let what = axis == .pipeline ? "pipeline" : "\(axis.name) parallelism"
      families.append(
        winner.mesh.degree(of: axis) > 1
          ? StrategyFamily(name: "no \(what)") { $0.mesh.degree(of: axis) == 1 }
          : StrategyFamily(name: axis == .pipeline ? "a pipeline" : what) { $0.mesh.degree(of: axis) > 1 })
    }
    if winner.pipelineDegree > 1 {
      families.append(
        winner.schedule.isInterleaved
          ? StrategyFamily(name: "plain 1F1B") {
            $0.pipelineDegree > 1 && !$0.schedule.isInterleaved && !$0.schedule.splitsBackward
          }
          : StrategyFamily(name: "interleaved 1F1B") { $0.schedule.isInterleaved })
      families.append(
        winner.schedule.splitsBackward
          ? StrategyFamily(name: "whole backward passes") { $0.pipelineDegree > 1 && !$0.schedule.splitsBackward }
          : StrategyFamily(name: "split backward passes") { $0.schedule.splitsBackward })
    }
    for stage in Strategy.ZeroStage.allCases where stage != winner.zeroStage {
      families.append(StrategyFamily(name: "ZeRO \(stage.rawValue)") { $0.zeroStage == stage })
    }
    families.append(
      winner.hasShardLevels
        ? StrategyFamily(name: "without shard levels") { !$0.hasShardLevels }
        : StrategyFamily(name: "shard levels") { $0.hasShardLevels })
    families.append(
      winner.sharding.isQuantised
        ? StrategyFamily(name: "exact") { !$0.sharding.isQuantised }
        : StrategyFamily(name: "quantised collectives") { $0.sharding.isQuantised })
    for recompute in Strategy.Recompute.allCases where recompute != winner.recompute || stagesDiffer {
      families.append(
        StrategyFamily(
          name: "recompute \(recompute.rawValue)" + (stagesDiffer ? " everywhere" : ""),
          matches: { $0.recompute == recompute && $1 == .none }))
    }
    families.append(
      winner.usesSequenceParallelism
        ? StrategyFamily(name: "no sequence parallelism") { !$0.usesSequenceParallelism }
        : StrategyFamily(name: "sequence parallelism") { $0.usesSequenceParallelism })
    return families
  }
}
