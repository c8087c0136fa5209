import Documents

/// The experts of a miniature, and what is not executed.
extension Miniature {
  /// What of a plan is priced and not executed; nil where all of it is.
  static func notExecuted(_ plan: Plan) -> String? {
    let model = plan.job.model
    if model.predictionDepth > 0 {
      // Megatron-LM has neither.
      if model.positionCount > 0 { return "further predictions beside learned positions" }
      if plan.strategy.update == .zerothOrder { return "further predictions without gradients" }
    }
    return nil
  }

  /// Width of what experts read, where they do not read tokens as they are.
  private static let narrowWidth = 5

  /// Two experts on each rank, if the plan has several there, and at least twice as many as a token is sent to; a token is
  /// sent to two, if the plan's are to more. What routers do stays the plan's.
  ///
  /// - Parameter keptLayers: the plan's layers that there are, in order.
  static func experts(of plan: Plan, expertDegree: Int, keptLayers: [Int]) -> ModelDescription.Experts? {
    guard let planned = plan.job.model.experts else { return nil }
    let strategy = plan.strategy, perToken = min(2, planned.perToken)
    var local = min(2, planned.count / strategy.expertDegree)
    while expertDegree * local < 2 * perToken { local *= 2 }
    let count = expertDegree * local
    let model = plan.job.model
    /// A multiple of the ranks that divide it, near a share of the miniature's hidden size.
    func width(_ planned: Int, dividedBy degree: Int) -> Int {
      guard planned > 0 else { return 0 }
      let share = min(2, max(0.5, Double(planned) / Double(model.hiddenSize)))
      return degree * max(1, Int((8 * share / Double(degree)).rounded()))
    }
    var experts = ModelDescription.Experts(
      count: count, perToken: perToken,
      feedForwardSize: width(planned.feedForwardSize, dividedBy: strategy.expertTensorDegree))
    experts.sharedFeedForwardSize = width(planned.sharedFeedForwardSize, dividedBy: strategy.tensorDegree)
    experts.hasSharedGate = planned.hasSharedGate
    experts.latentSize = planned.latentSize.map { _ in narrowWidth }
    experts.hasRouterBias = planned.hasRouterBias
    experts.hasCorrectionBias = planned.hasCorrectionBias
    experts.hasBias = planned.hasBias
    experts.score = planned.score
    experts.normalisesWeights = planned.normalisesWeights
    experts.routedScale = planned.routedScale
    // Half of a few groups.
    if let groups = planned.groups, groups.kept < groups.count, count % 4 == 0, count / 2 >= perToken {
      experts.groups = ModelDescription.Experts.Groups(count: 4, kept: 2)
    }
    experts.denseLayers = keptLayers.enumerated().filter {
      model.kind(ofLayer: $0.element).feedForward == .dense
    }.map(\.offset)
    return experts
  }
}

extension Int {
  /// Euclid's.
  func greatestCommonDivisor(with other: Int) -> Int {
    other == 0 ? self : other.greatestCommonDivisor(with: self % other)
  }
}
