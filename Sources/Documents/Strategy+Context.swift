extension Strategy {
  /// How attention sees the whole sequence where ranks divide it among themselves.
  ///
  /// The sequence is cut into twice as many chunks as there are ranks, and rank i holds chunks i and 2·CP − 1 − i, so that
  /// causal attention is the same work for all (TransformerEngine's `attention/dot_product_attention/context_parallel.py`).
  package enum ContextExchange: String, Sendable, CaseIterable, StrategyValue {
    /// Keys and values go round, and each rank attends to them as they pass (Liu et al. 2023, ring attention).
    case ring
    /// Keys and values are gathered (Grattafiori et al. 2024, section 3.3.2).
    case allGather = "all-gather"
    /// Sequences are exchanged for heads before attention and back after it (Jacobs et al. 2023, Ulysses).
    case allToAll = "all-to-all"
    /// The exchange of heads among neighbours, and rings between those.
    case allToAllRing = "all-to-all+ring"
  }

  /// How many ranks do what of a context exchange. The neighbours that exchange heads are the inner ones.
  package struct ContextDivision: Sendable, Hashable {
    /// Neighbours that exchange their parts of the sequence for heads, at least 1.
    package let headDegree: Int
    /// Ranks that are that far apart and share keys and values, at least 1.
    package let sequenceDegree: Int
    /// Whether those gather keys and values; otherwise these go round.
    package let gathers: Bool

    /// A sequence that is not divided.
    package static let none = ContextDivision(headDegree: 1, sequenceDegree: 1, gathers: false)

    package init(headDegree: Int, sequenceDegree: Int, gathers: Bool) {
      self.headDegree = headDegree
      self.sequenceDegree = sequenceDegree
      self.gathers = gathers
    }

    /// Ranks that divide a sequence.
    package var degree: Int { headDegree * sequenceDegree }
  }

  /// How many ranks do what where the sequence is divided.
  package var contextDivision: ContextDivision {
    switch contextExchange {
    case .ring: ContextDivision(headDegree: 1, sequenceDegree: contextDegree, gathers: false)
    case .allGather: ContextDivision(headDegree: 1, sequenceDegree: contextDegree, gathers: true)
    case .allToAll: ContextDivision(headDegree: contextDegree, sequenceDegree: 1, gathers: false)
    case .allToAllRing:
      ContextDivision(
        headDegree: contextInnerDegree, sequenceDegree: max(1, contextDegree / contextInnerDegree), gathers: false)
    }
  }

  /// Tokens of a micro-batch that a rank has.
  package func tokenCount(_ job: TrainingJob) -> Int { microBatch * job.sequenceLength / contextDegree }

  /// The keys of a strategy that say how sequences are divided.
  static let contextKeys: [StrategyKey] = [
    .part(
      "context", \.contextDegree, degrees, plainest: 1,
      "Ranks that divide the sequences of a replica; states are divided and gradients summed among replicas times these.",
      short: { $0.contextDegree > 1 ? "c\($0.contextDegree)" : nil }),
    .part(
      "context_exchange", \.contextExchange, .choices(ContextExchange.allCases.map(\.scalar)), plainest: .ring,
      """
      How attention sees the whole sequence where ranks divide it: keys and values go round, are gathered, or sequences are \
      exchanged for heads, or that among neighbours and rings between them.
      """,
      phrase: { strategy in
        guard strategy.contextDegree > 1 else { return nil }
        return switch strategy.contextExchange {
        case .ring: "keys and values around a ring"
        case .allGather: "keys and values gathered"
        case .allToAll: "sequences exchanged for heads"
        case .allToAllRing:
          "sequences exchanged for heads among \(strategy.contextInnerDegree), keys and values around rings"
        }
      },
      short: { strategy in
        guard strategy.contextDegree > 1 else { return nil }
        return switch strategy.contextExchange {
        case .ring: nil
        case .allGather: "ag"
        case .allToAll: "a2a"
        case .allToAllRing: "a2a\(strategy.contextInnerDegree)+ring"
        }
      }),
    .part(
      "context_inner", \.contextInnerDegree, .integers(1...255), plainest: 1,
      "Neighbours that exchange sequences for heads, under all-to-all+ring."),
  ]
}

/// Why the sequences of a strategy cannot be divided so: facts, and a sentence.
package enum ContextViolation: Sendable, Hashable, CustomStringConvertible {
  case exchangeWithoutContext
  case needsFlashAttention
  case innerDegree(Int, context: Int)
  case innerWithoutBoth
  case sequenceDoesNotDivide(sequence: Int, context: Int, tensor: Int)
  case ringWithWindows
  case sinksWithoutHeads
  case headsDoNotDivide(what: String, count: Int, ranks: Int)
  case zerothOrder

  package var description: String {
    switch self {
    case .exchangeWithoutContext: "context_exchange and context_inner are of a context degree above 1"
    case .needsFlashAttention: "sequences that ranks divide need FlashAttention"
    case .innerDegree(let inner, let context):
      "all-to-all+ring needs a context_inner above 1 that divides the context degree \(context) and is less, not \(inner)"
    case .innerWithoutBoth: "context_inner is of context_exchange all-to-all+ring"
    case .sequenceDoesNotDivide(let sequence, let context, let tensor):
      tensor > 1
        ? "sequence length \(sequence) does not divide into twice the context degree \(context) times the tensor degree \(tensor)"
        : "sequence length \(sequence) does not divide into twice the context degree \(context)"
    case .ringWithWindows: "keys and values cannot go round where attention is limited to a window"
    case .sinksWithoutHeads: "attention with sinks needs sequences exchanged for heads, context_exchange all-to-all"
    case .headsDoNotDivide(let what, let count, let ranks):
      "the \(count) \(what) of a rank do not divide among the \(ranks) ranks that exchange sequences for heads"
    case .zerothOrder: "zeroth-order training has no sequences that ranks divide"
    }
  }

  /// The rule that is broken, without its numbers.
  package var rule: String {
    switch self {
    case .exchangeWithoutContext: "parts of context parallelism without it"
    case .needsFlashAttention: "context parallelism without FlashAttention"
    case .innerDegree: "inner context degree does not divide the context degree"
    case .innerWithoutBoth: "an inner context degree without all-to-all and rings"
    case .sequenceDoesNotDivide: "sequence does not divide among the context group"
    case .ringWithWindows: "rings of keys and values with windows of attention"
    case .sinksWithoutHeads: "attention with sinks and keys that go round or are gathered"
    case .headsDoNotDivide(let what, _, _): "\(what) do not divide among the context group"
    case .zerothOrder: "context parallelism in zeroth-order training"
    }
  }
}

extension Strategy {
  /// The rule of divided sequences that the strategy breaks for a job; nil if it keeps all, or divides none.
  ///
  /// - Precondition: the tensor degree divides heads and key-value heads.
  func contextViolation(_ job: TrainingJob) -> ContextViolation? {
    guard contextDegree > 1 else {
      return contextExchange == .ring && contextInnerDegree == 1 ? nil : .exchangeWithoutContext
    }
    if update == .zerothOrder { return .zerothOrder }
    if !usesFlashAttention { return .needsFlashAttention }
    if contextExchange == .allToAllRing {
      if contextInnerDegree < 2 || contextInnerDegree >= contextDegree || contextDegree % contextInnerDegree != 0 {
        return .innerDegree(contextInnerDegree, context: contextDegree)
      }
    } else if contextInnerDegree > 1 {
      return .innerWithoutBoth
    }
    let tensor = usesSequenceParallelism ? tensorDegree : 1
    if job.sequenceLength % (2 * contextDegree * tensor) != 0 {
      return .sequenceDoesNotDivide(sequence: job.sequenceLength, context: contextDegree, tensor: tensor)
    }
    let division = contextDivision
    if division.sequenceDegree > 1, !division.gathers,
      job.model.windowedLayerCount(sequenceLength: job.sequenceLength) > 0
    {
      return .ringWithWindows
    }
    // Kernels with a learnable term of the softmax take whole rows alone.
    if job.model.form.hasSinks, division.sequenceDegree > 1 { return .sinksWithoutHeads }
    let heads = job.model.headCount / tensorDegree, keyValueHeads = job.model.keyValueHeadCount / tensorDegree
    if heads % division.headDegree != 0 {
      return .headsDoNotDivide(what: "attention heads", count: heads, ranks: division.headDegree)
    }
    if keyValueHeads % division.headDegree != 0 {
      return .headsDoNotDivide(what: "key-value heads", count: keyValueHeads, ranks: division.headDegree)
    }
    return nil
  }
}

extension Mesh {
  /// How the neighbours that exchange sequences for heads are spaced.
  package func headSpacing(_ division: Strategy.ContextDivision) -> RankGroup.Spacing {
    RankGroup.Spacing(stride: blockSize(below: .context), count: division.headDegree)
  }

  /// How the ranks that share keys and values are spaced.
  package func sequenceSpacing(_ division: Strategy.ContextDivision) -> RankGroup.Spacing {
    RankGroup.Spacing(stride: blockSize(below: .context) * division.headDegree, count: division.sequenceDegree)
  }
}
