import Documents

/// How replicas divide weights, gradients and optimizer states, in words.
enum ShardingWords {
  /// As phrases: `ZeRO 1`, or `weights over 2, gradients over 8, optimizer states over 128 replicas` and what there is
  /// besides.
  static func words(_ strategy: Strategy) -> [String] {
    guard strategy.hasShardLevels else { return ["ZeRO \(strategy.zeroStage.rawValue)"] }
    let sharding = strategy.sharding
    var words = [
      "weights over \(sharding.weightDegree), gradients over \(sharding.gradientDegree), optimizer states over "
        + Format.count(sharding.optimizerDegree, of: "replica")
    ]
    if let secondary = sharding.secondaryDegree { words.append("a second copy of the weights over \(secondary)") }
    if sharding.quantisesWeights { words.append("weights gathered as INT8 between nodes") }
    if sharding.quantisesGradients { words.append("gradients exchanged as INT4 between nodes") }
    return words
  }

  /// As part of a table cell: `z1`, `z3(2|8|128)`, `z3(128|128|128) s8 qw qg`.
  static func short(_ strategy: Strategy) -> String {
    let stage = "z\(strategy.zeroStage.rawValue)"
    guard strategy.hasShardLevels else { return stage }
    let sharding = strategy.sharding
    var words = [
      stage + "(\(sharding.weightDegree)|\(sharding.gradientDegree)|\(sharding.optimizerDegree))"
    ]
    if let secondary = sharding.secondaryDegree { words.append("s\(secondary)") }
    if sharding.quantisesWeights { words.append("qw") }
    if sharding.quantisesGradients { words.append("qg") }
    return words.joined(separator: " ")
  }
}
