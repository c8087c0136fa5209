/// Why weights cannot lie in the narrow format that they are multiplied in: facts, and a sentence.
package enum NarrowWeightsViolation: Error, Sendable, Hashable, CustomStringConvertible {
  /// Products are in what is stored.
  case noFormat(Precision)
  /// Nobody keeps weights in the format alone.
  case format(Precision)
  /// What is gathered for each use is in the format that weights are stored in.
  case dividedWeights(Precision)
  case wholeReplicas
  case master(Optimizer.MasterWeights)
  case update(Strategy.Update)
  case quantisedGathers
  case secondCopy
  case onHost
  /// Layers at the ends, which multiply as they are stored, would be gathered so for every use.
  case wideLayers

  package var description: String {
    switch self {
    case .noFormat(let precision): "\(precision.rawValue) has no format of products narrower than weights"
    case .format(let precision): "weights of \(precision.rawValue) are gathered as they are stored, and cast afterwards"
    case .dividedWeights(let precision):
      "weights of \(precision.rawValue) that replicas divide are gathered as they are stored for every use"
    case .wholeReplicas: "narrow weights of several replicas want optimizer states that these divide (ZeRO 1 or more)"
    case .master(.none): "narrow weights cannot be updated themselves: they want master weights in fp32"
    case .master: "remainders of master weights are of weights in bf16, not of narrow ones"
    case .update(let update): "update=\(update.rawValue) moves weights as they are stored, not narrow ones"
    case .quantisedGathers: "weights are gathered as INT8, or in the format of products, not both"
    case .secondCopy: "a second copy of the weights is of weights as they are stored, not of narrow ones"
    case .onHost: "weights on the host lie there as they are stored"
    case .wideLayers:
      "weights that replicas divide are gathered alike for every use: narrow ones do not go with bf16_layers"
    }
  }

  /// The rule without its numbers.
  var rule: String {
    switch self {
    case .noFormat: "narrow weights without products in a narrow format"
    case .format, .dividedWeights: "narrow weights in a format that is not gathered"
    case .wholeReplicas: "narrow weights of replicas that are all whole"
    case .master: "narrow weights without master weights in fp32"
    case .update: "narrow weights under another update"
    case .quantisedGathers: "narrow weights gathered as INT8"
    case .secondCopy: "narrow weights with a second copy"
    case .onHost: "narrow weights on the host"
    case .wideLayers: "divided narrow weights beside layers in bf16"
    }
  }
}

extension Strategy {
  /// The rule of narrow weights that the strategy breaks; nil if it keeps all, or holds none.
  ///
  /// The exact weights are the optimizer's master weights, from which the shards that are gathered are cast.
  package func narrowWeightsViolation(_ job: TrainingJob) -> NarrowWeightsViolation? {
    guard holdsNarrowWeights else { return nil }
    guard let format = job.precision.products else { return .noFormat(job.precision) }
    guard format.gatheredWeightBitCount != nil else { return .format(job.precision) }
    if update != .firstOrder { return .update(update) }
    if job.optimizer.masterWeights != .fp32 { return .master(job.optimizer.masterWeights) }
    if replicaCount > 1, zeroStage == .none { return .wholeReplicas }
    let sharding = sharding
    if sharding.quantisesWeights { return .quantisedGathers }
    if sharding.secondaryDegree != nil { return .secondCopy }
    if sharding.weightDegree > 1, job.wideLayers != .none { return .wideLayers }
    if sharding.weightDegree > 1, !format.scalesTensors { return .dividedWeights(job.precision) }
    return hosting.holdsWeights ? .onHost : nil
  }

  /// The strategy with narrow weights; as it is where these would break a rule.
  package func withNarrowWeights(_ job: TrainingJob) -> Strategy {
    let narrow = with(\.holdsNarrowWeights, true)
    return narrow.narrowWeightsViolation(job) == nil ? narrow : self
  }

  /// The format in which weights of products are gathered; nil where they are gathered as all others are.
  package func gatheredFormat(_ job: TrainingJob) -> ProductFormat? {
    guard holdsNarrowWeights, let format = job.precision.products, let bits = format.gatheredWeightBitCount,
      bits < 8 * job.precision.byteCount
    else { return nil }
    return format
  }
}
