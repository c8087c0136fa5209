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
    /// Computation of the backward pass, without what is recomputed.
    package var backwardComputeSeconds = 0.0
    /// Exposed collectives of the tensor group, backward, those of recomputation included.
    package var backwardTensorSeconds = 0.0
    /// Exposed exchanges of ranks that divide a sequence, backward, those of recomputation included.
    package var backwardContextSeconds = 0.0
    /// Computation that backward repeats.
    package var recomputeSeconds = 0.0
    /// Of the backward pass' computation, what the gradient of the input does not wait for: gradients of weights, and adding
    /// them up.
    package var weightGradientSeconds = 0.0

    /// The forward pass.
    package var forwardSeconds: Double { forwardComputeSeconds + forwardTensorSeconds + forwardContextSeconds }
    /// The backward pass.
    package var backwardSeconds: Double {
      backwardComputeSeconds + backwardTensorSeconds + recomputeSeconds + backwardContextSeconds
    }
  }

  /// One transformer block.
  package let layer: Passes
  /// One of which nothing is recomputed.
  package let keptLayer: Passes
  /// Embedding look-up, on the first stage.
  package let embedding: Passes
  /// Final norm, output head and loss, on the last stage.
  package let head: Passes
  /// Bytes that are kept from forward to backward.
  let kept: KeptActivations

  init(
    _ recipe: Recipe, rates: ComputeRates, framework: DeviceProfile.Framework, tensorGroup group: CommunicationGroup,
    context: ContextGroups
  ) {
    func account(_ part: Recipe.Part, _ pass: Recipe.Pass) -> Account { Account(recipe, part, pass, on: rates) }
    func weightGradient(_ part: Recipe.Part) -> Double {
      let account = account(part, .weightGradient)
      return account.seconds + account.accumulationSeconds
    }
    var keptLayer = Passes(
      forward: account(.block, .forward), backward: account(.block, .backward), group: group, context: context,
      framework: framework)
    keptLayer.weightGradientSeconds = weightGradient(.block)
    self.keptLayer = keptLayer
    var layer = keptLayer
    if recipe.recompute == .full {
      layer.recomputeSeconds = layer.forwardComputeSeconds
      layer.backwardTensorSeconds += layer.forwardTensorSeconds
      layer.backwardContextSeconds += layer.forwardContextSeconds
    } else {
      layer.recomputeSeconds = account(.block, .recompute).seconds
    }
    self.layer = layer
    var embedding = Passes(
      forward: account(.embedding, .forward), backward: account(.embedding, .backward), group: group)
    var head = Passes(forward: account(.head, .forward), backward: account(.head, .backward), group: group)
    embedding.weightGradientSeconds = weightGradient(.embedding)
    head.weightGradientSeconds = weightGradient(.head)
    self.embedding = embedding
    self.head = head
    kept = KeptActivations(recipe)
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

  /// Passes of a block, whose collectives a framework runs at a rate of its own, and beside its products for a share.
  fileprivate init(
    forward: Account, backward: Account, group: CommunicationGroup, context: ContextGroups,
    framework: DeviceProfile.Framework
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
  }
}
