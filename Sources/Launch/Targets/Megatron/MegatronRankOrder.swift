import Documents

/// The process groups of Megatron-LM by its own rule (`RankGenerator` in `core/parallel_state.py`, d98e8a64): ranks are
/// numbered along the axes of an order, the first of which varies fastest; a group is of the ranks that differ on its axis
/// alone.
enum MegatronRankOrder {
  /// The order that holds unless `--use-tp-pp-dp-mapping` is given.
  private static let order = "tp-cp-ep-dp-pp"

  /// The groups of all layers, and those of experts where ranks divide these: `expert`, `expert_tensor`, and `expert_data`,
  /// between whose ranks experts' gradients are summed.
  static func groups(of strategy: Strategy) -> [String: [[Int]]] {
    let layers = ranks(
      ["tp": strategy.tensorDegree, "cp": strategy.contextDegree, "dp": strategy.dataDegree], of: strategy)
    var groups = ["tensor": layers("tp"), "data": layers("dp"), "pipeline": layers("pp")]
    if strategy.contextDegree > 1 { groups["context"] = layers("cp") }
    if strategy.expertDivision != .none {
      let stageRanks = strategy.tensorDegree * strategy.contextDegree * strategy.dataDegree
      let inner = strategy.expertTensorDegree * strategy.expertDegree
      let experts = ranks(
        ["tp": strategy.expertTensorDegree, "ep": strategy.expertDegree, "dp": stageRanks / inner], of: strategy)
      groups["expert"] = experts("ep")
      groups["expert_tensor"] = experts("tp")
      groups["expert_data"] = experts("dp")
    }
    return groups
  }

  /// The groups of an axis, of the ranks that a stage's degrees and the pipeline number.
  private static func ranks(_ sizes: [String: Int], of strategy: Strategy) -> (String) -> [[Int]] {
    let sizes = sizes.merging(["pp": strategy.pipelineDegree]) { own, _ in own }
    let array = RankArray(axes: order.split(separator: "-").reversed().map { (String($0), sizes[String($0)] ?? 1) })
    return { array.groups(along: [$0]) }
  }
}
