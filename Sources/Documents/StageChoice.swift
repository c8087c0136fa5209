package import JSONText

/// What one pipeline stage trades for memory: time for activations, transfers for optimizer states.
///
/// Stages of 1F1B differ in how many micro-batches they keep, so what the first has to give up the last need not. Both
/// choices are a rank's own business: in Megatron-LM `--recompute-granularity full --recompute-method block` recomputes
/// the first `--recompute-num-layers` layers of each chunk. States that leave the device between steps are offered by no
/// release of it. What shards the states is not a rank's own: data-parallel ranks of all stages agree on it.
@usableFromInline package struct StageChoice: Sendable, Hashable {
  /// Layers of each of the stage's chunks that are recomputed in backward; the others keep all activations.
  package let recomputedLayerCount: Int
  /// Whether optimizer states lie in the host's memory but for the step.
  package let offloadsOptimizer: Bool
  /// Layers whose weights lie on the host between their uses, where weights do; nil is all of them. Under zeroth-order
  /// training only.
  package let hostedLayerCount: Int?

  /// - Parameters:
  ///   - recomputedLayerCount: of each chunk.
  ///   - hostedLayerCount: of the stage.
  @usableFromInline package init(
    recomputedLayerCount: Int, offloadsOptimizer: Bool = false, hostedLayerCount: Int? = nil
  ) {
    self.recomputedLayerCount = recomputedLayerCount
    self.offloadsOptimizer = offloadsOptimizer
    self.hostedLayerCount = hostedLayerCount
  }
}

extension StageChoice {
  init(_ field: Field, layerCount: Int) throws(DocumentError) {
    var fields = try field.fields()
    recomputedLayerCount = try fields.required("recomputed_layers").integer(in: 0...layerCount)
    offloadsOptimizer = try fields.required("offload_optimizer").boolean()
    hostedLayerCount = try fields.optional("hosted_layers").map { (field) throws(DocumentError) in
      try field.integer(in: 0...layerCount)
    }
    try fields.finish()
  }

  /// `{"recomputed_layers": 4, "offload_optimizer": false}`, and `"hosted_layers": 90` where that is stated.
  package var json: JSON {
    object(
      ("recomputed_layers", .integer(recomputedLayerCount)), ("offload_optimizer", .boolean(offloadsOptimizer)),
      ("hosted_layers", hostedLayerCount.map(JSON.integer)))
  }
}

extension Strategy {
  /// Whether optimizer states can be offloaded: Megatron's distributed optimizer does
  /// it, which a single replica may use as well.
  /// Pages of an optimizer of their own move however states are divided.
  package func canOffloadOptimizer(_ optimizer: Optimizer) -> Bool {
    optimizer.isPaged || zeroStage == .optimizer || zeroStage == .none && replicaCount == 1
  }

  /// Why stages cannot choose as a split says; nil where they can, or choose nothing.
  ///
  /// - Parameter host: the nodes' host side, if the cluster describes it.
  package func contradiction(
    of split: Split, optimizer: Optimizer, host: ClusterDescription.Host?
  ) -> String? {
    guard let choices = split.choices else { return nil }
    if update == .zerothOrder, choices.contains(where: \.offloadsOptimizer) {
      return "zeroth-order training has no optimizer states to offload"
    }
    if choices.count != pipelineDegree {
      return "expected a choice for each of \(pipelineDegree) stages, found \(choices.count)"
    }
    for (stage, choice) in choices.enumerated() {
      // Of a shorter chunk all are.
      let longest = split.longestChunk(ofStage: stage)
      if choice.recomputedLayerCount > longest {
        return "stage \(stage) recomputes \(choice.recomputedLayerCount) layers of a chunk that has \(longest)"
      }
      if choice.recomputedLayerCount > 0, recompute != .full {
        return "stage \(stage) recomputes layers, but the strategy's recompute is \(recompute.rawValue)"
      }
      if let hosted = choice.hostedLayerCount {
        if update != .zerothOrder || !hosting.holdsWeights {
          return "stage \(stage) has layers on the host one by one, which is of zeroth-order training with host_weights"
        }
        let layers = split.layerCount(ofStage: stage)
        if hosted > layers { return "stage \(stage) has \(hosted) layers on the host, of \(layers)" }
      }
      if choice.offloadsOptimizer {
        if host == nil { return "stage \(stage) offloads its optimizer, but the cluster describes no host" }
        if !canOffloadOptimizer(optimizer) {
          return "stage \(stage) offloads its optimizer, which needs ZeRO 1 or a single replica"
        }
      }
    }
    return nil
  }
}
