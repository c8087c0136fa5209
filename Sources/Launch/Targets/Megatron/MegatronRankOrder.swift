import Documents

/// The process groups of Megatron-LM by its own rule (`RankGenerator` in `core/parallel_state.py`, d98e8a64): ranks are
/// numbered along the axes of an order, the first of which varies fastest; a group is of the ranks that differ on its axis
/// alone.
enum MegatronRankOrder {
  /// The order that holds unless `--use-tp-pp-dp-mapping` is given.
  private static let order = "tp-cp-ep-dp-pp"

  static func groups(of strategy: Strategy) -> [String: [[Int]]] {
    let sizes = [
      "tp": strategy.tensorDegree, "cp": strategy.contextDegree, "ep": 1, "dp": strategy.dataDegree,
      "pp": strategy.pipelineDegree,
    ]
    let axes = order.split(separator: "-").map(String.init)
    func groups(of axis: String) -> [[Int]] {
      RankArray(axes: axes.reversed().map { ($0, sizes[$0] ?? 1) }).groups(along: [axis])
    }
    return ["tensor": groups(of: "tp"), "data": groups(of: "dp"), "pipeline": groups(of: "pp")].merging(
      strategy.contextDegree > 1 ? ["context": groups(of: "cp")] : [:]
    ) { own, _ in own }
  }
}
