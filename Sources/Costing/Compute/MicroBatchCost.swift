import Documents
import Training

/// Seconds of one micro-batch on one rank, by part of the model and by cause.
///
/// Depends on tensor degree, micro-batch, recomputation, sequence parallelism and attention kernel only, so it is
/// computed once for the many strategies that share those.
package struct MicroBatchCost: Sendable {
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
  private(set) var layers: ByKind<Passes>
  /// One of which nothing is recomputed.
  private(set) var keptLayers: ByKind<Passes>
  /// Of the ways of tokens through a layer, both passes, what is exposed where two micro-batches run beside each other; 0 in
  /// a model without experts.
  private let combinedExposedSeconds: Double
  /// Embedding look-up, on the first stage.
  package let embedding: Passes
  /// Final norm, output head and loss, on the last stage, with what predicts further tokens.
  package let head: Passes
  /// Bytes that are kept from forward to backward.
  let kept: KeptActivations
  /// Of the kernels of a layer's forward pass, by kind, the share that is launched again.
  let launchedAgainShare: ByKind<Double>

  init(
    _ recipe: Recipe, rates: ComputeRates, framework: DeviceProfile.Framework, tensorGroup group: CommunicationGroup,
    context: ContextGroups, experts: ExpertGroups
  ) {
    func account(_ part: Recipe.Part, _ pass: Recipe.Pass) -> Account { Account(recipe, part, pass, on: rates) }
    func weightGradient(_ part: Recipe.Part) -> Double {
      let account = account(part, .weightGradient)
      return account.seconds + account.accumulationSeconds
    }
    /// A block as it is, and as the strategy says.
    func block(_ part: Recipe.Part) -> (kept: Passes, layer: Passes) {
      var kept = Passes(
        forward: account(part, .forward), backward: account(part, .backward), group: group, context: context,
        experts: experts, framework: framework)
      kept.weightGradientSeconds = weightGradient(part)
      var layer = kept
      layer.addAgain(again(part))
      return (kept, layer)
    }
    /// What is run again before a backward pass, as the forward pass that it is part of.
    func again(_ part: Recipe.Part) -> Passes {
      let account = account(part, .recompute)
      return Passes(
        forward: account, backward: account, group: group, context: context, experts: experts, framework: framework)
    }
    let dense = block(.block), routed = recipe.experts == nil ? dense : block(.expertBlock)
    layers = ByKind(dense: dense.layer, experts: routed.layer)
    keptLayers = ByKind(dense: dense.kept, experts: routed.kept)
    combinedExposedSeconds =
      recipe.experts == nil
      ? 0 : CombinedPasses(recipe, passes: routed.layer, rates: rates, experts: experts).exposedSeconds
    var embedding = Passes(
      forward: account(.embedding, .forward), backward: account(.embedding, .backward), group: group)
    embedding.weightGradientSeconds = weightGradient(.embedding)
    self.embedding = embedding
    var head = Passes(forward: account(.head, .forward), backward: account(.head, .backward), group: group)
    head.weightGradientSeconds = weightGradient(.head)
    if recipe.predictionDepth > 0 {
      var prediction = Passes(
        forward: account(.prediction, .forward), backward: account(.prediction, .backward), group: group,
        context: context, experts: experts, framework: framework)
      prediction.addAgain(again(.prediction))
      for _ in 0..<recipe.predictionDepth { head.add(prediction) }
    }
    self.head = head
    kept = KeptActivations(recipe)
    // What frameworks select by themselves is a kernel or two, within what was measured of layers.
    func launchedAgainShare(_ part: Recipe.Part) -> Double {
      recipe.recompute == .full || recipe.runsModulesAgain ? recipe.launchedAgainShare(part) : 0
    }
    let ofDense = launchedAgainShare(.block)
    self.launchedAgainShare = ByKind(
      dense: ofDense, experts: recipe.experts == nil ? ofDense : launchedAgainShare(.expertBlock))
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
    var copy = self
    copy.layers = ByKind(dense: layers.dense, experts: combined(layers.experts))
    copy.keptLayers = ByKind(dense: keptLayers.dense, experts: combined(keptLayers.experts))
    return copy
  }
}

extension CombinedPasses {
  /// Of a layer with experts: what lies on either side of its tokens' way.
  ///
  /// - Parameter passes: of the layer, whose other collectives and recomputation go with attention.
  fileprivate init(
    _ recipe: Recipe, passes: MicroBatchCost.Passes, rates: ComputeRates, experts: ExpertGroups
  ) {
    func routed(_ pass: Recipe.Pass) -> Account {
      Account(
        recipe.steps(.expertBlock, pass).filter { if case .piece(.experts, _) = $0 { true } else { false } }, on: rates)
    }
    func exchange(_ pass: Recipe.Pass, _ tensors: [RoutedTensor]) -> Double {
      recipe.steps(.expertBlock, pass).reduce(0) { sum, step in
        guard case .collective(let it) = step, case .routed(let tensor) = it.operand, tensors.contains(tensor) else {
          return sum
        }
        return sum + experts.seconds(of: it)
      }
    }
    let forward = routed(.forward), backward = routed(.backward)
    // Half of the backward products are the weights' gradients.
    let weights = backward.gemmSeconds / 2 + backward.accumulationSeconds
    self.init(
      attentionForward: passes.forwardSeconds - passes.forwardExpertSeconds - forward.seconds,
      attentionBackward: passes.backwardSeconds - passes.backwardExpertSeconds - backward.seconds
        - backward.accumulationSeconds,
      expertsForward: forward.seconds, expertsBackward: backward.seconds - backward.gemmSeconds / 2,
      expertWeights: weights, dispatchForward: exchange(.forward, [.tokens, .weights]),
      combineForward: exchange(.forward, [.outputs]), combineBackward: exchange(.backward, [.outputsGradient]),
      dispatchBackward: exchange(.backward, [.tokensGradient, .weightsGradient]))
  }
}

extension MicroBatchCost.Passes {
  /// Passes whose collectives nothing hides, of embedding and head.
  fileprivate init(forward: Account, backward: Account, group: CommunicationGroup) {
    func seconds(_ account: Account) -> Double {
      account.collectives.reduce(0) {
        $0 + Double($1.count) * group.seconds(of: $1.collective.kind, byteCount: Double($1.collective.byteCount))
      }
    }
    forwardComputeSeconds = forward.seconds
    forwardTensorSeconds = seconds(forward)
    backwardComputeSeconds = backward.seconds + backward.accumulationSeconds
    backwardTensorSeconds = seconds(backward)
  }

  /// Adds what is run again before the backward pass, as the forward pass that it is part of.
  fileprivate mutating func addAgain(_ again: Self) {
    recomputeSeconds += again.forwardComputeSeconds
    backwardTensorSeconds += again.forwardTensorSeconds
    backwardContextSeconds += again.forwardContextSeconds
    backwardExpertSeconds += again.forwardExpertSeconds
  }

  /// Adds the passes of another part.
  fileprivate mutating func add(_ other: Self) {
    forwardComputeSeconds += other.forwardComputeSeconds
    forwardTensorSeconds += other.forwardTensorSeconds
    forwardContextSeconds += other.forwardContextSeconds
    forwardExpertSeconds += other.forwardExpertSeconds
    backwardComputeSeconds += other.backwardComputeSeconds
    backwardTensorSeconds += other.backwardTensorSeconds
    backwardContextSeconds += other.backwardContextSeconds
    backwardExpertSeconds += other.backwardExpertSeconds
    recomputeSeconds += other.recomputeSeconds
  }

  /// Passes of a block, whose collectives a framework runs at a rate of its own, and beside its products for a share.
  fileprivate init(
    forward: Account, backward: Account, group: CommunicationGroup, context: ContextGroups,
    experts: ExpertGroups, framework: DeviceProfile.Framework
  ) {
    func exposedSeconds(_ account: Account) -> Double {
      var seconds = 0.0, regatherSeconds = 0.0, count = 0
      for equal in account.collectives {
        // A share of the rate: the bytes that would take as long at the full one.
        let ofEach = group.seconds(
          of: equal.collective.kind, byteCount: Double(equal.collective.byteCount) / framework.tensorRateFraction)
        count += equal.count
        if equal.collective.operand == .columnInput {
          regatherSeconds += Double(equal.count) * ofEach
        } else {
          seconds += Double(equal.count) * ofEach
        }
      }
      // The gathers of inputs for the weights' gradients run under the product that does not
      // need them (Korthikanti et al. 2022, section 4.2.2).
      seconds += max(0, regatherSeconds - account.columnInputGradientSeconds)
      return seconds - framework.tensorOverlapFraction * min(seconds, account.seconds)
        + Double(count) * framework.tensorCollectiveSeconds
    }
    forwardComputeSeconds = forward.seconds
    forwardTensorSeconds = exposedSeconds(forward)
    backwardComputeSeconds = backward.seconds + backward.accumulationSeconds
    backwardTensorSeconds = exposedSeconds(backward)
    forwardContextSeconds = context.exposedSeconds(forward)
    backwardContextSeconds = context.exposedSeconds(backward)
    forwardExpertSeconds = experts.seconds(forward)
    backwardExpertSeconds = experts.seconds(backward)
  }
}
