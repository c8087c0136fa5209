/// How frameworks divide sequences among ranks.
extension Capabilities {
  /// A kind of exchange in the framework's own words.
  package struct ContextOffer: Sendable, Equatable {
    package let exchange: Strategy.ContextExchange
    /// As the framework's users say it.
    package let words: String
  }

  /// Why the framework does not divide sequences so; nil if it does.
  package func refusal(ofContext strategy: Strategy) -> Refusal? {
    guard strategy.contextDegree > 1 else { return nil }
    guard contextExchanges.contains(where: { $0.exchange == strategy.contextExchange }) else {
      return Refusal(
        "\(label) has no context_exchange=\(strategy.contextExchange.rawValue)",
        nearest: contextExchanges.first.map { "context_exchange=\($0.exchange.rawValue)" } ?? "context=1")
    }
    if limits.dividesSequencesWithoutTensorGroups, strategy.tensorDegree > 1 {
      return Refusal("\(label) divides sequences without tensor groups only", nearest: "tensor=1")
    }
    if limits.dividesStatesAlongSequences, strategy.sharding.optimizerDegree % strategy.contextDegree != 0 {
      return Refusal(
        "\(label) divides states among all ranks that divide a sequence",
        nearest: strategy.pipelineDegree > 1 ? "zero_stage=1" : "zero_stage=3")
    }
    return nil
  }
}
