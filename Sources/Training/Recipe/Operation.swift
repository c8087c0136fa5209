package import Documents

extension Recipe {
  /// An operation of a rank with its sizes: what it multiplies, moves or keeps, and not how long that takes.
  package enum Operation: Sendable, Equatable {
    /// Which way a pass goes through an operation.
    package enum Direction: Sendable {
      case forward
      /// Gradients of the input and of the parameters.
      case backward
      /// The gradient of a linear layer's input alone.
      case inputGradient
      /// The gradient of its weights alone.
      case weightGradient
    }

    /// A linear layer: one matrix product forward, two backward, one of these for each of the gradients.
    case product(LinearLayer, Direction)
    /// The products of a rank's experts: one forward, two backward.
    case groupedProduct(GroupedLayer, Direction)
    /// The attention core in one kernel.
    case fusedAttention(FusedAttention, Direction)
    /// Products of an attention core that is not fused, one for each sequence and head.
    case headProducts(HeadProducts)
    /// Kernels that read and write the matrix of attention scores.
    case scores(byteCount: Int)
    /// Norms, residual additions, dropout, activation and rotation of a block, by the bytes that their forward moves; their
    /// backward reads the input as well as the gradient and moves half as many again.
    case elementWise(byteCount: Int, Direction)
    /// Bytes moved outside blocks: rows of the embedding, the final norm.
    case move(byteCount: Int)
    /// The loss of a given number of logits, or its gradient.
    case loss(entryCount: Int)
    /// Adds a micro-batch's gradients to the accumulated ones.
    case accumulate(parameterCount: Int)
    /// Keeps a tensor for backward.
    case keep(KeptTensor)
    /// Gives up what was kept.
    case free(KeptTensor)
  }
}

/// The rank's part of a linear layer: T tokens of k inputs to n outputs.
package struct LinearLayer: Sendable, Equatable {
  package let tokenCount: Int
  package let inputCount: Int
  package let outputCount: Int
  /// Whether the group divides the outputs and each rank has all inputs (a column-parallel layer, Shoeybi et al. 2019);
  /// otherwise it divides the inputs.
  package let dividesOutputs: Bool
  /// Whether it multiplies in the job's narrow format, where that has one.
  package var isNarrow = false
  /// Rows that the rank has of the inputs of a layer with divided outputs, or of the outputs' gradients of another, before
  /// they are gathered; nil where it has all.
  package var undividedRowCount: Int?

  /// Rows of the input that the rank casts to a narrow format.
  package var castInputRowCount: Int { dividesOutputs ? undividedRowCount ?? tokenCount : tokenCount }
  /// Rows of the output's gradient that it casts.
  package var castGradientRowCount: Int { dividesOutputs ? tokenCount : undividedRowCount ?? tokenCount }

  /// Weights on the rank.
  package var weightCount: Int { inputCount * outputCount }
  /// `2·T·n·k`, once forward and twice backward.
  package var forwardFLOP: Double { 2 * Double(tokenCount) * Double(inputCount) * Double(outputCount) }
}

/// The rank's heads of a fused attention core (Dao 2023).
package struct FusedAttention: Sendable, Equatable {
  package let tokenCount: Int
  package let sequenceLength: Int
  package let headCount: Int
  /// Widths of the heads' queries together, q, and of their values.
  package let width: Int
  package let valueWidth: Int
  package let isCausal: Bool
  /// What windows leave of the pairs of tokens, in the mean of layers with a window and without.
  package let visibleFraction: Double
  /// Share of layers that have one.
  package let windowedShare: Double
  /// Whether it multiplies in FP8.
  package var isNarrow = false

  /// Scores and their product with the values, `2·T·s·(q + v)`; a causal kernel skips the masked half, and what lies
  /// outside of a window. Backward computes the scores again, five products for two (section 3.1).
  package var forwardFLOP: Double { forwardFLOP(windowKeyCount: 0) }

  /// The same where a kernel takes so many keys more for what a window holds, but no more than without a window.
  package func forwardFLOP(windowKeyCount: Double) -> Double {
    let all = 2 * Double(tokenCount) * Double(sequenceLength) * Double(width + valueWidth)
    let causal = isCausal ? all / 2 : all
    guard windowedShare > 0, windowKeyCount > 0 else { return causal * visibleFraction }
    let ofWindow = (visibleFraction - (1 - windowedShare)) / windowedShare
    let more = windowKeyCount / (isCausal ? Double(sequenceLength) / 2 : Double(sequenceLength))
    return causal * (1 - windowedShare + windowedShare * min(1, ofWindow + more))
  }

  /// Numbers of a head's queries and keys.
  package var queryHeadSize: Int { width / headCount }

  /// Numbers of a head, of queries and values in the mean.
  package var headSize: Double { Double(width + valueWidth) / Double(2 * headCount) }
}

/// Equal matrix products over the heads of an attention core: s × d by d × s, or s × s by s × d.
package struct HeadProducts: Sendable, Equatable {
  package let count: Int
  package let sequenceLength: Int
  package let headSize: Int

  /// `2·s·s·d` each.
  package var flop: Double {
    2 * Double(count) * Double(sequenceLength) * Double(sequenceLength) * Double(headSize)
  }
}

/// A tensor that a pass keeps for backward, as the rank holds it.
package struct KeptTensor: Sendable, Equatable {
  package enum Role: Sendable {
    /// The residual stream before a norm; of the first norm it is the block's input.
    case normInput
    /// The input of the column-parallel product.
    case columnInput
    /// The same of latent attention: what a norm gives that is a kernel of its own.
    case latentInput
    /// Narrow vectors of latent attention, as they are made and as their norms leave them.
    case narrowVectors
    case queries
    /// Of ranks that hand these round, the last that have come.
    case keysValues
    /// Of a fused core the fp32 log-sum-exp, otherwise the softmax, its dropout mask and its output.
    case attentionScores
    /// The core's output by heads, where sequences are exchanged for heads: its backward pass needs that, and the
    /// projection's the input by tokens.
    case attentionOutput
    /// Where a vector gates what attention gives: both of them.
    case gatedOutput
    /// The input of the attention's output projection.
    case projectionInput
    /// What a router has made of tokens.
    case routing
    /// What a norm gives that router and shared experts read.
    case expertsInput
    /// What experts have given a token together, before it is brought to the hidden size.
    case expertsLatent
    /// Rows that have come to experts.
    case expertRows
    /// The input of experts' activation; of a gated one gate and value.
    case expertActivation
    /// What experts' activation gives.
    case activatedRows
    /// Input and output of shared experts' activation.
    case sharedActivation
    /// Input and output of the activation; of a gated one gate, value and product.
    case activation
    case dropoutMask
    /// The softmax of the logits in fp32.
    case lossSoftmax
  }

  package let role: Role
  package let byteCount: Int
}

/// A collective inside a pass: of the tensor group, or of ranks that divide a sequence.
package struct TensorCollective: Sendable, Equatable {
  /// Who takes part.
  package enum Ranks: Sendable {
    case tensorGroup
    /// Neighbours that exchange parts of the sequence for heads.
    case headGroup
    /// Ranks that share keys and values.
    case sequenceGroup
    /// Ranks that divide the experts.
    case expertGroup
    /// Of these, those in a node, and those that have the same place in different nodes.
    case expertsInside
    case expertsAcross
    /// Ranks that divide the width of experts.
    case expertTensorGroup
    /// Both together: all to whose experts a token may go.
    case expertTokens
  }

  package var ranks = Ranks.tensorGroup
  package let kind: CollectiveKind
  package let operand: Operand
  /// Elements of the whole tensor; of one rank's in an all-to-all and a shift.
  package let elementCount: Int
  /// Bytes of an element on the wire.
  package let elementByteCount: Int
  package var reduction = Reduction.sum
  /// Nodes that a group of ranks which divide experts lies on.
  package var expertNodeCount = 1

  /// Bytes of the whole tensor.
  package var byteCount: Int { elementCount * elementByteCount }

  /// The group that a rank is in.
  package func group(containing rank: Int, of strategy: Strategy) -> RankGroup {
    let mesh = strategy.mesh
    return switch ranks {
    case .tensorGroup: mesh.group(along: .tensor, containing: rank)
    case .headGroup: mesh.ranks.group(mesh.headSpacing(strategy.contextDivision), containing: rank)
    case .sequenceGroup: mesh.ranks.group(mesh.sequenceSpacing(strategy.contextDivision), containing: rank)
    case .expertGroup, .expertsInside, .expertsAcross, .expertTensorGroup, .expertTokens:
      strategy.expertMesh.ranks.group(strategy.expertSpacing(ranks, nodeCount: expertNodeCount), containing: rank)
    }
  }

  /// What its bytes count as.
  package var traffic: TrafficKind {
    switch ranks {
    case .tensorGroup: .tensor
    case .headGroup, .sequenceGroup: .context
    case .expertGroup, .expertsInside, .expertsAcross, .expertTensorGroup, .expertTokens: .expert
    }
  }
}

extension Strategy {
  /// How the groups of ranks that exchange tokens are spaced, on the grid of experts.
  package func expertSpacing(_ ranks: TensorCollective.Ranks, nodeCount: Int) -> RankGroup.Spacing {
    let mesh = expertMesh, t = expertTensorDegree, ep = expertDegree
    return switch ranks {
    case .expertTensorGroup: mesh.spacing(along: .tensor)
    case .expertTokens: RankGroup.Spacing(stride: 1, count: t * ep)
    case .expertsInside: RankGroup.Spacing(stride: t, count: ep / nodeCount)
    case .expertsAcross: RankGroup.Spacing(stride: t * ep / nodeCount, count: nodeCount)
    case .expertGroup, .tensorGroup, .headGroup, .sequenceGroup: mesh.spacing(along: .expert)
    }
  }
}
