package import Documents
package import Training

/// Seconds of every step of a micro-batch's passes on one model of device: ``MicroBatchCost`` laid out in time.
///
/// The pieces of a pass add up to its computation and the collectives to what of them is exposed: what hides under
/// computation is taken from all of them in proportion. The host's launches and what replicas exchange are not in it.
package struct StepSeconds: Sendable {
  /// A step of the recipe with its seconds.
  package struct TimedStep: Sendable {
    package let step: Recipe.Step
    package let seconds: Double
  }

  private let passes: [[TimedStep]]

  /// The steps of a pass in order, as programs run them: what a framework itself selects is part of the backward piece that
  /// needs it first, so that only full recomputation, and that of named modules, has a pass of its own.
  package func steps(_ part: Recipe.Part, _ pass: Recipe.Pass) -> [TimedStep] {
    passes[part.rawValue * Recipe.Pass.allCases.count + pass.rawValue]
  }

  init(
    _ recipe: Recipe, cost: MicroBatchCost, rates: ComputeRates, tensorGroup group: CommunicationGroup,
    context: ContextGroups, experts: ExpertGroups
  ) {
    let isSelective = recipe.recompute == .selective && !recipe.runsModulesAgain
    let again = isSelective ? Account(recipe, .block, .recompute, on: rates).seconds : 0
    // Before the piece that needs the core, which is fused where the sequence is divided, or before all of them.
    let place = recipe.selective == .attentionCore ? ModelPiece.attentionCore : .feedForwardOutput
    func timed(_ part: Recipe.Part, _ pass: Recipe.Pass) -> [TimedStep] {
      let costs =
        switch part {
        case .embedding: cost.embedding
        case .block: cost.keptLayers.dense
        case .expertBlock: cost.keptLayers.experts
        case .prediction, .head: cost.head
        }
      let isForward = pass == .forward || pass == .recompute
      var exposed = isForward ? costs.forwardTensorSeconds : costs.backwardTensorSeconds
      var exposedContext = isForward ? costs.forwardContextSeconds : costs.backwardContextSeconds
      if pass == .recompute, let kind = part.layerKind {
        // As much as a layer's backward pass takes longer than that of one of which nothing is run again.
        let (layer, kept) = (cost.layers[kind], cost.keptLayers[kind])
        exposed = layer.backwardTensorSeconds - kept.backwardTensorSeconds
        exposedContext = layer.backwardContextSeconds - kept.backwardContextSeconds
      }
      func collectiveSeconds(_ it: TensorCollective) -> Double {
        switch it.traffic {
        case .tensor: group.seconds(of: it.kind, byteCount: Double(it.byteCount))
        case .expert: experts.seconds(of: it)
        default: context.seconds(of: it)
        }
      }
      let steps = recipe.steps(part, pass)
      var ofTensor = 0.0, ofContext = 0.0
      for case .collective(let it) in steps {
        if it.traffic == .tensor { ofTensor += collectiveSeconds(it) }
        if it.traffic == .context { ofContext += collectiveSeconds(it) }
      }
      return steps.map { step in
        switch step {
        case .collective(let it) where it.traffic == .expert:
          return TimedStep(step: step, seconds: collectiveSeconds(it))
        case .collective(let it):
          let (all, exposed) = it.ranks == .tensorGroup ? (ofTensor, exposed) : (ofContext, exposedContext)
          return TimedStep(step: step, seconds: all > 0 ? collectiveSeconds(it) / all * exposed : 0)
        case .piece(let piece, _):
          let account = Account([step], on: rates)
          let added = (pass == .backward || pass == .inputGradient) && piece == place ? again : 0
          return TimedStep(step: step, seconds: account.seconds + account.accumulationSeconds + added)
        }
      }
    }
    passes = Recipe.Part.allCases.flatMap { part in
      Recipe.Pass.allCases.map { pass in pass == .recompute && isSelective ? [] : timed(part, pass) }
    }
  }
}

extension CostModel {
  /// Seconds of every step of a strategy's passes, by model of device.
  ///
  /// - Precondition: the layout is the strategy's own.
  package func stepSeconds(of strategy: Strategy, layout: LayoutCost) -> [StepSeconds] {
    zip(devices, layout.links).map { device, links in
      let framework = device.framework.asked(toOverlapTensorExchanges: strategy.overlapsTensorExchange)
      let recipe = Recipe(job: job, strategy: strategy, framework: framework, devicesPerNode: links.domainSize)
      let experts = links.expertGroups(of: strategy, recipe)
      let rates = ComputeRates(device.speed, framework: framework, job: job)
      let context = links.contextGroups(strategy.contextDivision)
      return StepSeconds(
        recipe,
        cost: MicroBatchCost(
          recipe, rates: rates, framework: framework, tensorGroup: links.tensorGroup, context: context,
          experts: experts),
        rates: rates, tensorGroup: links.tensorGroup, context: context, experts: experts)
    }
  }
}

extension Recipe.Part {
  /// Of layers, their kind.
  fileprivate var layerKind: LayerCounts.Kind? {
    switch self {
    case .block: .dense
    case .expertBlock: .experts
    case .embedding, .prediction, .head: nil
    }
  }
}
