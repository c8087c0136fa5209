package import Documents

/// What a rank computes without talking to anyone.
package enum Computation: Sendable, Hashable {
  /// Begins a pass: takes what arrived for it, if its input comes from another stage, as the tensor that it works on.
  case beginPass(PipelineStep)
  /// Ends a pass: lays its result down to be sent, if another stage goes on with it.
  case endPass(PipelineStep)
  /// One piece of the forward pass of a micro-batch, keeping what its backward needs.
  case forward(ModelPiece, ModelPart, microBatch: Int)
  /// The same again in the backward pass: from the layer's kept input (``Strategy/Recompute/full``), or of single modules from
  /// what is kept before them.
  case recompute(ModelPiece, ModelPart, microBatch: Int)
  /// One piece of the backward pass: consumes what its forward kept, adds to the part's gradient.
  case backward(ModelPiece, ModelPart, microBatch: Int)
  /// One piece of the part of a backward pass that gives gradients of inputs: nothing that forward kept is given up, and
  /// gradients of linear layers' weights are still to come.
  case inputGradient(ModelPiece, ModelPart, microBatch: Int)
  /// One piece of the rest of it: adds the linear layers' to the part's gradient, and gives up what was kept.
  case weightGradient(ModelPiece, ModelPart, microBatch: Int)
  /// A whole pass of a micro-batch through a part, with the collectives of its tensor group (``RankProgram/Grain/parts``).
  case pass(ModelPart, PipelineStep)
  /// Frees a part's gathered weights (ZeRO 3).
  case dropWeights(ModelPart)
  /// Keeps the rank's slice of a part's gathered weights, from which they are gathered until the optimizer's step.
  case keepSecondary(ModelPart)
  /// Frees all slices of the secondary copy: the optimizer's step makes them old.
  case dropSecondary
  /// Divides the accumulated gradient by the number of replicas whose gradients it sums.
  case averageGradients(replicaCount: Int)
  /// Squares and adds the gradients that this rank answers for, each parameter of the model on exactly one rank, and
  /// likewise the losses of the micro-batches.
  case sumScalars
  /// Scales the gradient so that its norm over the whole model is at most ``IterationShape/maximumGradientNorm``.
  case clipGradients
  /// The optimizer's step on the parameters (or the shard of them) that this rank updates; clears the gradient.
  case updateParameters

  /// Takes what the rank's worker has moved by in a round, the anchor less the parameters: what is summed over workers.
  case takeProgress
  /// Puts the parameters that the rank updates back to the anchor.
  case returnToAnchor
  /// Moves the anchor by the mean over so many workers of what they have moved by, and the parameters to the anchor.
  case outerStep(workerCount: Int)

  /// Moves a part's weights on the rank along the directions of an iteration, by what its losses said of each.
  case update(ModelPart, with: Losses)
  /// Makes the copy of a part's whole weights, away from them along a direction, at which a loss is evaluated.
  case perturb(ModelPart, ZerothOrder.Evaluation)
  /// One piece of a forward pass of a micro-batch on a part's perturbed copy; nothing of it is kept.
  case evaluate(ModelPiece, ModelPart, microBatch: Int, ZerothOrder.Evaluation)
  /// All pieces, of all micro-batches of a visit (``RankProgram/Grain/parts``).
  case evaluatePart(ModelPart, microBatches: Range<Int>, ZerothOrder.Evaluation)
  /// The mean losses of the rank's own evaluations, as far as its sequences and its place have a share in them.
  case sumLosses
  /// What the losses of all ranks say of each direction: the gradient along it.
  case projectGradient

  /// Whose losses a step goes by.
  package enum Losses: Sendable, Hashable {
    /// Of the iteration before; the first has none, and takes no step.
    case ofLastIteration
    case ofThisIteration
  }
}

extension Computation {
  /// Whether it is of a forward pass, or of one that goes back; nil of what is of neither. What tensor groups and experts
  /// exchange in a pass follows one of its computations, so that passes which run beside each other are told apart by these.
  package var goesForward: Bool? {
    switch self {
    case .beginPass(let pass), .endPass(let pass): pass.pass == .forward
    case .forward: true
    case .recompute, .backward, .inputGradient, .weightGradient: false
    default: nil
    }
  }

  /// A piece of a pass.
  init(_ pass: Recipe.Pass, of piece: ModelPiece, _ part: ModelPart, microBatch: Int) {
    self =
      switch pass {
      case .forward: .forward(piece, part, microBatch: microBatch)
      case .recompute: .recompute(piece, part, microBatch: microBatch)
      case .backward: .backward(piece, part, microBatch: microBatch)
      case .inputGradient: .inputGradient(piece, part, microBatch: microBatch)
      case .weightGradient: .weightGradient(piece, part, microBatch: microBatch)
      }
  }
}

extension Computation: CustomStringConvertible {
  package var description: String {
    switch self {
    case .beginPass(let pass): "beginning of \(pass)"
    case .endPass(let pass): "end of \(pass)"
    case .forward(let piece, let part, let microBatch):
      "forward of \(piece.rawValue), \(part), micro-batch \(microBatch)"
    case .recompute(let piece, let part, let microBatch):
      "forward again of \(piece.rawValue), \(part), micro-batch \(microBatch)"
    case .backward(let piece, let part, let microBatch):
      "backward of \(piece.rawValue), \(part), micro-batch \(microBatch)"
    case .inputGradient(let piece, let part, let microBatch):
      "input gradient of \(piece.rawValue), \(part), micro-batch \(microBatch)"
    case .weightGradient(let piece, let part, let microBatch):
      "weight gradient of \(piece.rawValue), \(part), micro-batch \(microBatch)"
    case .pass(let part, let step): "\(step) of \(part)"
    case .dropWeights(let part): "drop the gathered weights of \(part)"
    case .keepSecondary(let part): "keep the secondary slice of \(part)"
    case .dropSecondary: "drop the secondary slices"
    case .averageGradients(let count): "average the gradients of \(count) replicas"
    case .sumScalars: "sums of the gradient's squares and of the losses"
    case .clipGradients: "clip the gradient"
    case .updateParameters: "update the parameters"
    case .takeProgress: "what the worker has moved by"
    case .returnToAnchor: "return to the anchor"
    case .outerStep(let count): "outer step by the mean of \(count.counted("worker"))"
    case .update(let part, .ofThisIteration): "update of \(part) by this iteration's losses"
    case .update(let part, .ofLastIteration): "update of \(part) by the last iteration's losses"
    case .perturb(let part, let evaluation): "perturbation of \(part) for \(evaluation)"
    case .evaluate(let piece, let part, let microBatch, let evaluation):
      "forward of \(piece.rawValue), \(part), micro-batch \(microBatch), for \(evaluation)"
    case .evaluatePart(let part, let microBatches, let evaluation):
      "forward of \(part), \(microBatches.count) micro-batches, for \(evaluation)"
    case .sumLosses: "sums of the losses"
    case .projectGradient: "gradient along each direction"
    }
  }
}

extension ZerothOrder.Evaluation: CustomStringConvertible {
  /// `loss 3, backwards along direction 1`.
  package var description: String {
    "loss \(index), \(sign > 0 ? "forwards" : "backwards") along direction \(direction)"
  }
}
