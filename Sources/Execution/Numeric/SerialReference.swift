import Documents
import Training

/// The whole model trained by one rank, micro-batch after micro-batch: what a parallel run has to agree with.
///
/// The pieces are those of the ranks, at tensor degree 1, with nothing recomputed; that the pieces are a transformer
/// and their gradients right is shown by tests against a model in double precision (`TransformerGradientTests`).
struct SerialReference: Sendable {
  /// What one step did.
  struct Step: Sendable {
    /// Mean cross-entropy over all tokens of the global batch, before the update.
    let loss: Double
    /// Norm of all gradients, before clipping; each parameter once.
    let gradientNorm: Double
    /// fp32 parameters after the step, by part, as full tensors (tensor degree 1); of tied embeddings the head's buffer
    /// has no output matrix.
    let parameters: [ModelPart: [Float]]
    /// By layer with experts and number of a token, the experts that have taken it.
    var choices: [Int: [Int: [Int]]] = [:]
  }

  /// Outcome of a training.
  struct Result: Sendable {
    let steps: [Step]
    /// fp32 parameters after the last step, by part, as full tensors (tensor degree 1); of tied embeddings the head's
    /// buffer has no output matrix.
    let parameters: [ModelPart: [Float]]
  }

  /// Of tensor degree 1.
  let shard: ModelShard
  /// Sequences of a step.
  let globalBatch: Int
  /// Sequences of one pass; divides the global batch.
  let microBatch: Int
  let settings: OptimizerSettings
  private let embedding: Embedding
  private let layers: [TransformerLayer]
  /// By layer, its routed experts, each a part of its own.
  let experts: [[ExpertLayer]]
  private let head: OutputHead
  /// From the embedding to the head, each layer before its experts.
  let layouts: [ParameterLayout]
  /// Where each layer is among them; its experts follow.
  private let places: [Int]

  init(shard: ModelShard, globalBatch: Int, microBatch: Int, settings: OptimizerSettings) {
    precondition(shard.tensorDegree == 1, "the reference is one rank")
    precondition(globalBatch % microBatch == 0, "the global batch is whole micro-batches")
    self.shard = shard
    self.globalBatch = globalBatch
    self.microBatch = microBatch
    self.settings = settings
    embedding = Embedding(shard: shard)
    layers = (0..<shard.model.layerCount).map { TransformerLayer(shard: shard, index: $0) }
    experts = layers.map { layer in
      (0..<(layer.router?.experts.count ?? 0)).map {
        ExpertLayer(layer: layer.index, experts: $0..<$0 + 1, shard: shard)
      }
    }
    head = OutputHead(shard: shard, ownsOutputMatrix: !shard.model.hasTiedEmbeddings)
    var layouts = [embedding.layout], places: [Int] = []
    for layer in layers {
      places.append(layouts.count)
      layouts += [layer.layout] + experts[layer.index].map(\.layout)
    }
    self.layouts = layouts + [head.layout]
    self.places = places
  }

  func place(of layer: TransformerLayer) -> Int { places[layer.index] }

  /// Trains from the initial values.
  func run(stepCount: Int) -> Result {
    var states = layouts.map { OptimizerState(masters: $0.initialValues(seed: shard.seed), settings: settings) }
    var steps: [Step] = []
    for index in 0..<stepCount {
      var choices: [Int: [Int: [Int]]] = [:]
      let (loss, norm) = step(index, sequences: 0..<globalBatch, states: &states, choices: &choices)
      let parameters = zip(layouts, states).map { ($0.part, $1.masters) }
      steps.append(
        Step(
          loss: loss, gradientNorm: norm,
          parameters: Dictionary(uniqueKeysWithValues: parameters), choices: choices))
    }
    return Result(steps: steps, parameters: steps.last?.parameters ?? [:])
  }

  /// One optimizer step.
  /// - Parameters:
  ///   - sequences: as many as the global batch has.
  ///   - states: of all parts.
  /// - Returns: the mean loss, and the gradient's norm before clipping.
  func step(
    _ index: Int, sequences: Range<Int>, states: inout [OptimizerState]
  ) -> (loss: Double, gradientNorm: Double) {
    var choices: [Int: [Int: [Int]]] = [:]
    return step(index, sequences: sequences, states: &states, choices: &choices)
  }

  /// The same, with what tokens were sent to, see ``Step/choices``.
  private func step(
    _ index: Int, sequences: Range<Int>, states: inout [OptimizerState], choices: inout [Int: [Int: [Int]]]
  ) -> (loss: Double, gradientNorm: Double) {
    let weights = states.map { $0.masters.map(shard.arithmetic.rounded) }
    var gradients = layouts.map { [Float](repeating: 0, count: $0.count) }
    var loss = 0.0
    for first in stride(from: sequences.lowerBound, to: sequences.upperBound, by: microBatch) {
      let sequences = MicroBatch(step: index, sequences: Array(first..<first + microBatch))
      loss += pass(sequences, weights: weights, gradients: &gradients, choices: &choices)
    }
    var squares = 0.0
    for (layout, gradient) in zip(layouts, gradients) {
      squares += layout.sumOfSquares(gradient: gradient[...], range: 0..<layout.count)
    }
    let norm = squares.squareRoot() / Double(shard.lossScale)
    let scale = OptimizerState.clippingScale(norm: norm, settings: settings) / shard.lossScale
    for part in states.indices {
      states[part].update(gradient: gradients[part][...], scale: scale, step: index, settings: settings)
    }
    return (loss / Double(tokenCount), norm)
  }

  /// Tokens of the global batch, over which the loss is the mean.
  private var tokenCount: Int { globalBatch * shard.sequenceLength }

  /// Forward and backward of one micro-batch, gradients times ``ModelShard/lossScale``.
  /// - Parameter gradients: of all parts, added to.
  /// - Returns: the sum of the tokens' losses.
  func pass(_ microBatch: MicroBatch, weights: [[Float]], gradients: inout [[Float]]) -> Double {
    var choices: [Int: [Int: [Int]]] = [:]
    return pass(microBatch, weights: weights, gradients: &gradients, choices: &choices)
  }

  private func pass(
    _ microBatch: MicroBatch, weights: [[Float]], gradients: inout [[Float]], choices: inout [Int: [Int: [Int]]]
  ) -> Double {
    var saved = [SavedActivations](repeating: SavedActivations(), count: layouts.count)
    let (loss, normalised) = forward(microBatch, weights: weights, saved: &saved)
    for layer in layers where layer.router != nil {
      for (token, chosen) in zip(shard.tokenNumbers(microBatch), saved[places[layer.index]].taken) {
        choices[layer.index, default: [:]][token] = chosen
      }
    }
    let last = layouts.count - 1, matrixPart = self.matrixPart, offset = matrixOffset

    let normalisedGradient = head.lossBackward(
      scale: shard.lossScale / Float(tokenCount), normalised: normalised, buffer: weights[matrixPart],
      offset: offset, microBatch: microBatch, saved: saved[last], gradient: &gradients[matrixPart])
    var gradient = head.normaliseBackward(
      normalisedGradient: normalisedGradient, weights: weights[last], saved: saved[last], gradient: &gradients[last])
    for layer in layers.reversed() {
      gradient = backward(
        layer, gradient, weights: weights, microBatch: microBatch, saved: saved[places[layer.index]],
        gradients: &gradients)
    }
    let sumGradient = embedding.finishBackward(
      outputGradient: gradient, microBatch: microBatch, saved: saved[0], gradient: &gradients[0])
    embedding.lookUpBackward(sumGradient: sumGradient, microBatch: microBatch, gradient: &gradients[0])
    return loss
  }

  /// Forward of one micro-batch.
  /// - Parameter saved: what is kept of each part.
  /// - Returns: the sum of the tokens' losses, and what the output matrix is multiplied by.
  func forward(
    _ microBatch: MicroBatch, weights: [[Float]], saved: inout [SavedActivations]
  ) -> (loss: Double, normalised: Matrix) {
    let last = layouts.count - 1
    var stream = embedding.finish(
      sum: embedding.lookUp(weights: weights[0], microBatch: microBatch), weights: weights[0], microBatch: microBatch,
      saved: &saved[0])
    for layer in layers {
      stream = forward(
        layer, stream, weights: weights, microBatch: microBatch, saved: &saved[places[layer.index]])
    }
    let normalised = head.normalise(input: stream, weights: weights[last], saved: &saved[last])
    var logits = head.logits(normalised: normalised, buffer: weights[matrixPart], offset: matrixOffset)
    let maxima = head.maxima(logits)
    let targets = head.targetLogits(logits, maxima: maxima, microBatch: microBatch)
    let sums = head.exponentialSums(&logits, maxima: maxima)
    let loss = head.loss(exponentials: logits, exponentialSums: sums, targetLogits: targets, saved: &saved[last])
    return (loss, normalised)
  }

  /// The part that holds the output matrix, and where in its buffer that begins.
  private var matrixPart: Int { shard.model.hasTiedEmbeddings ? 0 : layouts.count - 1 }
  private var matrixOffset: Int {
    (shard.model.hasTiedEmbeddings ? embedding.layout[.tokenEmbedding] : head.layout[.outputMatrix]).lowerBound
  }
}
