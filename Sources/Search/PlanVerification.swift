package import Costing
package import Documents

/// Whether a plan holds: its time, its memory and its bound computed again from nothing but its own content.
package struct PlanVerification: Sendable {
  /// Something the plan states that the model does not say.
  package struct Disagreement: Sendable, Equatable {
    /// The JSON path in the plan.
    package let path: String
    /// What the plan states.
    package let stated: String
    /// What it should state.
    package let computed: String
  }

  /// Share by which times may differ: plans are read back exactly, but may have been made by another machine's libm.
  static let tolerance = 1e-9

  /// In the plan's order; empty when all of it holds.
  package private(set) var disagreements: [Disagreement] = []
  /// The certificate of the search made again.
  package let certificate: Certificate

  /// Computes a plan again.
  ///
  /// - Parameter threadCount: threads that price the lattice.
  /// - Throws: `CostModel.Refusal` when the plan's inputs cannot be priced at all.
  package init(_ plan: Plan, threadCount: Int = 1) throws(CostModel.Refusal) {
    // The search starts from the cluster's own order of as many nodes as the plan has.
    let given = try CostModel(
      cluster: plan.cluster, job: plan.job, frameworkName: plan.frameworkName
    ).arranged(Array(plan.arrangement.nodeOrder.indices))
    certificate =
      PlanSearch(
        model: given, pattern: plan.fixed, allowance: plan.allowance,
        options: PlanSearch.Options(
          resultCount: 1 + plan.alternatives.count { $0.family == nil }, threadCount: threadCount)
      ).run().certificate
    let prediction = Self.prediction(of: plan, model: given)
    compare(plan.prediction, with: prediction)
    compareShardings(of: plan, given: given)
    let score = prediction.iterationSeconds * (prediction.verdict == .fits ? 1 : PlanSearch.headroomSurcharge)
    compareArrangement(of: plan, given: given, score: score)
    check("/certificate/score_seconds", plan.certificate.scoreSeconds, score)
    compareCertificate(of: plan)
  }

  /// Records a number that is not what it should be.
  private mutating func check(_ path: String, _ stated: Double, _ computed: Double) {
    // Written so that what is no number disagrees.
    guard !(abs(stated - computed) <= Self.tolerance * max(abs(stated), abs(computed))) else { return }
    disagreements.append(Disagreement(path: path, stated: "\(stated)", computed: "\(computed)"))
  }

  private mutating func check(_ path: String, _ stated: Int, _ computed: Int) {
    guard stated != computed else { return }
    disagreements.append(Disagreement(path: path, stated: "\(stated)", computed: "\(computed)"))
  }

  private mutating func check(_ path: String, _ stated: String, _ computed: String) {
    guard stated != computed else { return }
    disagreements.append(Disagreement(path: path, stated: stated, computed: computed))
  }

  private mutating func compare(_ stated: Prediction, with computed: Prediction) {
    check("/prediction/iteration_seconds", stated.iterationSeconds, computed.iterationSeconds)
    check(
      "/prediction/tokens_per_second_per_device", stated.tokensPerSecondPerDevice, computed.tokensPerSecondPerDevice)
    check("/prediction/model_flop_utilization", stated.modelFLOPUtilization, computed.modelFLOPUtilization)
    check("/prediction/verdict", stated.verdict.rawValue, computed.verdict.rawValue)
    // Parts are differences of large times: what counts is their share of the iteration.
    for (stated, part) in zip(stated.timeSplit.parts, computed.timeSplit.parts)
    where !(abs(stated.seconds - part.seconds) <= Self.tolerance * computed.iterationSeconds) {
      disagreements.append(
        Disagreement(
          path: "/prediction/time/\(part.name)_seconds", stated: "\(stated.seconds)", computed: "\(part.seconds)"))
    }
    for (stage, pair) in zip(stated.stageMemory, computed.stageMemory).enumerated() {
      for (stated, part) in zip(pair.0.parts, pair.1.parts) {
        check("/prediction/stage_memory/\(stage)/\(part.name)_bytes", stated.bytes, part.bytes)
      }
      check("/prediction/stage_memory/\(stage)/host_bytes", pair.0.hostBytes, pair.1.hostBytes)
    }
  }

  private mutating func compareShardings(of plan: Plan, given: CostModel) {
    let computed = ShardingComparison.options(
      of: plan.strategy, split: plan.split, model: given.arranged(plan.arrangement.nodeOrder))
    check("/sharding_options: count", plan.shardingOptions.count, computed.count)
    for (index, pair) in zip(plan.shardingOptions, computed).enumerated() {
      let path = "/sharding_options/\(index)"
      check("\(path)/name", pair.0.name, pair.1.name)
      check("\(path)/iteration_seconds", pair.0.iterationSeconds, pair.1.iterationSeconds)
      check("\(path)/peak_bytes", pair.0.peakBytes, pair.1.peakBytes)
      check("\(path)/verdict", pair.0.verdict.rawValue, pair.1.verdict.rawValue)
      for (level, bytes) in zip(pair.0.sentBytes, pair.1.sentBytes).enumerated() {
        check("\(path)/sent_bytes/\(level)", bytes.0, bytes.1)
      }
    }
  }

  private mutating func compareArrangement(of plan: Plan, given: CostModel, score: Double) {
    let completion = PlanSearch.Completion(
      strategy: plan.strategy, split: plan.split, nodeOrder: plan.arrangement.nodeOrder,
      iterationSeconds: plan.prediction.iterationSeconds, scoreSeconds: score)
    let computed = NodeArranger(model: given).arrangement(of: completion)
    let stated = plan.arrangement
    check("/arrangement/given_order_seconds", stated.givenOrderSeconds, computed.givenOrderSeconds)
    check("/arrangement/snapshots: count", stated.moments.count, computed.moments.count)
    for (index, pair) in zip(stated.moments, computed.moments).enumerated() {
      let path = "/arrangement/snapshots/\(index)"
      check("\(path)/name", pair.0.name, pair.1.name)
      check("\(path)/given_order_seconds", pair.0.givenOrderSeconds, pair.1.givenOrderSeconds)
      check("\(path)/iteration_seconds", pair.0.iterationSeconds, pair.1.iterationSeconds)
    }
  }

  private mutating func compareCertificate(of plan: Plan) {
    let stated = plan.certificate, again = certificate
    check("/certificate/enumerated", stated.enumeratedCount, again.enumeratedCount)
    check("/certificate/rejected_by_memory", stated.memoryRejectedCount, again.memoryRejectedCount)
    switch stated.ending {
    case .exhausted, .completionLimit:
      check("/certificate/ending", stated.ending.rawValue, again.ending.rawValue)
      check("/certificate/lower_bound_seconds", stated.lowerBoundSeconds, again.lowerBoundSeconds)
      // A plan that asked for more results than there are completed more: how many is not in the plan.
      if stated.completedCount == again.completedCount, stated.closedByBoundCount == again.closedByBoundCount {
        compareProofs(stated.proofs, with: again.proofs)
      }
    case .timeLimit, .interrupted:
      // Where such a search ends cannot be repeated; its bound may only be too modest.
      if stated.lowerBoundSeconds > again.scoreSeconds * (1 + Self.tolerance) {
        check("/certificate/lower_bound_seconds", stated.lowerBoundSeconds, again.lowerBoundSeconds)
      }
    }
  }
}

extension PlanVerification {
  /// What was proven of every strategy has to be proven again; a plan may leave it out.
  private mutating func compareProofs(_ stated: [Certificate.Proof], with computed: [Certificate.Proof]) {
    guard !stated.isEmpty else { return }
    check("/certificate/proofs: count", stated.count, computed.count)
    for (index, pair) in zip(stated, computed).enumerated() {
      let path = "/certificate/proofs/\(index)"
      check("\(path)/strategy", pair.0.strategy, pair.1.strategy)
      check("\(path)/stages_choose", "\(pair.0.stagesChoose)", "\(pair.1.stagesChoose)")
      if let score = pair.0.scoreSeconds, let again = pair.1.scoreSeconds {
        check("\(path)/score_seconds", score, again)
      } else if (pair.0.scoreSeconds == nil) != (pair.1.scoreSeconds == nil) {
        check(
          "\(path)/score_seconds", "\(pair.0.scoreSeconds.map { "\($0)" } ?? "none")",
          "\(pair.1.scoreSeconds.map { "\($0)" } ?? "none")")
      }
      check("\(path)/lower_bound_seconds", pair.0.lowerBoundSeconds, pair.1.lowerBoundSeconds)
      check("\(path)/split", pair.0.split.rawValue, pair.1.split.rawValue)
      check("\(path)/order", pair.0.order.rawValue, pair.1.order.rawValue)
    }
  }

  /// Where a plan's time and memory are not what the model says: the part that needs no search.
  ///
  /// - Throws: `CostModel.Refusal` when the plan's inputs cannot be priced at all.
  package static func predictionDisagreements(of plan: Plan) throws(CostModel.Refusal) -> [Disagreement] {
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.frameworkName)
    var verification = Self(certificate: plan.certificate)
    verification.compare(plan.prediction, with: prediction(of: plan, model: model))
    return verification.disagreements
  }

  /// What the model says of a plan's strategy, split and choices on its nodes.
  private static func prediction(of plan: Plan, model: CostModel) -> Prediction {
    let arranged = model.arranged(plan.arrangement.nodeOrder)
    return arranged.prediction(
      of: arranged.cost(of: plan.strategy), split: plan.split)
  }

  private init(certificate: Certificate) { self.certificate = certificate }
}
