/// How frameworks divide experts among ranks.
extension Capabilities {
  /// What of expert parallelism a framework has.
  package struct ExpertOffer: Sendable, Equatable {
    /// As the framework's users say it.
    package let words: String
    package let dispatchers: [Strategy.Dispatcher]
    /// Whether the width of experts can be divided as well.
    package let dividesWidth: Bool
    /// Whether tokens may be on their way under another micro-batch's computation.
    package let overlaps: Bool
  }

  /// Why the framework does not divide experts so; nil if it does, or none are divided.
  package func refusal(ofExperts strategy: Strategy) -> Refusal? {
    guard strategy.expertDivision != .none else { return nil }
    guard let experts else { return Refusal("\(label) has no expert parallelism", nearest: "expert=1") }
    if !experts.dispatchers.contains(strategy.dispatcher) {
      return Refusal(
        "\(label) has no moe_dispatcher=\(strategy.dispatcher.rawValue)",
        nearest: experts.dispatchers.first.map { "moe_dispatcher=\($0.rawValue)" } ?? "expert=1")
    }
    if strategy.expertTensorDegree > 1, !experts.dividesWidth {
      return Refusal("\(label) does not divide the width of experts", nearest: "expert_tensor=1")
    }
    if strategy.overlapsExperts, !experts.overlaps {
      return Refusal("\(label) has no overlap of tokens' way", nearest: "moe_overlap=false")
    }
    return nil
  }

  /// Why the framework does not divide the experts of a job so; nil if it does.
  ///
  /// The libraries that send tokens once have kernels for bf16 alone, and the framework's own wait for somebody to send to.
  func refusal(ofExperts strategy: Strategy, job: TrainingJob) -> Refusal? {
    guard strategy.expertDivision != .none else { return nil }
    let dispatcher = strategy.dispatcher
    if dispatcher.sendsOnce, job.precision.storage != .bf16 || strategy.expertDegree == 1 {
      return Refusal(
        "\(label) sends tokens by \(dispatcher.rawValue) in bf16 and to several ranks only",
        nearest: "moe_dispatcher=alltoall")
    }
    if strategy.overlapsExperts, !job.precision.is16Bit {
      return Refusal("\(label) overlaps tokens' way in 16-bit training only", nearest: "moe_overlap=false")
    }
    if strategy.expertTensorDegree > 1, job.model.experts?.hasBias == true {
      return Refusal("\(label) does not divide the width of experts with biases", nearest: "expert_tensor=1")
    }
    return nil
  }
}
