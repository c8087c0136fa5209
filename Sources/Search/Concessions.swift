import Costing
import Documents

/// What a search gives up where nothing fits without it, all of which takes time.
struct Concessions: Sendable, Equatable {
  /// Whether what hosts may hold and do is walked as far as it is not fixed.
  var searchesHosting = false
  /// Whether tensor groups' exchanges run by themselves where nobody said that they run beside products, and need no buffers.
  var exchangesAlone = false
}

extension PlanSearch {
  /// What is given up step by step, nothing at first: only once nothing fits is more.
  var concessions: [Concessions] {
    let mayHost = model.cluster.host != nil && capabilities.map { $0.hosting != nil } ?? true
    let mayExchangeAlone =
      pattern.overlapsTensorExchange == nil && model.hidesTensorExchangesWhereAsked
      && capabilities.map { $0.tensorOverlap != nil } ?? true
    return (mayHost ? [false, true] : [false]).flatMap { hosting in
      (mayExchangeAlone ? [false, true] : [false]).map { Concessions(searchesHosting: hosting, exchangesAlone: $0) }
    }
  }
}
