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
  private let head: OutputHead

  init(shard: ModelShard, globalBatch: Int, microBatch: Int, settings: OptimizerSettings) {
    precondition(shard.tensorDegree == 1, "the reference is one rank")
    precondition(globalBatch % microBatch == 0, "the global batch is whole micro-batches")
    self.shard = shard
    self.globalBatch = globalBatch
    self.microBatch = microBatch
    self.settings = settings
    embedding = Embedding(shard: shard)
    layers = (0..<shard.model.layerCount).map { TransformerLayer(shard: shard, index: $0) }
    head = OutputHead(shard: shard, ownsOutputMatrix: !shard.model.hasTiedEmbeddings)
  }

  /// Layouts of all parts, from the embedding to the head.
  var layouts: [ParameterLayout] { [embedding.layout] + layers.map(\.layout) + [head.layout] }

  /// Trains from the initial values.
  func run(stepCount: Int) -> Result {
    var states = layouts.map { OptimizerState(masters: $0.initialValues(seed: shard.seed), settings: settings) }
    var steps: [Step] = []
    for index in 0..<stepCount {
      let (loss, norm) = step(index, sequences: 0..<globalBatch, states: &states)
      let parameters = zip(layouts, states).map { ($0.part, $1.masters) }
      steps.append(
        Step(
          loss: loss, gradientNorm: norm,
          parameters: Dictionary(uniqueKeysWithValues: parameters)))
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
    let weights = states.map { $0.masters.map(shard.arithmetic.rounded) }
    var gradients = layouts.map { [Float](repeating: 0, count: $0.count) }
    var loss = 0.0
    for first in stride(from: sequences.lowerBound, to: sequences.upperBound, by: microBatch) {
      let sequences = MicroBatch(step: index, sequences: Array(first..<first + microBatch))
      loss += pass(sequences, weights: weights, gradients: &gradients)
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
    var saved = [SavedActivations](repeating: SavedActivations(), count: layouts.count)
    let (loss, normalised) = forward(microBatch, weights: weights, saved: &saved)
    let last = layouts.count - 1, matrixPart = self.matrixPart, offset = matrixOffset

    let normalisedGradient = head.lossBackward(
      scale: shard.lossScale / Float(tokenCount), normalised: normalised, buffer: weights[matrixPart],
      offset: offset, microBatch: microBatch, saved: saved[last], gradient: &gradients[matrixPart])
    var gradient = head.normaliseBackward(
      normalisedGradient: normalisedGradient, weights: weights[last], saved: saved[last], gradient: &gradients[last])
    for layer in layers.reversed() {
      let part = layer.index + 1
      gradient = layer.backward(
        gradient, weights: weights[part], microBatch: microBatch, saved: saved[part], gradient: &gradients[part])
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
      let part = layer.index + 1
      stream = layer.forward(stream, weights: weights[part], microBatch: microBatch, saved: &saved[part])
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

extension TransformerLayer {
  /// All pieces of a layer that is not divided.
  fileprivate func forward(
    _ input: Matrix, weights: [Float], microBatch: MicroBatch, saved: inout SavedActivations
  ) -> Matrix {
    var stream = input
    for half in Half.allCases {
      let normalised = normalise(half, input: stream, weights: weights, saved: &saved)
      let sum = product(half, normalised: normalised, weights: weights, microBatch: microBatch, saved: &saved)
      stream = finish(half, sum: sum, input: stream, weights: weights, microBatch: microBatch, saved: &saved)
    }
    return stream
  }

  fileprivate func backward(
    _ outputGradient: Matrix, weights: [Float], microBatch: MicroBatch, saved: SavedActivations,
    gradient: inout [Float]
  ) -> Matrix {
    var stream = outputGradient
    for half in Half.allCases.reversed() {
      let sumGradient = finishBackward(
        half, outputGradient: stream, microBatch: microBatch, saved: saved, gradient: &gradient)
      let normalisedGradient = productBackward(
        half, sumGradient: sumGradient, normalised: normalised(half, in: saved), weights: weights,
        microBatch: microBatch, saved: saved, gradient: &gradient)
      stream = normaliseBackward(
        half, normalisedGradient: normalisedGradient, outputGradient: stream, weights: weights, saved: saved,
        gradient: &gradient)
    }
    return stream
  }
}
