import Documents
import Training

/// Seconds of one micro-batch on one rank, by part of the model and by cause.
///
/// Depends on tensor degree, micro-batch, recomputation, sequence parallelism and attention kernel only, so it is
/// computed once for the many strategies that share those, and referred to by all of them.
package final class MicroBatchCost: Sendable {
  /// A forward and a backward pass of one part of the model, by cause.
  package struct Passes: Sendable, Equatable {
    /// Computation of the forward pass.
    package var forwardComputeSeconds = 0.0
    /// Exposed collectives of the tensor group, forward.
    package var forwardTensorSeconds = 0.0
    /// Exposed exchanges of ranks that divide a sequence, forward.
    package var forwardContextSeconds = 0.0
    /// Exposed exchanges of tokens and experts, forward.
    package var forwardExpertSeconds = 0.0
    /// Computation of the backward pass, without what is recomputed.
    package var backwardComputeSeconds = 0.0
    /// Exposed collectives of the tensor group, backward, those of recomputation included.
    package var backwardTensorSeconds = 0.0
    /// Exposed exchanges of ranks that divide a sequence, backward, those of recomputation included.
    package var backwardContextSeconds = 0.0
    /// Exposed exchanges of tokens and experts, backward, those of recomputation included.
    package var backwardExpertSeconds = 0.0
    /// Computation that backward repeats.
    package var recomputeSeconds = 0.0
    /// Of the backward pass' computation, what the gradient of the input does not wait for: gradients of weights, and adding
    /// them up.
    package var weightGradientSeconds = 0.0

    /// The forward pass.
    package var forwardSeconds: Double {
      forwardComputeSeconds + forwardTensorSeconds + forwardContextSeconds + forwardExpertSeconds
    }
    /// The backward pass.
    package var backwardSeconds: Double {
      backwardComputeSeconds + backwardTensorSeconds + recomputeSeconds + backwardContextSeconds + backwardExpertSeconds
    }
  }

  /// A transformer block, by kind.
  let layers: ByKind<Passes>
  /// One of which nothing is recomputed.
  let keptLayers: ByKind<Passes>
  /// Of the ways of tokens through a layer, both passes, what is exposed where two micro-batches run beside each other; 0 in
  /// a model without experts.
  private let combinedExposedSeconds: Double
  /// Embedding look-up, on the first stage, with what its layers take longer that multiply as they are stored.
  package let embedding: Passes
  /// Final norm, output head and loss, on the last stage, with what predicts further tokens, and what layers before it take
  /// longer that multiply as they are stored.
  package let head: Passes
  /// Bytes that are kept from forward to backward.
  let kept: KeptActivations
  /// Of the kernels of a layer's forward pass, by kind, the share that is launched again.
  let launchedAgainShare: ByKind<Double>

  /// Passes of which nothing is run again.
  let unrepeated: UnrepeatedPasses

  /// - Parameters:
  ///   - kept: the recipe's; nil where nobody has counted them yet.
  ///   - known: the same passes of a recipe that differs in what is recomputed alone; nil where none was priced.
  ///   - other: the same micro-batch with experts divided otherwise; nil where none was priced.
  init(
    _ recipe: Recipe, rates: ComputeRates, framework: DeviceProfile.Framework, tensorGroup group: CommunicationGroup,
    context: ContextGroups, experts: ExpertGroups, kept: KeptActivations? = nil,
    unrepeated known: UnrepeatedPasses? = nil, sharing other: MicroBatchCost? = nil
  ) {
    let unrepeated =
      known
      ?? UnrepeatedPasses(
        recipe, rates: rates, framework: framework, tensorGroup: group, context: context, experts: experts)
    self.unrepeated = unrepeated
    // What another division of experts shares need not be looked at again.
    let steps = ByKind(
      dense: other == nil || recipe.predictionDepth > 0 && !recipe.predictsWithExperts
        ? BlockSteps(recipe, .block) : nil,
      experts: recipe.experts == nil ? nil : BlockSteps(recipe, .expertBlock))
    let again = steps.map { block in
      block.map {
        let account = Account($0.again, on: rates)
        return Passes(
          forward: account, backward: account, group: group, context: context, experts: experts, framework: framework)
      }
    }
    /// Passes as the strategy says: what is run again before the backward pass is as the forward pass that it is part of.
    func repeating(_ passes: Passes, _ again: Passes?) -> Passes {
      var passes = passes
      if let again { passes.addAgain(again) }
      return passes
    }
    keptLayers = unrepeated.layers
    let dense = other?.layers.dense ?? repeating(unrepeated.layers.dense, again.dense)
    let routed = recipe.experts == nil ? dense : repeating(unrepeated.layers.experts, again.experts)
    layers = ByKind(dense: dense, experts: routed)
    combinedExposedSeconds = unrepeated.tokensWay.map { CombinedPasses(passes: routed, $0).exposedSeconds } ?? 0
    var embedding = unrepeated.embedding, head = unrepeated.head
    if let prediction = unrepeated.prediction {
      let prediction = repeating(prediction, recipe.predictsWithExperts ? again.experts : again.dense)
      for _ in 0..<recipe.predictionDepth { head.add(prediction) }
    }
    if let ends = recipe.wideEnds, let recipe = recipe.wide {
      let wide = MicroBatchCost(
        recipe, rates: rates, framework: framework, tensorGroup: group, context: context, experts: experts, kept: kept)
      embedding.add(ends.first, as: wide.layers, for: layers)
      head.add(ends.last, as: wide.layers, for: layers)
    }
    self.embedding = embedding
    self.head = head
    self.kept = kept ?? KeptActivations(recipe, sharing: other?.kept)
    // What frameworks select by themselves is a kernel or two, within what was measured of layers.
    func launchedAgainShare(_ steps: BlockSteps?) -> Double {
      guard let steps, recipe.recompute == .full || recipe.runsModulesAgain else { return 0 }
      return Recipe.launchedAgainShare(forward: steps.forward, again: steps.again)
    }
    let ofDense = other?.launchedAgainShare.dense ?? launchedAgainShare(steps.dense)
    self.launchedAgainShare = ByKind(
      dense: ofDense, experts: recipe.experts == nil ? ofDense : launchedAgainShare(steps.experts))
  }

  /// Another with layers of its own.
  private init(_ other: MicroBatchCost, layers: ByKind<Passes>, keptLayers: ByKind<Passes>) {
    self.layers = layers
    self.keptLayers = keptLayers
    combinedExposedSeconds = other.combinedExposedSeconds
    embedding = other.embedding
    head = other.head
    kept = other.kept
    launchedAgainShare = other.launchedAgainShare
    unrepeated = other.unrepeated
  }
}

extension MicroBatchCost {
  /// The same where passes of two micro-batches run beside each other, but for a share of them.
  func combined(unpairedShare share: Double) -> MicroBatchCost {
    func combined(_ passes: Passes) -> Passes {
      let serial = passes.forwardExpertSeconds + passes.backwardExpertSeconds
      guard serial > combinedExposedSeconds else { return passes }
      var passes = passes
      let factor = share + (1 - share) * combinedExposedSeconds / serial
      passes.forwardExpertSeconds *= factor
      passes.backwardExpertSeconds *= factor
      return passes
    }
    return MicroBatchCost(
      self, layers: ByKind(dense: layers.dense, experts: combined(layers.experts)),
      keptLayers: ByKind(dense: keptLayers.dense, experts: combined(keptLayers.experts)))
  }
}
