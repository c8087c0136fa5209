import Documents

/// Why states are divided by levels: the plan's shard degrees beside those of known
/// schemes, in time, memory and bytes on the links of each level.
struct ShardingReport {
  let plan: Plan

  /// Empty where states are divided as a ZeRO stage says.
  var text: String {
    guard let own = plan.shardingOptions.first else { return "" }
    let levels = plan.cluster.levels.map(\.name)
    var table = Table(
      header: ["", "shards", "time", "peak", "memory"] + levels.map { "sent, \($0)" }, leftColumns: [0, 1, 4])
    for option in plan.shardingOptions {
      table.add(
        [
          option.name, plan.strategy.with(\.sharding, option.sharding).shortSharding,
          Format.seconds(option.iterationSeconds), Format.gigabytes(option.peakBytes), option.verdict.rawValue,
        ] + option.sentBytes.map { Format.gigabytes(perDevice($0)) })
    }
    let others = plan.shardingOptions.dropFirst().map { comparison(own, $0) }
    return "The same strategy with other shard degrees; bytes a device sends in an iteration to divide states\n"
      + table.text + others.joined()
  }

  private func perDevice(_ bytes: Int) -> Int { bytes / plan.strategy.worldSize }

  /// One sentence: what the plan gains over another option, and what it pays.
  private func comparison(_ own: ShardingOption, _ other: ShardingOption) -> String {
    let ratio = other.iterationSeconds / own.iterationSeconds
    let time =
      ratio >= 1
      ? "\(Format.percent(ratio - 1)) slower" : "\(Format.percent(1 - ratio)) faster"
    let saved = zip(plan.cluster.levels, zip(own.sentBytes, other.sentBytes)).compactMap { level, bytes -> String? in
      let difference = perDevice(bytes.1 - bytes.0)
      guard abs(difference) >= 50_000_000 else { return nil }
      return "\(Format.gigabytes(abs(difference))) \(difference > 0 ? "more" : "less") on \(level.name)"
    }
    let memory = other.peakBytes - own.peakBytes
    let verdict = other.verdict == own.verdict ? "" : ", \(PlanReport.words(other.verdict))"
    return "  \(other.name): \(time), \(Format.gigabytes(abs(memory))) \(memory > 0 ? "more" : "less") memory\(verdict)"
      + (saved.isEmpty ? "" : "; sends \(saved.joined(separator: ", "))") + "\n"
  }
}
