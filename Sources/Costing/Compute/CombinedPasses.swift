/// A forward pass of one micro-batch layer by layer beside a backward pass of another: while one computes, the other's tokens
/// are on their way (Megatron Core's combined 1F1B, `model_chunk_schedule_plan.py`).
///
/// Of layers with experts there are two streams. In each step of n layers, forward layer i meets backward layer n − 1 − i:
///
/// | stream | in this order |
/// |---|---|
/// | computation | attention forward, experts backward, their weights' gradients, experts forward, attention backward |
/// | tokens | combine backward, dispatch forward, dispatch backward, combine forward |
///
/// Whatever needs what another stream makes waits for it: experts backward for the combine backward, dispatch forward for
/// attention forward, dispatch backward for experts backward, experts forward for dispatch forward, attention backward for
/// dispatch backward, combine forward for experts forward; and the next layer's attention forward for the combine forward, its
/// combine backward for attention backward.
struct CombinedPasses: Sendable, Equatable {
  /// Attention, norms, router and shared experts of a layer.
  var attentionForward = 0.0, attentionBackward = 0.0
  /// Experts, without and with what their weights' gradients take.
  var expertsForward = 0.0, expertsBackward = 0.0, expertWeights = 0.0
  /// Tokens to their experts and what these give back, and the same of gradients.
  var dispatchForward = 0.0, combineForward = 0.0, combineBackward = 0.0, dispatchBackward = 0.0

  /// All that the device computes.
  var computeSeconds: Double {
    attentionForward + attentionBackward + expertsForward + expertsBackward + expertWeights
  }

  /// All ways of tokens.
  var exchangeSeconds: Double { dispatchForward + combineForward + combineBackward + dispatchBackward }

  /// Both passes through so many layers, seconds.
  func seconds(layerCount: Int) -> Double {
    var compute = 0.0, tokens = 0.0, forwardReady = 0.0, backwardReady = 0.0
    for _ in 0..<layerCount {
      // Each stream keeps its order; what starts waits for its stream and for what it needs.
      compute = max(compute, forwardReady) + attentionForward
      let attended = compute
      tokens = max(tokens, backwardReady) + combineBackward
      let combinedBack = tokens
      tokens = max(tokens, attended) + dispatchForward
      let dispatched = tokens
      compute = max(compute, combinedBack) + expertsBackward
      let backward = compute
      compute += expertWeights
      tokens = max(tokens, backward) + dispatchBackward
      let dispatchedBack = tokens
      compute = max(compute, dispatched) + expertsForward
      tokens = max(tokens, compute) + combineForward
      forwardReady = tokens
      compute = max(compute, dispatchedBack) + attentionBackward
      backwardReady = compute
    }
    return max(compute, tokens)
  }

  /// What a layer adds where many follow each other, seconds.
  var secondsPerLayer: Double {
    // The recurrence is periodic after a few layers.
    let few = 16
    return (seconds(layerCount: 2 * few) - seconds(layerCount: few)) / Double(few)
  }

  /// Of the ways of tokens, what nothing hides of a layer's two passes, seconds.
  var exposedSeconds: Double { max(0, secondsPerLayer - computeSeconds) }
}
