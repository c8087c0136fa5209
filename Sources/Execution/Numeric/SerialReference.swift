import Documents
import Training

/// The whole model trained by one rank, micro-batch after micro-batch: what a parallel run has to agree with.
///
/// The pieces are those of the ranks, at tensor degree 1, with nothing recomputed; that the pieces are a transformer
/// and their gradients right is shown by tests against a model in double precision (`TransformerGradientTests`).
struct SerialReference: Sendable {
  /// What one step did.
  struct Step: Sendable {
    /// Mean cross-entropy over all tokens of the global batch, before the update, with what further predictions add to it.
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
  private let predictions: [FurtherPrediction]
  /// By block, its routed experts, each a part of its own.
  let experts: [[ExpertLayer]]
  private let head: OutputHead
  /// From the embedding to the head, and further predictions behind it; each block before its experts.
  let layouts: [ParameterLayout]
  /// Where each block is among them, and where the head is; experts follow their block.
  private let places: [Int]
  private let headPlace: Int

  init(shard: ModelShard, globalBatch: Int, microBatch: Int, settings: OptimizerSettings) {
    precondition(shard.tensorDegree == 1, "the reference is one rank")
    precondition(globalBatch % microBatch == 0, "the global batch is whole micro-batches")
    self.shard = shard
    self.globalBatch = globalBatch
    self.microBatch = microBatch
    self.settings = settings
    embedding = Embedding(shard: shard)
    layers = (0..<shard.model.layerCount).map { TransformerLayer(shard: shard, index: $0) }
    let firstPrediction = shard.model.layerCount
    predictions = (firstPrediction..<firstPrediction + shard.model.predictionDepth).map {
      FurtherPrediction(shard: shard, block: $0)
    }
    let blocks = layers + predictions.map(\.layer)
    experts = blocks.map { layer in
      (0..<(layer.router?.experts.count ?? 0)).map {
        ExpertLayer(layer: layer.index, experts: $0..<$0 + 1, shard: shard)
      }
    }
    head = OutputHead(shard: shard, ownsOutputMatrix: !shard.model.hasTiedEmbeddings)
    var layouts = [embedding.layout], places: [Int] = []
    for block in blocks {
      // The head is between the last layer and the first further prediction.
      if block.index == firstPrediction { layouts.append(head.layout) }
      places.append(layouts.count)
      layouts += [block.layout] + experts[block.index].map(\.layout)
    }
    if predictions.isEmpty { layouts.append(head.layout) }
    self.layouts = layouts
    self.places = places
    headPlace = layouts.firstIndex { $0.part == .head } ?? layouts.count - 1
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
    let stored = zip(layouts, states).map { layout, state in
      shard.casting?.castsMasters == true
        ? layout.stored(state.masters, shard.arithmetic) : state.masters.map(shard.arithmetic.rounded)
    }
    let cast = PassWeights(stored, layouts, shard.casting, step: index)
    var gradients = layouts.map { [Float](repeating: 0, count: $0.count) }
    var loss = 0.0
    for first in stride(from: sequences.lowerBound, to: sequences.upperBound, by: microBatch) {
      let sequences = MicroBatch(step: index, sequences: Array(first..<first + microBatch))
      loss += pass(sequences, weights: cast, gradients: &gradients, choices: &choices)
    }
    var squares = 0.0
    for (layout, gradient) in zip(layouts, gradients) {
      squares += layout.sumOfSquares(gradient: gradient[...], range: 0..<layout.count)
    }
    if let history = shard.casting?.history { history.endIteration(history.seen) }
    let norm = squares.squareRoot() / Double(gradientScale)
    let scale = OptimizerState.clippingScale(norm: norm, settings: settings) / gradientScale
    for part in states.indices {
      states[part].update(gradient: gradients[part][...], scale: scale, step: index, settings: settings)
    }
    return (loss / Double(tokenCount), norm)
  }

  /// What gradients are multiplied by until the norm and the update: where they are cast they are as large as on a rank, whose
  /// are of the mean over its own tokens.
  var gradientScale: Float { shard.lossScale * Float(shard.casting?.parts.batch ?? 1) }

  /// Tokens of the global batch, over which the loss is the mean.
  var tokenCount: Int { globalBatch * shard.sequenceLength }

  /// Forward and backward of one micro-batch, gradients times ``gradientScale``.
  /// - Parameter gradients: of all parts, added to.
  /// - Returns: the sum of the tokens' losses.
  func pass(_ microBatch: MicroBatch, weights: [[Float]], gradients: inout [[Float]]) -> Double {
    var choices: [Int: [Int: [Int]]] = [:]
    let weights = PassWeights(weights, layouts, shard.casting, step: microBatch.step)
    return pass(microBatch, weights: weights, gradients: &gradients, choices: &choices)
  }

  private func pass(
    _ microBatch: MicroBatch, weights: PassWeights, gradients: inout [[Float]], choices: inout [Int: [Int: [Int]]]
  ) -> Double {
    var saved = [SavedActivations](repeating: SavedActivations(), count: layouts.count)
    let (loss, normalised) = forward(microBatch, weights: weights.forward, saved: &saved)
    for layer in layers + predictions.map(\.layer) where layer.router != nil {
      for (token, chosen) in zip(shard.tokenNumbers(microBatch), saved[places[layer.index]].taken) {
        choices[layer.index, default: [:]][token] = chosen
      }
    }
    // What a depth's output has from the depth after it.
    var later: Matrix?
    for (prediction, own) in zip(predictions, normalised.dropFirst()).reversed() {
      later = backward(
        prediction, own, later: later, weights: weights, microBatch: microBatch,
        saved: saved[place(of: prediction.layer)], gradients: &gradients)
    }
    var gradient = backward(
      head, at: headPlace, normalised[0], later: later, weights: weights.backward, microBatch: microBatch,
      saved: saved[headPlace], gradients: &gradients)
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
  /// - Returns: the sum of the tokens' losses, as far as they count, and what the output matrix is multiplied by, of the head and
  ///   of each further prediction.
  func forward(
    _ microBatch: MicroBatch, weights: [[Float]], saved: inout [SavedActivations]
  ) -> (loss: Double, normalised: [Matrix]) {
    var stream = embedding.finish(
      sum: embedding.lookUp(weights: weights[0], microBatch: microBatch), weights: weights[0], microBatch: microBatch,
      saved: &saved[0])
    for layer in layers {
      stream = forward(
        layer, stream, weights: weights, microBatch: microBatch, saved: &saved[places[layer.index]])
    }
    var depths = [
      forward(head, at: headPlace, stream, weights: weights, microBatch: microBatch, saved: &saved[headPlace])
    ]
    for prediction in predictions {
      let place = place(of: prediction.layer), before = depths[depths.count - 1].normalised
      depths.append(
        forward(prediction, before, weights: weights, microBatch: microBatch, saved: &saved[place]))
    }
    return (depths.reduce(0) { $0 + $1.loss }, depths.map(\.normalised))
  }

  /// The part that holds the output matrix, and where in its buffer that begins.
  var matrixPart: Int { shard.model.hasTiedEmbeddings ? 0 : headPlace }
  var matrixOffset: Int {
    (shard.model.hasTiedEmbeddings ? tokenTable : head.layout[.outputMatrix]).lowerBound
  }
  /// Where the token table lies in the embedding's buffer.
  var tokenTable: Range<Int> { embedding.layout[.tokenEmbedding] }
}
