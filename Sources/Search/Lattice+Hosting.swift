import Costing
import Documents

extension Lattice {
  /// What is fixed of what hosts have and do, and every combination of the rest where that is searched.
  static func hostings(
    _ pattern: StrategyPattern, model: CostModel, capabilities: Capabilities?, searched: Bool
  ) -> [Hosting] {
    func values<Value>(_ fixed: Value?, _ all: [Value]) -> [Value] {
      fixed.map { [$0] } ?? (searched ? all : Array(all.prefix(1)))
    }
    let activations = values(
      pattern[dynamicMember: \.hosting.activations],
      Capabilities.searchedActivations(capabilities, layerCount: model.job.model.layerCount))
    return values(
      pattern[dynamicMember: \.hosting.updatePercent], Capabilities.searchedUpdatePercents(capabilities)
    ).flatMap { percent in
      values(pattern[dynamicMember: \.hosting.holdsWeights], [false, true]).flatMap { weights in
        activations.map { Hosting(updatePercent: percent, holdsWeights: weights, activations: $0) }
      }
    }
  }
}
