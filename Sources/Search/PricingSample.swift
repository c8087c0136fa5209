package import Costing
package import Documents

/// A strategy of the lattice with the parts it shares with others, ready to be priced: for benchmarks and tests that go
/// through the lattice themselves.
package struct PricingSample: Sendable {
  /// The strategy.
  package let strategy: Strategy
  /// What its stages may decide for themselves.
  package let freedom: StageFreedom
  /// Its groups, shared with other strategies of the layout.
  package let layout: LayoutCost
  /// Its passes, shared with other strategies that agree in what they depend on.
  package let microBatches: [MicroBatchCost]
}

extension PlanSearch {
  /// Every strategy of the lattice, in its order, whether it fits or not.
  package func pricingSamples() -> [PricingSample] {
    let lattice = Lattice(model: model, pattern: pattern, allowance: allowance)
    return lattice.meshes.flatMap { mesh -> [PricingSample] in
      let branch = lattice.branch(mesh).branch
      var costs = PricedLattice.BranchCosts(branch, model: model)
      return branch.points.map {
        PricingSample(
          strategy: $0.strategy, freedom: $0.freedom, layout: costs.layout,
          microBatches: costs.microBatches.costs($0.microBatchCostIndex))
      }
    }
  }
}
