package import Costing
package import Documents

/// The plan of a search's result.
extension PlanSearch.Result {
  /// - Parameters:
  ///   - model: the model that was searched.
  ///   - fixed: the search's pattern.
  ///   - allowance: what the search was allowed.
  /// - Returns: nil when nothing was found.
  package func plan(
    model: CostModel, fixed: StrategyPattern, allowance: Allowance = .exact, toolVersion: String
  ) -> Plan? {
    guard let winner = best.first, let arrangement else { return nil }
    let prediction = Self.prediction(of: winner, model: model)
    let next = best.dropFirst().map { completion in
      let other = Self.prediction(of: completion, model: model)
      return Plan.Alternative(
        strategy: completion.strategy, split: completion.split, prediction: other, family: nil,
        reason: Self.reason(for: completion, other, losingTo: winner, prediction))
    }
    let families = self.families.compactMap { entry -> Plan.Alternative? in
      guard let completion = entry.completion else { return nil }
      let other = Self.prediction(of: completion, model: model)
      return Plan.Alternative(
        strategy: completion.strategy, split: completion.split, prediction: other, family: entry.name,
        reason: Self.reason(for: completion, other, losingTo: winner, prediction))
    }
    return Plan(
      toolVersion: toolVersion, cluster: model.cluster, job: model.job, frameworkName: model.framework.name,
      fixed: fixed, allowance: allowance, strategy: winner.strategy, split: winner.split,
      arrangement: arrangement, prediction: prediction,
      shardingOptions: ShardingComparison.options(
        of: winner.strategy, split: winner.split, model: model.arranged(winner.nodeOrder)),
      certificate: certificate,
      alternatives: next + families, impossibleFamilies: self.families.filter { $0.completion == nil }.map(\.name))
  }

  private static func prediction(of completion: PlanSearch.Completion, model: CostModel) -> Prediction {
    let arranged = model.arranged(completion.nodeOrder)
    return arranged.prediction(
      of: arranged.cost(of: completion.strategy), split: completion.split)
  }

  /// Why one lost to another: how much, and which causes of time grew most.
  private static func reason(
    for completion: PlanSearch.Completion, _ loser: Prediction, losingTo winner: PlanSearch.Completion,
    _ best: Prediction
  ) -> String {
    let slower = loser.iterationSeconds / best.iterationSeconds - 1
    if slower <= 0 {
      return loser.verdict == .risky
        ? "faster by \(percent(-slower)), but with little headroom in memory" : "equally fast"
    }
    let differences = zip(loser.timeSplit.parts, best.timeSplit.parts).map { ($0.name, $0.seconds - $1.seconds) }
      .filter { $0.1 > 0.1 * (loser.iterationSeconds - best.iterationSeconds) }
      .sorted { $0.1 > $1.1 }
    let causes = differences.prefix(2).map { "\(percent($0.1 / best.iterationSeconds)) more \($0.0)" }
    return "slower by \(percent(slower))" + (causes.isEmpty ? "" : ": \(causes.joined(separator: ", "))")
  }

  private static func percent(_ share: Double) -> String {
    guard let tenths = Int(exactly: (share * 1000).rounded()) else { return "far more than 100 %" }
    return "\(tenths / 10).\(tenths % 10) %"
  }
}
