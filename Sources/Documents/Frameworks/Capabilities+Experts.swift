/// How frameworks divide experts among ranks.
extension Capabilities {
  /// What of expert parallelism a framework has.
  package struct ExpertOffer: Sendable, Equatable {
    /// How far the width of each expert is divided.
    package enum Widths: Sendable {
      /// Never.
      case whole
      /// As the plan says.
      case any
      /// As far as other layers' matrices where no ranks divide the experts themselves, else not at all. The tensor groups then
      /// gather all of their tokens, each of which every rank computes a part of.
      case asTensorGroupsOrWhole
    }

    /// As the framework's users say it.
    package let words: String
    /// Between ranks that divide experts.
    package let dispatchers: [Strategy.Dispatcher]
    package var widths = Widths.whole
    /// Whether tokens may be on their way under another micro-batch's computation.
    package var overlaps = false
    /// Whether experts are divided only among ranks that divide states and their tensor groups.
    package var liesWithinShards = false
    /// Whether experts are divided without tensor groups only.
    package var withoutTensorGroups = false
    /// Whether weights, where they are divided beside experts, are divided among all replicas, and of whole sequences only.
    package var dividesWeightsAmongAll = false
    /// Whether experts may be other than three matrices: have biases, or read narrow vectors.
    package var hasOtherExperts = true
    /// Ways of tokens that leave no room for the rows that products in FP8 are padded with.
    package var unpadded: [Strategy.Dispatcher] = []

    /// Whether ranks that divide the width of experts so stand beside those that divide the experts.
    package func divides(width: Int, expertDegree: Int, tensorDegree: Int) -> Bool {
      switch widths {
      case .whole: width == 1
      case .any: true
      case .asTensorGroupsOrWhole: width == (expertDegree == 1 ? tensorDegree : 1)
      }
    }

    /// The ways of tokens beside such degrees.
    package func dispatchers(width: Int, expertDegree: Int) -> [Strategy.Dispatcher] {
      widths == .asTensorGroupsOrWhole && expertDegree == 1 && width > 1 ? [.allGather] : dispatchers
    }

    /// Those of them beside what blocks multiply in.
    package func dispatchers(width: Int, expertDegree: Int, precision: Precision) -> [Strategy.Dispatcher] {
      dispatchers(width: width, expertDegree: expertDegree).filter {
        precision.products == nil || !unpadded.contains($0)
      }
    }
  }

  /// Why the framework does not divide experts so; nil if it does, or none are divided.
  package func refusal(ofExperts strategy: Strategy) -> Refusal? {
    guard strategy.expertDivision != .none else { return nil }
    guard let experts else { return Refusal("\(label) has no expert parallelism", nearest: "expert=1") }
    if let refusal = refusal(ofWidth: strategy, of: experts) { return refusal }
    let dispatchers = experts.dispatchers(width: strategy.expertTensorDegree, expertDegree: strategy.expertDegree)
    if !dispatchers.contains(strategy.dispatcher) {
      return Refusal(
        "\(label) has no moe_dispatcher=\(strategy.dispatcher.rawValue)"
          + (dispatchers == experts.dispatchers ? "" : " where the width of experts is divided"),
        nearest: dispatchers.first.map { "moe_dispatcher=\($0.rawValue)" } ?? "expert=1")
    }
    if strategy.overlapsExperts, !experts.overlaps {
      return Refusal("\(label) has no overlap of tokens' way", nearest: "moe_overlap=false")
    }
    guard strategy.expertDegree > 1 else { return nil }
    if experts.withoutTensorGroups, strategy.tensorDegree > 1 {
      return Refusal("\(label) divides experts without tensor groups only", nearest: "tensor=1")
    }
    if experts.dividesWeightsAmongAll, strategy.sharding.weightDegree > 1,
      strategy.sharding.weightDegree < strategy.replicaCount || strategy.contextDegree > 1
    {
      return Refusal(
        "\(label) divides weights beside experts among all replicas and of whole sequences only",
        nearest: "zero_stage=2")
    }
    if experts.liesWithinShards, strategy.sharding.optimizerDegree * strategy.tensorDegree % strategy.expertDegree != 0
    {
      return Refusal(
        "\(label) divides experts among ranks that divide states, and their tensor groups, only",
        nearest: "optimizer_shards of a multiple of the expert degree over the tensor degree")
    }
    return nil
  }

  /// Why the framework does not divide the width of experts so; nil if it does.
  private func refusal(ofWidth strategy: Strategy, of experts: ExpertOffer) -> Refusal? {
    let (expert, tensor) = (strategy.expertDegree, strategy.tensorDegree)
    if experts.divides(width: strategy.expertTensorDegree, expertDegree: expert, tensorDegree: tensor) { return nil }
    switch experts.widths {
    case .whole, .any: return Refusal("\(label) does not divide the width of experts", nearest: "expert_tensor=1")
    case .asTensorGroupsOrWhole:
      return expert == 1
        ? Refusal(
          "\(label) divides the width of experts by tensor groups where no ranks divide experts",
          nearest: "expert_tensor=\(tensor),moe_dispatcher=\(Strategy.Dispatcher.allGather.rawValue)")
        : Refusal("\(label) does not divide the width of experts that ranks divide", nearest: "expert_tensor=1")
    }
  }

  /// Why the framework does not divide the experts of a job so; nil if it does.
  ///
  /// The libraries that send tokens once have kernels for bf16 alone, and the framework's own wait for somebody to send to.
  func refusal(ofExperts strategy: Strategy, job: TrainingJob) -> Refusal? {
    guard let ofModel = job.model.experts else { return nil }
    if let experts, let refusal = refusal(ofWidth: strategy, of: experts) { return refusal }
    guard strategy.expertDivision != .none else { return nil }
    if experts?.hasOtherExperts == false, ofModel.hasBias || ofModel.latentSize != nil {
      return Refusal("\(label) divides experts of three matrices only", nearest: "expert=1")
    }
    let dispatcher = strategy.dispatcher
    if dispatcher.sendsOnce, job.precision.storage != .bf16 || strategy.expertDegree == 1 {
      return Refusal(
        "\(label) sends tokens by \(dispatcher.rawValue) in bf16 and to several ranks only",
        nearest: "moe_dispatcher=alltoall")
    }
    let offered = experts?.dispatchers(
      width: strategy.expertTensorDegree, expertDegree: strategy.expertDegree, precision: job.precision)
    if job.precision.products != nil, let offered, !offered.contains(dispatcher) {
      return Refusal(
        "\(label) has no moe_dispatcher=\(dispatcher.rawValue) with products in \(job.precision.rawValue)",
        nearest: offered.first.map { "moe_dispatcher=\($0.rawValue)" } ?? "expert=1")
    }
    if strategy.overlapsExperts, !job.precision.is16Bit {
      return Refusal("\(label) overlaps tokens' way in 16-bit training only", nearest: "moe_overlap=false")
    }
    if strategy.expertTensorDegree > 1, ofModel.hasBias {
      return Refusal("\(label) does not divide the width of experts with biases", nearest: "expert_tensor=1")
    }
    return nil
  }
}
