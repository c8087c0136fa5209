import Documents

/// What a rank's host updates: gradients go there, weights come back.
extension RankState {
  /// Bytes that have moved in the iterations so far.
  struct HostMoves: Sendable, Equatable {
    /// Of gradients.
    var toHost = 0
    /// Of weights.
    var fromHost = 0
  }

  /// Lays states of the first elements that the rank updates on the host, as many hundredths as the strategy says, and of what
  /// it accumulates of divided gradients as well; counts what lies where.
  mutating func placeUpdates() {
    let owned = hosted(parts.map(\.owned.count)), gradients = hosted(parts.map(\.gradientShard.count))
    for index in parts.indices {
      if owned[index] > 0 {
        parts[index].optimizer = DividedOptimizer(
          masters: parts[index].optimizer.masters, hostCount: owned[index], settings: setting.optimizer)
      }
      parts[index].hostedGradientCount = gradients[index]
    }
    let shards = parts.reduce(0) { $0 + $1.gradientShard.count - $1.hostedGradientCount }
    memory.add(shards * setting.job.gradientByteCount, .gradients)
    let onHost = parts.reduce(0) { $0 + $1.optimizer.hostCount }
    let onDevice = parts.reduce(0) { $0 + $1.owned.count } - onHost
    let masters = setting.keepsMastersBesideHost ? setting.optimizer.kept.masterByteCount(setting.job.precision) : 0
    // The host has a gradient in fp32 beside the states.
    memory.add((setting.optimizerByteCount + 4) * onHost, .host)
    memory.add(
      setting.optimizerByteCount * onDevice + masters * onHost, offloadsOptimizer ? .host : .optimizer)
  }

  /// Of parts with so many elements each, those on the host: the first of all.
  private func hosted(_ counts: [Int]) -> [Int] {
    var left = counts.reduce(0, +) * setting.strategy.hosting.updatePercent / 100
    return counts.map { count in
      defer { left -= min(left, count) }
      return min(left, count)
    }
  }

  /// What has been reduced of a part's gradient goes to the host as far as it is its own, in the format of the reduction.
  mutating func sendReducedGradient(_ index: Int) {
    hostMoves.toHost += parts[index].hostedGradientCount * setting.job.precision.byteCount
  }

  /// Whole gradients go there for the step, and weights come back.
  mutating func exchangeUpdate(_ index: Int) {
    let count = parts[index].optimizer.hostCount
    if !parts[index].shardsGradients { hostMoves.toHost += count * setting.job.gradientByteCount }
    hostMoves.fromHost += count * setting.job.precision.byteCount
  }
}
