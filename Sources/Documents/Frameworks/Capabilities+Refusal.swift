/// What a framework cannot be told, and the nearest that it can.
extension Capabilities {
  /// Why a framework does not run something.
  package struct Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// The rule, without numbers: strategies are counted by it.
    package let rule: String
    /// The nearest that the framework runs, as keys of a strategy; empty where nothing is near.
    package let nearest: String

    init(_ rule: String, nearest: String = "") {
      self.rule = rule
      self.nearest = nearest
    }

    package var description: String { nearest.isEmpty ? rule : "\(rule); nearest: \(nearest)" }
  }

  /// What the framework is called in complaints: name and version.
  package var label: String { "\(name) (\(version))" }

  /// Why the framework does not run a job, whatever the strategy; nil if it does.
  package func refusal(of job: TrainingJob) -> Refusal? {
    if !models.families.contains(job.model.family) {
      return Refusal("\(label) does not train \(job.model.family.rawValue) models: it trains \(models.words)")
    }
    if let refusal = refusal(of: job.model) { return refusal }
    if !precisions.contains(job.precision) {
      return Refusal(
        "\(label) does not train in \(job.precision.rawValue)",
        nearest: "precision \(precisions.map(\.rawValue).joined(separator: " or "))")
    }
    if job.precision != .fp32, !job.accumulatesGradientsInFP32, gradientAccumulation == .fp32 {
      return Refusal("\(label) accumulates gradients in fp32 only", nearest: "gradient precision fp32")
    }
    return nil
  }

  /// Why the framework does not run a strategy; nil if it does, given the job's.
  package func refusal(of strategy: Strategy) -> Refusal? {
    for axis in Mesh.Axis.allCases where strategy.mesh.degree(of: axis) > 1 && !axes.contains(axis) {
      return Refusal("\(label) has no \(axis.name) parallelism", nearest: "\(axis.name)=1")
    }
    if strategy.schedule.isInterleaved, interleaving == .none {
      return Refusal("\(label) has no interleaved stages", nearest: "virtual_stages=1")
    }
    if strategy.tensorDegree > 1 {
      switch sequenceParallelism {
      case .always where !strategy.usesSequenceParallelism:
        return Refusal(
          "\(label) has no tensor parallelism without sequence parallelism", nearest: "sequence_parallel=true")
      case .never where strategy.usesSequenceParallelism:
        return Refusal("\(label) has no sequence parallelism", nearest: "sequence_parallel=false")
      default: break
      }
    }
    if !recomputations.contains(where: { $0.recompute == strategy.recompute }) {
      return Refusal(
        "\(label) does not recompute \(strategy.recompute.rawValue) as it is modelled here",
        nearest: strategy.recompute == .selective ? "recompute=full" : "recompute=none")
    }
    return refusal(of: strategy.sharding, strategy: strategy)
  }

  private func refusal(of sharding: Sharding, strategy: Strategy) -> Refusal? {
    guard strategy.dataDegree > 1 else { return nil }
    let form = sharding.form(replicaCount: strategy.dataDegree)
    let offers = shardings.filter { offer in
      (strategy.tensorDegree == 1 || offer.withTensorParallelism)
        && (strategy.pipelineDegree == 1 ? offer.withoutPipeline : offer.withPipeline)
    }
    guard let offer = offers.first(where: { $0.form == form }) else {
      let beside = shardings.contains { $0.form == form } ? " beside tensor groups or a pipeline" : ""
      return Refusal(
        "\(label) does not divide states as \(form.words)\(beside)",
        nearest: nearest(to: form, among: offers).map { $0.statement } ?? "")
    }
    if sharding.secondaryDegree != nil, !offer.withSecondaryCopy {
      return Refusal("\(label) keeps no second copy of the weights", nearest: "secondary_shards=1")
    }
    if sharding.isQuantised, !offer.withQuantisation {
      return Refusal(
        "\(label) quantises no collectives", nearest: "quantise_weights=false, quantise_gradients=false")
    }
    return nil
  }

  /// Of the forms that are offered, the one that divides most of what was asked for, else the one that divides least.
  private func nearest(to form: Sharding.Form, among offers: [ShardingOffer]) -> Sharding.Form? {
    let order = Sharding.Form.allCases
    let wanted = order.firstIndex(of: form) ?? 0
    let places = offers.compactMap { order.firstIndex(of: $0.form) }.sorted()
    return (places.last { $0 <= wanted } ?? places.first).map { order[$0] }
  }

  /// Why the framework does not run a strategy with its layers and stages' choices; nil if it does.
  package func refusal(of strategy: Strategy, split: Split) -> Refusal? {
    if let refusal = refusal(of: strategy) { return refusal }
    guard let choices = split.choices else { return nil }
    if !offloadsOptimizerStates, choices.contains(where: \.offloadsOptimizer) {
      return Refusal("\(label) keeps optimizer states on the devices between steps", nearest: "offload_optimizer=false")
    }
    let alike = split.choices(under: strategy.with(\.recompute, .full))
    let none = split.choices(under: strategy.with(\.recompute, .none))
    if !recomputesSomeLayers,
      choices.map(\.recomputedLayerCount) != alike.map(\.recomputedLayerCount),
      choices.map(\.recomputedLayerCount) != none.map(\.recomputedLayerCount)
    {
      return Refusal("\(label) does not recompute some layers of a stage only", nearest: "recompute=full")
    }
    return nil
  }
}

extension Sharding.Form {
  /// The form in a sentence.
  var words: String {
    switch self {
    case .replicated: "replicas that are all whole (ZeRO 0)"
    case .optimizer: "ZeRO 1"
    case .optimizerInParts: "optimizer states over parts of the replicas"
    case .gradients: "ZeRO 2"
    case .weights: "ZeRO 3"
    case .hybrid: "everything over parts of the replicas"
    case .hybridWithOuterOptimizer: "weights and gradients over parts of the replicas, optimizer states over all"
    case .other: "shard levels of this nesting"
    }
  }

  /// The form as a strategy states it.
  var statement: String {
    switch self {
    case .replicated: "zero_stage=0"
    case .optimizer: "zero_stage=1"
    case .optimizerInParts: "optimizer_shards of part of the replicas"
    case .gradients: "zero_stage=2"
    case .weights: "zero_stage=3"
    case .hybrid: "equal weight_shards, gradient_shards and optimizer_shards"
    case .hybridWithOuterOptimizer: "equal weight_shards and gradient_shards, optimizer_shards of all replicas"
    case .other: ""
    }
  }
}
