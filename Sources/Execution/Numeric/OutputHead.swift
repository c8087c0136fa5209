import Documents
import Glibc
import Training

/// Final norm, output matrix divided along the vocabulary, and cross-entropy, as pieces between collectives.
///
/// The output matrix, vocabulary × hidden, is given as a flat buffer and an offset: the head's
/// own, or the embedding's for tied embeddings on one stage.
struct OutputHead: Sendable {
  let shard: ModelShard
  /// Of the part whose final norm it is: the head's, or a further prediction's.
  let layout: ParameterLayout
  /// How many tokens further on than the next its targets are.
  let depth: Int

  /// - Parameters:
  ///   - ownsOutputMatrix: see ``ParameterLayout/init(_:shard:ownsOutputMatrix:copiesTokenTable:)``.
  ///   - copiesTokenTable: see there.
  init(shard: ModelShard, ownsOutputMatrix: Bool, copiesTokenTable: Bool = false) {
    self.shard = shard
    layout = ParameterLayout(
      .head, shard: shard, ownsOutputMatrix: ownsOutputMatrix, copiesTokenTable: copiesTokenTable)
    depth = 0
  }

  /// The end of a further prediction.
  init(shard: ModelShard, layout: ParameterLayout, depth: Int) {
    self.shard = shard
    self.layout = layout
    self.depth = depth
  }

  /// What a token's loss counts for, where the sum over all tokens is divided by how many there are: 1, and of further
  /// predictions so much that the mean over tokens that have a target counts ``FurtherPrediction/lossWeight``, all depths
  /// together.
  private var lossFactor: Double {
    guard depth > 0 else { return 1 }
    let length = shard.sequenceLength
    return FurtherPrediction.lossWeight / Double(shard.model.predictionDepth) * Double(length)
      / Double(max(1, length - depth))
  }

  /// Final norm. Keeps input and output.
  /// - Returns: local rows × hidden; to be gathered under sequence parallelism.
  func normalise(input: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    let output = shard.arithmetic.rounded(norm.forward(input, weights: weights))
    saved.keep(.finalNormInput, input, elementByteCount: shard.elementByteCount)
    saved.keep(.finalNormOutput, output, elementByteCount: shard.elementByteCount)
    return output
  }

  /// Logits of this rank's part of the vocabulary, all tokens × part. Padded entries are −∞.
  /// - Parameters:
  ///   - buffer: flat buffer that holds the output matrix, the head's or the embedding's.
  ///   - offset: where it starts there.
  func logits(normalised: Matrix, buffer: [Float], offset: Int) -> Matrix {
    var logits = normalised.timesTransposed(buffer, matrix(at: offset))
    let range = shard.vocabularyRange
    let firstPadded = max(0, min(range.count, shard.model.vocabularySize - range.lowerBound))
    for row in 0..<logits.rowCount {
      for column in firstPadded..<range.count { logits.elements[row * range.count + column] = -.infinity }
    }
    return logits
  }

  /// Largest logit of each token in this part; all-reduced by maximum.
  func maxima(_ logits: Matrix) -> [Float] {
    let width = logits.columnCount
    return (0..<logits.rowCount).map { row in
      var largest = -Float.infinity
      for at in row * width..<(row + 1) * width { largest = max(largest, logits.elements[at]) }
      return largest
    }
  }

  /// Each token's target logit less the maximum, zero if another rank holds it; all-reduced by sum.
  func targetLogits(_ logits: Matrix, maxima: [Float], microBatch: MicroBatch) -> [Float] {
    let range = shard.vocabularyRange
    return zip(shard.data.targets(microBatch, depth: depth), maxima).enumerated().map { row, pair in
      guard let target = pair.0, range.contains(target) else { return 0 }
      return logits[row, target - range.lowerBound] - pair.1
    }
  }

  /// Each token's sum of exp(logit − maximum) over this part; all-reduced by sum. `logits` become the exponentials.
  func exponentialSums(_ logits: inout Matrix, maxima: [Float]) -> [Float] {
    let width = logits.columnCount
    return (0..<logits.rowCount).map { row in
      var sum: Float = 0
      for at in row * width..<(row + 1) * width {
        let exponential = exp(logits.elements[at] - maxima[row])
        logits.elements[at] = exponential
        sum += exponential
      }
      return sum
    }
  }

  /// Sum of the tokens' cross-entropies, as far as they have targets and as much as these count: the same on all ranks of the
  /// tensor group. Keeps the softmax.
  func loss(
    exponentials: Matrix, exponentialSums: [Float], targetLogits: [Float], saved: inout SavedActivations
  ) -> Double {
    let width = exponentials.columnCount
    var softmax = exponentials
    var loss = 0.0
    let positions = shard.positions, sequenceCount = softmax.rowCount / positions.count
    for row in 0..<softmax.rowCount {
      for at in row * width..<(row + 1) * width { softmax.elements[at] /= exponentialSums[row] }
      guard shard.data.hasTarget(positions[row / sequenceCount], depth: depth) else { continue }
      loss += Double(log(exponentialSums[row]) - targetLogits[row])
    }
    saved.keep(.lossSoftmax, softmax, elementByteCount: 4)
    return lossFactor * loss
  }

  /// Of cross-entropy and output matrix.
  /// - Parameters:
  ///   - scale: 1 / tokens of the global batch, so that gradients are those of the mean over all of them, times
  ///     ``ModelShard/lossScale``.
  ///   - normalised: all tokens × hidden, the kept norm output; gathered once more under sequence parallelism.
  ///   - gradient: flat gradient buffer that holds the output matrix's.
  /// - Returns: all tokens × hidden, one addend of the gradient of `normalised` over the tensor group.
  func lossBackward(
    scale: Float, normalised: Matrix, buffer: [Float], offset: Int, microBatch: MicroBatch, saved: SavedActivations,
    gradient: inout [Float]
  ) -> Matrix {
    var weightGradients = WeightGradients(isPutOff: false)
    return lossBackward(
      scale: scale, normalised: normalised, buffer: buffer, offset: offset, microBatch: microBatch, saved: saved,
      gradient: &gradient, weightGradients: &weightGradients)
  }

  /// The same, with the output matrix' gradient put off where `weightGradients` are.
  func lossBackward(
    scale: Float, normalised: Matrix, buffer: [Float], offset: Int, microBatch: MicroBatch, saved: SavedActivations,
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    let range = shard.vocabularyRange
    var logitGradient = saved[.lossSoftmax]
    let scale = scale * Float(lossFactor)
    for (row, target) in shard.data.targets(microBatch, depth: depth).enumerated() {
      let first = row * range.count
      guard let target else {
        for at in first..<first + range.count { logitGradient.elements[at] = 0 }
        continue
      }
      if range.contains(target) { logitGradient.elements[first + target - range.lowerBound] -= 1 }
      for at in first..<first + range.count { logitGradient.elements[at] *= scale }
    }
    weightGradients.add(logitGradient, with: normalised, to: &gradient, matrix(at: offset))
    return shard.arithmetic.rounded(logitGradient.times(buffer, matrix(at: offset)))
  }

  /// Of the final norm.
  /// - Parameter normalisedGradient: local rows × hidden, summed over the tensor group.
  func normaliseBackward(
    normalisedGradient: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    shard.arithmetic.rounded(
      norm.backward(normalisedGradient, input: saved[.finalNormInput], weights: weights, gradient: &gradient))
  }

  private var norm: Normalisation {
    Normalisation(weight: layout[.finalNormWeight], bias: layout.range(of: .finalNormBias))
  }

  /// This rank's rows of the output matrix in a buffer.
  private func matrix(at offset: Int) -> Range<Int> {
    offset..<offset + shard.vocabularyRange.count * shard.model.hiddenSize
  }
}
