import Documents
import Training

@testable import Execution

/// The pieces of a model on the ranks of a tensor group, composed by hand with the
/// collectives that belong between them, each summed in rank order.
struct TensorGroup {
  let shards: [ModelShard]
  let recompute: Strategy.Recompute
  /// As on one pipeline stage of several: a tied head has its own copy of the matrix.
  let ownsOutputMatrix: Bool
  private var usesSequenceParallelism: Bool { shards[0].usesSequenceParallelism }

  init(
    model: ModelDescription, sequenceLength: Int, tensorDegree: Int, usesSequenceParallelism: Bool = false,
    usesFlashAttention: Bool = false, recompute: Strategy.Recompute = .none, paddedVocabularySize: Int,
    arithmetic: Precision = .fp32, ownsOutputMatrix: Bool = true
  ) {
    shards = (0..<tensorDegree).map {
      ModelShard(
        model: model, sequenceLength: sequenceLength, tensorDegree: tensorDegree, tensorIndex: $0,
        usesSequenceParallelism: usesSequenceParallelism, usesFlashAttention: usesFlashAttention,
        paddedVocabularySize: paddedVocabularySize, seed: 7, arithmetic: arithmetic)
    }
    self.recompute = recompute
    self.ownsOutputMatrix = ownsOutputMatrix
  }

  /// What a micro-batch gave.
  struct Outcome {
    /// Sum of the tokens' losses, of every rank.
    var losses: [Double] = []
    /// By part, then rank.
    var gradients: [[[Float]]] = []
    /// By part, then rank: what was kept when the forward pass ended.
    var kept: [[SavedActivations]] = []
  }

  /// Layouts by part and rank: embedding, layers, head.
  var layouts: [[ParameterLayout]] {
    let parts = [.embedding] + (0..<shards[0].model.layerCount).map(ModelPart.layer) + [.head]
    return parts.map { part in
      shards.map { ParameterLayout(part, shard: $0, ownsOutputMatrix: ownsOutputMatrix) }
    }
  }

  // MARK: collectives

  func allReduce(_ parts: [Matrix]) -> [Matrix] {
    guard parts.count > 1 else { return parts }
    var sum = parts[0]
    for part in parts.dropFirst() { sum += part }
    return parts.map { _ in shards[0].rounded(sum) }
  }

  func allReduce(_ parts: [[Float]], _ combine: (Float, Float) -> Float) -> [Float] {
    parts.dropFirst().reduce(parts[0]) { zip($0, $1).map(combine) }
  }

  /// The sum of addends where it goes after a row-parallel product.
  func reduced(_ parts: [Matrix]) -> [Matrix] {
    let sums = allReduce(parts)
    guard usesSequenceParallelism else { return sums }
    let count = sums[0].rowCount / sums.count
    return sums.enumerated().map { $1.rows($0 * count..<($0 + 1) * count) }
  }

  /// Local rows where all are needed.
  func gathered(_ parts: [Matrix]) -> [Matrix] {
    usesSequenceParallelism ? parts.map { _ in Matrix(concatenating: parts) } : parts
  }

  // MARK: a pass

  func pass(_ microBatch: MicroBatch, tokenCount: Int) -> Outcome {
    let ranks = shards.indices
    let model = shards[0].model
    let layouts = self.layouts
    let arithmetic = shards[0].arithmetic
    let weights = layouts.map { $0.map { $0.initialValues(seed: 7).map(arithmetic.rounded) } }
    var outcome = Outcome()
    outcome.gradients = layouts.map { $0.map { [Float](repeating: 0, count: $0.count) } }
    outcome.kept = layouts.map { $0.map { _ in SavedActivations() } }
    let embeddings = shards.map { Embedding(shard: $0) }
    let heads = shards.map { OutputHead(shard: $0, ownsOutputMatrix: ownsOutputMatrix) }
    let last = layouts.count - 1

    var stream = reduced(ranks.map { embeddings[$0].lookUp(weights: weights[0][$0], microBatch: microBatch) })
    for rank in ranks {
      stream[rank] = embeddings[rank].finish(
        sum: stream[rank], weights: weights[0][rank], microBatch: microBatch, saved: &outcome.kept[0][rank])
    }
    for layer in 0..<model.layerCount {
      let part = layer + 1
      stream = forward(layer, stream, weights[part], microBatch, &outcome.kept[part], needsOutput: true)
      if recompute == .full { outcome.kept[part] = outcome.kept[part].map { $0.layerInputOnly() } }
    }

    let normalised = gathered(
      ranks.map {
        heads[$0].normalise(input: stream[$0], weights: weights[last][$0], saved: &outcome.kept[last][$0])
      })
    let usesEmbedding = !ownsOutputMatrix
    let matrixPart = usesEmbedding ? 0 : last
    let offset = layouts[matrixPart][0][usesEmbedding ? .tokenEmbedding : .outputMatrix].lowerBound
    var logits = ranks.map {
      heads[$0].logits(normalised: normalised[$0], buffer: weights[matrixPart][$0], offset: offset)
    }
    let maxima = allReduce(ranks.map { heads[$0].maxima(logits[$0]) }, max)
    let targets = allReduce(
      ranks.map { heads[$0].targetLogits(logits[$0], maxima: maxima, microBatch: microBatch) }, +)
    let sums = allReduce(ranks.map { heads[$0].exponentialSums(&logits[$0], maxima: maxima) }, +)
    outcome.losses = ranks.map {
      heads[$0].loss(
        exponentials: logits[$0], exponentialSums: sums, targetLogits: targets, saved: &outcome.kept[last][$0])
    }

    var gradient = reduced(
      ranks.map {
        heads[$0].lossBackward(
          scale: 1 / Float(tokenCount), normalised: normalised[$0], buffer: weights[matrixPart][$0], offset: offset,
          microBatch: microBatch, saved: outcome.kept[last][$0], gradient: &outcome.gradients[matrixPart][$0])
      })
    for rank in ranks {
      gradient[rank] = heads[rank].normaliseBackward(
        normalisedGradient: gradient[rank], weights: weights[last][rank], saved: outcome.kept[last][rank],
        gradient: &outcome.gradients[last][rank])
    }
    for layer in (0..<model.layerCount).reversed() {
      let part = layer + 1
      var saved = outcome.kept[part]
      if recompute == .full {
        let inputs = saved.map { $0[.attentionNormInput] }
        saved = saved.map { _ in SavedActivations() }
        _ = forward(layer, inputs, weights[part], microBatch, &saved, needsOutput: false)
      }
      gradient = backward(layer, gradient, weights[part], microBatch, &saved, &outcome.gradients[part])
    }
    for rank in ranks {
      gradient[rank] = embeddings[rank].finishBackward(
        outputGradient: gradient[rank], microBatch: microBatch, saved: outcome.kept[0][rank],
        gradient: &outcome.gradients[0][rank])
    }
    let all = gathered(gradient)
    for rank in ranks {
      embeddings[rank].lookUpBackward(
        sumGradient: all[rank], microBatch: microBatch, gradient: &outcome.gradients[0][rank])
    }
    reducePartialGradients(layouts, &outcome.gradients)
    return outcome
  }

  private func forward(
    _ index: Int, _ input: [Matrix], _ weights: [[Float]], _ microBatch: MicroBatch,
    _ saved: inout [SavedActivations], needsOutput: Bool
  ) -> [Matrix] {
    let layers = shards.map { TransformerLayer(shard: $0, index: index) }
    var stream = input
    for half in TransformerLayer.Half.allCases {
      let normalised = gathered(
        layers.indices.map {
          layers[$0].normalise(half, input: stream[$0], weights: weights[$0], saved: &saved[$0])
        })
      let products = layers.indices.map {
        layers[$0].product(
          half, normalised: normalised[$0], weights: weights[$0], microBatch: microBatch,
          keepsCore: recompute != .selective, saved: &saved[$0])
      }
      if half == .feedForward, !needsOutput {
        for rank in layers.indices { layers[rank].keepMask(half, microBatch: microBatch, saved: &saved[rank]) }
        return []
      }
      let sums = reduced(products)
      for rank in layers.indices {
        stream[rank] = layers[rank].finish(
          half, sum: sums[rank], input: stream[rank], weights: weights[rank], microBatch: microBatch,
          saved: &saved[rank])
      }
    }
    return stream
  }

  private func backward(
    _ index: Int, _ outputGradient: [Matrix], _ weights: [[Float]], _ microBatch: MicroBatch,
    _ saved: inout [SavedActivations], _ gradients: inout [[Float]]
  ) -> [Matrix] {
    let layers = shards.map { TransformerLayer(shard: $0, index: index) }
    var stream = outputGradient
    for half in TransformerLayer.Half.allCases.reversed() {
      let sumGradients = gathered(
        layers.indices.map {
          layers[$0].finishBackward(
            half, outputGradient: stream[$0], microBatch: microBatch, saved: saved[$0], gradient: &gradients[$0])
        })
      let normalised = gathered(layers.indices.map { layers[$0].normalised(half, in: saved[$0]) })
      let normalisedGradients = reduced(
        layers.indices.map { rank in
          // One rank relies on the product to rebuild its core.
          if half == .attention, rank > 0 {
            layers[rank].rebuildCore(
              microBatch: microBatch, weights: weights[rank], saved: &saved[rank])
          }
          return layers[rank].productBackward(
            half, sumGradient: sumGradients[rank], normalised: normalised[rank], weights: weights[rank],
            microBatch: microBatch, saved: saved[rank], gradient: &gradients[rank])
        })
      for rank in layers.indices {
        stream[rank] = layers[rank].normaliseBackward(
          half, normalisedGradient: normalisedGradients[rank], outputGradient: stream[rank], weights: weights[rank],
          saved: saved[rank], gradient: &gradients[rank])
      }
    }
    return stream
  }

  private func reducePartialGradients(_ layouts: [[ParameterLayout]], _ gradients: inout [[[Float]]]) {
    for part in layouts.indices {
      guard let range = layouts[part][0].partialRange(usesSequenceParallelism: usesSequenceParallelism) else {
        continue
      }
      let sum = allReduce(gradients[part].map { Array($0[range]) }, +)
      for rank in shards.indices { gradients[part][rank].replaceSubrange(range, with: sum) }
    }
  }
}
