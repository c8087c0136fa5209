package import Documents

/// A part of the model that has parameters of its own: what ZeRO gathers and reduces at once.
package enum ModelPart: Sendable, Hashable {
  /// Token table and learned positions.
  case embedding
  /// A transformer block, counted from 0 at the embedding.
  case layer(Int)
  /// Routed experts of a block, of all of them those that a rank has, counted from 0: the block's own part is all else.
  case experts(Int, Range<Int>)
  /// Final norm and output matrix; with tied embeddings the norm alone, or, on another stage than the embedding, the
  /// norm and a copy of the embedding's matrix. That copy is here too where further predictions alone need it.
  case head
  /// A block that predicts a further token, with what comes before it and its final norm. Blocks are counted on from the last
  /// layer, as checkpoints do.
  case prediction(Int)
}

extension ModelPart {
  /// A block of a model, further predictions' among them.
  package static func block(_ index: Int, of model: ModelDescription) -> ModelPart {
    index < model.layerCount ? .layer(index) : .prediction(index)
  }

  /// The number of a block, whose routed experts have the same; nil of any other part.
  package var blockIndex: Int? {
    switch self {
    case .layer(let index), .prediction(let index): index
    case .embedding, .experts, .head: nil
    }
  }

  /// The number of the layer that it is, or is of; nil of what is none of the model's layers.
  package var layerIndex: Int? {
    switch self {
    case .layer(let index), .experts(let index, _): index
    case .embedding, .head, .prediction: nil
    }
  }

  /// Whether it is of routed experts, whose replicas are other ranks than those of everything else.
  package var isOfExperts: Bool { if case .experts = self { true } else { false } }
}

extension ModelPart: Comparable {
  /// In the order of a forward pass.
  package static func < (left: Self, right: Self) -> Bool { left.position < right.position }

  /// The block, and the first expert of it. The head comes before further predictions, which go on from what it normalises.
  private var position: (isAfterHead: Int, block: Int, expert: Int) {
    switch self {
    case .embedding: (0, -1, -1)
    case .layer(let index): (0, index, -1)
    case .experts(let index, let experts): (0, index, experts.lowerBound)
    case .head: (1, -1, -1)
    case .prediction(let index): (1, index, -1)
    }
  }
}

extension ModelPart: CustomStringConvertible {
  /// `layer 3`.
  package var description: String {
    switch self {
    case .embedding: "embedding"
    case .layer(let index): "layer \(index)"
    case .experts(let index, let experts) where experts.count == 1: "expert \(experts.lowerBound) of layer \(index)"
    case .experts(let index, let experts):
      "experts \(experts.lowerBound) to \(experts.upperBound - 1) of layer \(index)"
    case .head: "head"
    case .prediction(let index): "further prediction by block \(index)"
    }
  }
}

/// What a rank computes between two collectives of its tensor group: the cut of the model that tensor parallelism makes
/// (Shoeybi et al. 2019, figure 3), in the order of a forward pass.
package enum ModelPiece: String, Sendable, Hashable, CaseIterable {
  /// Rows of the rank's part of the vocabulary, zero for the other tokens.
  case embeddingRows = "embedding rows"
  /// Positions and dropout on the completed rows.
  case embeddingOutput = "embedding output"
  case attentionNorm = "attention norm"
  /// Queries, keys, values, core and the rank's part of the output projection.
  case attentionCore = "attention core"
  /// The same in parts where ranks divide the sequence: queries, keys and values of the rank's tokens.
  case attentionInput = "queries, keys and values"
  /// The core on the keys that are there first, or on all of them.
  case attentionFirst = "attention to the first keys"
  /// The core on the keys that have come from a neighbour.
  case attentionNext = "attention to the next keys"
  /// The rank's part of the output projection.
  case attentionProjection = "attention projection"
  /// Bias, dropout and residual on the completed sum.
  case attentionOutput = "attention output"
  case feedForwardNorm = "feed-forward norm"
  /// Both products and what lies between them, on the rank's part of the width.
  case feedForwardCore = "feed-forward core"
  /// Scores of a layer's experts, the choice among them, and tokens put in the order of their experts.
  case router
  /// Both products of the rank's experts and what lies between them, on the rows that have come.
  case experts
  /// What a token's experts have given, brought back to the token.
  case expertsOutput = "experts' output"
  /// Both products of the experts that all tokens go through.
  case sharedExperts = "shared experts"
  /// Bias, dropout and residual on the completed sum.
  case feedForwardOutput = "feed-forward output"
  case finalNorm = "final norm"
  /// Rows of tokens further on, zero for those of other parts of the vocabulary.
  case predictionEmbedding = "embedding rows of further tokens"
  /// Norms of two vectors of every token, before a further prediction.
  case predictionInput = "prediction input"
  /// The product that brings them to one.
  case predictionProjection = "prediction projection"
  /// Logits of the rank's part of the vocabulary, and each token's largest.
  case logits
  /// Exponentials below the maximum, their sum, and the logit of each token's target where it is the rank's own.
  case exponentials
  /// Softmax, loss of each token, and their mean.
  case loss
}
