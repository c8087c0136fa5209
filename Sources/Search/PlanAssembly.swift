import Costing
package import Documents

extension PlanSearch {
  /// What this search is asked.
  package var question: Plan.Question {
    Plan.Question(
      cluster: model.cluster, job: model.job, nodeCount: model.nodeOrder.count,
      framework: capabilities?.name ?? Plan.Question.anyFramework, coefficientName: model.framework.name,
      fixed: pattern, allowance: allowance, margin: options.margin, resultCount: options.resultCount,
      completionLimit: options.completionLimit)
  }

  /// Runs the search and writes its answer down; nil when nothing was found.
  package func plan(toolVersion: String) -> Plan? { plan(of: run(), toolVersion: toolVersion) }

  /// The plan of a result of this search; nil when nothing was found.
  package func plan(of result: Result, toolVersion: String) -> Plan? {
    guard let winner = result.best.first, let arrangement = result.arrangement else { return nil }
    let prediction = prediction(of: winner), model = model(of: winner)
    func alternative(_ completion: Completion, family: String?) -> Plan.Alternative {
      let other = self.prediction(of: completion)
      return Plan.Alternative(
        strategy: completion.strategy, split: completion.split,
        precision: allowance.narrowsProducts ? completion.precision : nil, prediction: other, family: family,
        reason: Self.reason(for: other, losingTo: prediction))
    }
    return Plan(
      toolVersion: toolVersion, question: question, job: model.job, strategy: winner.strategy, split: winner.split,
      arrangement: arrangement, prediction: prediction,
      measuredPrices: model.measuredPrices(of: winner.strategy),
      shardingOptions: ShardingComparison.options(
        of: winner.strategy, split: winner.split, model: model.arranged(winner.nodeOrder)),
      certificate: result.certificate,
      alternatives: (result.fastest.map { [alternative($0, family: Plan.Alternative.fastest)] } ?? [])
        + result.best.dropFirst().map { alternative($0, family: nil) }
        + result.families.compactMap { entry in entry.completion.map { alternative($0, family: entry.name) } },
      impossibleFamilies: result.families.filter { $0.completion == nil }.map(\.name))
  }

  private func prediction(of completion: Completion) -> Prediction {
    let arranged = model(of: completion).arranged(completion.nodeOrder)
    return arranged.prediction(
      of: arranged.cost(of: completion.strategy), split: completion.split)
  }

  /// Why one lost to another: how much, and which causes of time grew most.
  private static func reason(for loser: Prediction, losingTo best: Prediction) -> String {
    let slower = loser.iterationSeconds / best.iterationSeconds - 1
    if slower == 0 { return "equally fast" }
    if slower < 0 {
      return loser.verdict == .risky && best.verdict == .fits
        ? "faster by \(percent(-slower)), but with little headroom in memory"
        : "faster by \(percent(-slower)), but less plain"
    }
    let own = Dictionary(uniqueKeysWithValues: best.timeSplit.parts.map { ($0.name, $0.seconds) })
    let differences = loser.timeSplit.parts.map { ($0.name, $0.seconds - (own[$0.name] ?? 0)) }
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
