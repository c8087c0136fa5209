import Documents
import Glibc

/// Attention of a sequence that ranks divide, between its products.
extension TransformerLayer {
  /// The core over some of the keys, for the queries that this rank has after its exchange for heads.
  ///
  /// - Parameter keyPositions: ascending.
  func core(_ microBatch: MicroBatch, keyPositions: [Int], weights: [Float]) -> AttentionCore {
    let place = shard.context, ranks = place.division.headDegree
    let headCount = shard.headCount / ranks
    let sinks = layout.range(of: .sinks).map { range -> [Float] in
      let first = range.lowerBound + place.headIndex * headCount
      return Array(weights[first..<first + headCount])
    }
    return AttentionCore(
      sequences: microBatch.sequences, sequenceLength: shard.sequenceLength, headCount: headCount,
      keyValueHeadCount: shard.keyValueHeadCount / ranks, headSize: shard.model.headSize,
      valueSize: shard.model.valueHeadSize,
      firstHead: shard.tensorIndex * shard.headCount + place.headIndex * headCount,
      isCausal: shard.model.family != .bert,
      dropout: shard.hasDropout
        ? Dropout(seed: shard.seed, step: microBatch.step, layer: index, site: .attentionCore) : nil,
      arithmetic: shard.arithmetic, reach: reach, sinks: sinks ?? [],
      queryPositions: place.positions(ofGroup: place.sequenceIndex),
      keyPositions: keyPositions)
  }

  /// The rank's addend of the output projection.
  func attentionProjection(context: Matrix, weights: [Float]) -> Matrix {
    shard.arithmetic.rounded(linear(.attentionOutputWeight).output(context, weights: weights))
  }
}

extension AttentionCore {
  /// Puts what was found out of some keys together with what was of others, by the weight of both: log-sum-exps add up to
  /// that of all keys (Milakov and Gimelshein 2018, online softmax).
  static func combine(
    _ sum: inout (context: Matrix, logSumExp: Matrix), with next: (context: Matrix, logSumExp: Matrix), headSize: Int
  ) {
    let headCount = sum.logSumExp.columnCount
    for row in 0..<sum.logSumExp.rowCount {
      for head in 0..<headCount {
        let old = sum.logSumExp[row, head], new = next.logSumExp[row, head]
        // A query that sees none of the keys.
        guard new > -.infinity else { continue }
        let largest = max(old, new)
        let both = largest + log(exp(old - largest) + exp(new - largest))
        let (before, added) = (exp(old - both), exp(new - both))
        let first = row * sum.context.columnCount + head * headSize
        for at in first..<first + headSize {
          sum.context.elements[at] = sum.context.elements[at] * before + next.context.elements[at] * added
        }
        sum.logSumExp[row, head] = both
      }
    }
  }
}
