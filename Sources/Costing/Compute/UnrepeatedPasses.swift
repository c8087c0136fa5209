import Documents
import Training

/// Passes of a micro-batch of which nothing is run again: the same for every recipe that differs in what is recomputed alone,
/// and but for experts for every division of these.
struct UnrepeatedPasses: Sendable {
  typealias Passes = MicroBatchCost.Passes

  /// A transformer block, by kind.
  let layers: ByKind<Passes>
  /// Embedding look-up.
  let embedding: Passes
  /// Final norm, output head and loss.
  let head: Passes
  /// A block that predicts a further token, with its head; nil in a model without.
  let prediction: Passes?
  /// Of a block with experts, what lies on either side of its tokens' way; nil in a model without.
  let tokensWay: TokensWay?

  /// - Parameter other: the same with experts divided otherwise; nil where none was priced.
  init(
    _ recipe: Recipe, rates: ComputeRates, framework: DeviceProfile.Framework, tensorGroup group: CommunicationGroup,
    context: ContextGroups, experts: ExpertGroups, sharing other: UnrepeatedPasses? = nil
  ) {
    func account(_ part: Recipe.Part, _ pass: Recipe.Pass) -> Account { Account(recipe, part, pass, on: rates) }
    func weightGradientSeconds(_ part: Recipe.Part) -> Double {
      let account = account(part, .weightGradient)
      return account.seconds + account.accumulationSeconds
    }
    func passes(_ part: Recipe.Part, forward: Account, backward: Account) -> Passes {
      Passes(
        forward: forward, backward: backward, group: group, context: context, experts: experts, framework: framework)
    }
    func block(_ part: Recipe.Part) -> Passes {
      var block = passes(part, forward: account(part, .forward), backward: account(part, .backward))
      block.weightGradientSeconds = weightGradientSeconds(part)
      return block
    }
    /// A part whose collectives nothing hides.
    func end(_ part: Recipe.Part) -> Passes {
      var end = Passes(forward: account(part, .forward), backward: account(part, .backward), group: group)
      end.weightGradientSeconds = weightGradientSeconds(part)
      return end
    }
    embedding = other?.embedding ?? end(.embedding)
    head = other?.head ?? end(.head)
    let dense = other?.layers.dense ?? block(.block)
    if recipe.experts == nil {
      layers = ByKind(dense: dense, experts: dense)
      tokensWay = nil
    } else {
      let forward = recipe.steps(.expertBlock, .forward), backward = recipe.steps(.expertBlock, .backward)
      var routed = passes(
        .expertBlock, forward: Account(forward, on: rates), backward: Account(backward, inReverse: true, on: rates))
      routed.weightGradientSeconds = weightGradientSeconds(.expertBlock)
      layers = ByKind(dense: dense, experts: routed)
      tokensWay = TokensWay(forward: forward, backward: backward, rates: rates, experts: experts)
    }
    prediction =
      recipe.predictionDepth == 0
      ? nil
      : passes(.prediction, forward: account(.prediction, .forward), backward: account(.prediction, .backward))
  }
}

extension UnrepeatedPasses {
  /// Seconds of experts, and of what brings tokens to them and back.
  struct TokensWay: Sendable {
    /// Of experts' own products and what lies between them.
    let forwardSeconds, backwardSeconds, backwardGEMMSeconds, accumulationSeconds: Double
    let dispatchForward, combineForward, combineBackward, dispatchBackward: Double

    fileprivate init(forward: [Recipe.Step], backward: [Recipe.Step], rates: ComputeRates, experts: ExpertGroups) {
      func routed(_ steps: [Recipe.Step]) -> Account {
        Account(steps.filter { if case .piece(.experts, _) = $0 { true } else { false } }, on: rates)
      }
      func exchange(_ steps: [Recipe.Step], _ tensors: [RoutedTensor]) -> Double {
        steps.reduce(0) { sum, step in
          guard case .collective(let it) = step, case .routed(let tensor) = it.operand, tensors.contains(tensor) else {
            return sum
          }
          return sum + experts.seconds(of: it)
        }
      }
      let products = routed(backward)
      forwardSeconds = routed(forward).seconds
      backwardSeconds = products.seconds
      backwardGEMMSeconds = products.gemmSeconds
      accumulationSeconds = products.accumulationSeconds
      dispatchForward = exchange(forward, [.tokens, .weights])
      combineForward = exchange(forward, [.outputs])
      combineBackward = exchange(backward, [.outputsGradient])
      dispatchBackward = exchange(backward, [.tokensGradient, .weightsGradient])
    }
  }
}

extension CombinedPasses {
  /// Of a layer with experts.
  ///
  /// - Parameter passes: of the layer, whose other collectives and recomputation go with attention.
  init(passes: MicroBatchCost.Passes, _ way: UnrepeatedPasses.TokensWay) {
    self.init(
      attentionForward: passes.forwardSeconds - passes.forwardExpertSeconds - way.forwardSeconds,
      attentionBackward: passes.backwardSeconds - passes.backwardExpertSeconds - way.backwardSeconds
        - way.accumulationSeconds,
      expertsForward: way.forwardSeconds,
      // Half of the backward products are the weights' gradients.
      expertsBackward: way.backwardSeconds - way.backwardGEMMSeconds / 2,
      expertWeights: way.backwardGEMMSeconds / 2 + way.accumulationSeconds,
      dispatchForward: way.dispatchForward, combineForward: way.combineForward, combineBackward: way.combineBackward,
      dispatchBackward: way.dispatchBackward)
  }
}
