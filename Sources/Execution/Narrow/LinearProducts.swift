/// A linear layer's three products, of operands as they are cast, or as they are.
///
/// Weights come as they are cast already (``Casting/weights(_:_:_:step:)``): once an iteration, and not for every product.
struct LinearProducts: Sendable {
  let tensor: ParameterLayout.Tensor
  /// Nil where nothing is cast.
  let casts: BlockCasts?

  /// x·Wᵀ.
  func output(_ input: Matrix, weights: [Float]) -> Matrix { output(ofCast: cast(input, .input), weights: weights) }

  /// The same of an input that is cast already, for several layers that read it.
  func output(ofCast input: Matrix, weights: [Float]) -> Matrix { input.timesTransposed(weights, tensor.range) }

  /// d·W.
  func inputGradient(_ outputGradient: Matrix, weights: [Float]) -> Matrix {
    cast(outputGradient, .outputGradient).times(weights, tensor.range)
  }

  /// Adds dᵀ·x.
  func addWeightGradient(_ outputGradient: Matrix, _ input: Matrix, to gradient: inout [Float]) {
    addWeightGradient(outputGradient, ofCast: cast(input, .inputAlongTokens), to: &gradient)
  }

  /// The same of an input that is cast already.
  func addWeightGradient(_ outputGradient: Matrix, ofCast input: Matrix, to gradient: inout [Float]) {
    cast(outputGradient, .outputGradientAlongTokens).addTransposedProduct(with: input, to: &gradient, tensor.range)
  }

  /// An operand as it is multiplied.
  func cast(_ matrix: Matrix, _ operand: ProductOperand) -> Matrix {
    guard let casts else { return matrix }
    return casts.casting.cast(
      matrix, operand, of: tensor, tensorIndex: casts.tensorIndex,
      rows: tensor.name.isOfLocalRows ? casts.local : casts.all, step: casts.step)
  }
}

/// How the operands of a block's products are cast while it works on a micro-batch.
struct BlockCasts: Sendable {
  let casting: Casting
  /// Optimizer steps done before.
  let step: Int
  /// The place among those that divide the block's matrices.
  let tensorIndex: Int
  /// The rows of tensor-parallel products, and those that the rank has outside of these.
  let all: CastRows
  let local: CastRows
  /// Where the block runs backward, the weights that it had forward: for what is computed once more.
  var forwardWeights: [Float]?
}

extension ModelShard {
  /// - Parameters:
  ///   - forwardWeights: see ``BlockCasts/forwardWeights``.
  /// - Returns: nil where nothing is cast.
  func casts(_ microBatch: MicroBatch, forwardWeights: [Float]? = nil) -> BlockCasts? {
    guard let casting else { return nil }
    let count = microBatch.sequences.count, rowCount = positions.count * count
    let all = (0..<rowCount).map { row in
      microBatch.sequences[row % count] * sequenceLength + positions[row / count]
    }
    let local = localRows(microBatch)
    func groups(_ degree: Int) -> [[Int]] {
      TokenSources(division: sources.division, tensorDegree: degree).rows(rowCount: rowCount, sequenceCount: count)
    }
    return BlockCasts(
      casting: casting, step: microBatch.step, tensorIndex: tensorIndex,
      all: CastRows(numbers: all, groups: groups(1)),
      // A rank has but its own of them.
      local: local.count == rowCount
        ? CastRows(numbers: all, groups: groups(casting.parts.rows)) : CastRows(numbers: Array(all[local])),
      forwardWeights: forwardWeights)
  }
}
