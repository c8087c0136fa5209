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

  /// The frameworks that can be told all of a strategy for a job, with its layers and stages' choices.
  package static func running(_ strategy: Strategy, split: Split, job: TrainingJob) -> [Capabilities] {
    all.filter { $0.refusal(of: strategy, split: split, job: job) == nil }
  }

  /// What the framework is called in complaints: name and version.
  package var label: String { "\(name) (\(version))" }

  /// Why the framework does not train a job's model on its sequences; nil if it does.
  package func refusalOfModel(in job: TrainingJob) -> Refusal? {
    if !models.families.contains(job.model.family) {
      return Refusal("\(label) does not train \(job.model.family.rawValue) models: it trains \(models.words)")
    }
    if let refusal = refusal(of: job.model) { return refusal }
    let windowed = job.model.windowedLayerCount(sequenceLength: job.sequenceLength)
    if let window = job.model.details.attentionWindow, windowed > 0 {
      let nearest = "sequences of at most \(window) tokens"
      switch limits.attentionWindows {
      case .never: return Refusal("\(label) has no windows of attention", nearest: nearest)
      case .inEveryLayer where windowed < job.model.layerCount:
        return Refusal("\(label) has windows of attention in every layer or none", nearest: nearest)
      case .inEveryLayer, .inSomeLayers: break
      }
    }
    return nil
  }

  /// Why the framework does not run a job, whatever the strategy; nil if it does.
  package func refusal(of job: TrainingJob) -> Refusal? {
    if let refusal = refusalOfModel(in: job) { return refusal }
    if !precisions.contains(job.precision) {
      return Refusal(
        "\(label) does not train in \(job.precision.rawValue)",
        nearest: "precision \(precisions.map(\.rawValue).joined(separator: " or "))")
    }
    if job.precision.products != nil, job.wideLayers != .none, !wideLayerPrecisions.contains(job.precision) {
      return Refusal(
        "\(label) multiplies all layers alike in \(job.precision.rawValue)",
        nearest: wideLayerPrecisions.isEmpty
          ? "a job without bf16_layers"
          : "precision \(wideLayerPrecisions.map(\.rawValue).joined(separator: " or ")), or no bf16_layers")
    }
    if job.headProducts != nil, !narrowHeadPrecisions.contains(job.precision) {
      return Refusal(
        "\(label) has no output head in \(job.precision.rawValue)", nearest: "a job without narrow_head")
    }
    if job.narrowsAttention, job.precision.products != nil {
      return Refusal("\(label) has no argument for attention in FP8", nearest: "a job without narrow_attention")
    }
    return refusalOfStates(in: job)
  }

  /// Why the framework does not keep a job's gradients and optimizer states so; nil if it does.
  private func refusalOfStates(in job: TrainingJob) -> Refusal? {
    let offers = optimizers.filter { $0.has(job.optimizer, job.precision) }
    if offers.isEmpty {
      let nearest = optimizers.contains { $0.has(Optimizer(job.optimizer.rule), job.precision) }
      return Refusal(
        "\(label) has no optimizer \(job.optimizer.words)",
        nearest: "optimizer \(nearest ? job.optimizer.rule.rawValue : "adam") with fp32 states")
    }
    guard job.precision.is16Bit else { return nil }
    if job.accumulatesGradientsInFP32 {
      guard offers.allSatisfy(\.keepsGradientsInWeightFormat) else { return nil }
      return Refusal(
        "\(label) accumulates gradients in the weights' format with \(job.optimizer.words)",
        nearest: "gradient precision \(job.precision.storage.rawValue)")
    }
    if gradientAccumulation == .fp32, !offers.contains(where: \.keepsGradientsInWeightFormat) {
      return Refusal("\(label) accumulates gradients in fp32 only", nearest: "gradient precision fp32")
    }
    return nil
  }

  /// Whether a job's optimizer states may leave the device between steps.
  package func movesOptimizerStates(of job: TrainingJob) -> Bool { offloadsOptimizerStates || job.optimizer.isPaged }

  /// Why the framework does not run a strategy; nil if it does.
  package func refusal(of strategy: Strategy) -> Refusal? {
    if strategy.update == .zerothOrder {
      return Refusal("\(label) has no zeroth-order training", nearest: "update=first-order")
    }
    if strategy.update == .outer {
      return Refusal("\(label) has no outer steps between workers", nearest: "update=first-order")
    }
    return refusal(of: strategy.mesh) ?? refusal(ofContext: strategy) ?? refusal(ofExperts: strategy) ?? refusal(
      of: strategy.schedule)
      ?? refusal(ofSequenceParallelism: strategy.usesSequenceParallelism, on: strategy.mesh)
      ?? refusal(ofTensorOverlap: strategy)
      ?? refusal(of: strategy.recompute) ?? refusal(of: strategy.recomputeModules)
      ?? refusal(of: strategy.sharding, on: strategy.mesh)
  }

  /// Why the framework has no such axes; nil if it does.
  package func refusal(of mesh: Mesh) -> Refusal? {
    for axis in Mesh.Axis.allCases where mesh.degree(of: axis) > 1 && !axes.contains(axis) {
      return Refusal("\(label) has no \(axis.name) parallelism", nearest: "\(axis.name)=1")
    }
    return nil
  }

  /// Why the framework has no such schedule; nil if it does.
  package func refusal(of schedule: Strategy.Schedule) -> Refusal? {
    if schedule.splitsBackward { return refusal(ofSplitBackward: schedule) }
    guard schedule.isInterleaved, interleaving == .none else { return nil }
    return Refusal("\(label) has no interleaved stages", nearest: "virtual_stages=1")
  }

  private func refusal(ofSplitBackward schedule: Strategy.Schedule) -> Refusal? {
    guard !splitBackward.contains(where: { $0.runs(schedule) }) else { return nil }
    guard let offer = splitBackward.first(where: { $0.name == schedule.name }) else {
      return Refusal(
        "\(label) has no schedule \(schedule.name)", nearest: "schedule=\(splitBackward.first?.name ?? "1f1b")")
    }
    return Refusal(
      "\(label) runs \(offer.words) with at least \(offer.leastChunkCount) chunks a stage",
      nearest: "virtual_stages=\(offer.leastChunkCount)")
  }

  /// Why the framework does not divide the sequence so among tensor groups; nil if it does.
  package func refusal(ofSequenceParallelism divides: Bool, on mesh: Mesh) -> Refusal? {
    guard mesh.degree(of: .tensor) > 1 else { return nil }
    return switch sequenceParallelism {
    case .always where !divides:
      Refusal("\(label) has no tensor groups without sequence parallelism", nearest: "sequence_parallel=true")
    case .never where divides: Refusal("\(label) has no sequence parallelism", nearest: "sequence_parallel=false")
    default: nil
    }
  }

  /// Why the framework has no such recomputation; nil if it does.
  package func refusal(of recompute: Strategy.Recompute) -> Refusal? {
    guard !recomputations.contains(where: { $0.recompute == recompute }) else { return nil }
    return Refusal(
      "\(label) has no recompute=\(recompute.rawValue)",
      nearest: recompute == .selective ? "recompute=full" : "recompute=none")
  }

  /// Modules of a layer that the framework computes again one by one.
  package var recomputeModules: Strategy.RecomputeModules {
    recomputations.reduce(into: []) { $0.formUnion($1.modules) }
  }

  /// Why the framework does not compute such modules again; nil if it does, or none are named.
  package func refusal(of modules: Strategy.RecomputeModules) -> Refusal? {
    let missing = modules.subtracting(recomputeModules)
    guard !missing.isEmpty else { return nil }
    let offered = modules.intersection(recomputeModules)
    return Refusal(
      "\(label) has no recompute_modules=\(missing.words)",
      nearest: offered.isEmpty
        ? "recompute=\(recomputations.last?.recompute?.rawValue ?? "none")"
        : "recompute_modules=\(offered.words)")
  }

  /// Why the framework does not divide states so among the replicas of a mesh; nil if it does.
  package func refusal(of sharding: Sharding, on mesh: Mesh) -> Refusal? {
    let replicas = mesh.replicaCount
    guard replicas > 1 else { return nil }
    let form = sharding.form(replicaCount: replicas)
    let offers = shardings.filter { offer in
      (mesh.degree(of: .tensor) == 1 || offer.withTensorParallelism)
        && (mesh.degree(of: .pipeline) == 1 ? offer.withoutPipeline : offer.withPipeline)
    }
    guard let offer = offers.first(where: { $0.form == form }) else {
      let beside = shardings.contains { $0.form == form } ? " beside other axes" : ""
      return Refusal(
        "\(label) does not divide states as \(form.words)\(beside)",
        nearest: nearest(to: form, among: offers).map { $0.statement } ?? "")
    }
    if sharding.secondaryDegree != nil, !offer.withSecondaryCopy {
      return Refusal("\(label) keeps no second copy of the weights", nearest: "secondary_shards=1")
    }
    if sharding.isQuantised, !offer.withQuantisation {
      return Refusal("\(label) quantises no collectives", nearest: "quantise_weights=false,quantise_gradients=false")
    }
    return nil
  }

  /// Of the forms that are offered, one of the highest ZeRO stage up to the one asked for, else of the lowest; of these
  /// the simplest.
  private func nearest(to form: Sharding.Form, among offers: [ShardingOffer]) -> Sharding.Form? {
    let offered = Sharding.Form.allCases.filter { form in offers.contains { $0.form == form } }
    let below = offered.filter { $0.stage <= form.stage }
    let stage = below.map(\.stage).max() ?? offered.map(\.stage).min()
    return offered.first { $0.stage == stage }
  }

  /// Why the framework does not run a job by a strategy with its layers and stages' choices; nil if it does.
  package func refusal(of strategy: Strategy, split: Split, job: TrainingJob) -> Refusal? {
    if let refusal = refusal(of: job) ?? refusal(of: strategy) ?? refusal(of: strategy, job: job) { return refusal }
    if let own = layerSplit.split(of: job.model, among: strategy), own.layerCounts != split.layerCounts {
      return Refusal(
        "\(label) splits layers by its own rule",
        nearest: "layers \(own.layerCounts.map(String.init).joined(separator: ", "))")
    }
    guard let choices = split.choices else { return nil }
    if !movesOptimizerStates(of: job), choices.contains(where: \.offloadsOptimizer) {
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
  /// The kinds of state that are divided.
  var stage: Strategy.ZeroStage {
    switch self {
    case .replicated: .none
    case .optimizer, .optimizerInParts: .optimizer
    case .gradients: .gradients
    case .weights, .hybrid, .hybridWithOuterOptimizer, .other: .weights
    }
  }

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
