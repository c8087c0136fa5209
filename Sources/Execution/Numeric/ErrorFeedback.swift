import Documents

/// Error feedback of quantised gradients, as in LoCo (Xie et al. 2024): what
/// quantising has left out is added the next time.
///
/// With e = 0 at first, u = g + e is quantised in place of g, and e becomes β·e + (1 − β)·(u − û), û being what u is
/// dequantised to. Each exchange has an e of its own for each of its two hops, kept as INT8.
package struct ErrorFeedback: Sendable, Equatable {
  /// How much of e stays, β.
  package var decay: Float
  /// Reductions after which e is 0 again.
  package var resetInterval: Int

  package init(decay: Float = 0.8, resetInterval: Int = 1024) {
    self.decay = decay
    self.resetInterval = resetInterval
  }
}

/// What quantising has left out of one tensor so far, e.
struct OwedValues: Sendable {
  private var words: [Float] = []
  private var reductionCount = 0

  /// Bytes that are kept.
  var byteCount: Int { words.count * Quantisation.wordByteCount }

  /// Quantises a tensor's runs, each by itself, with what is owed, and notes what is owed from now on.
  ///
  /// - Returns: the words of all runs.
  mutating func quantise(
    _ values: [Float], runCount: Int, _ quantisation: Quantisation, _ feedback: ErrorFeedback
  ) -> [Float] {
    let owed =
      words.isEmpty
      ? [Float](repeating: 0, count: values.count)
      : Quantisation.weights.dequantise(words[...], elementCount: values.count)
    let sum = zip(values, owed).map { $0 + $1 }
    let sent = quantisation.quantiseRuns(sum, runCount: runCount)
    let length = values.count / runCount, wordCount = quantisation.wordCount(elementCount: length)
    var error = owed
    for run in 0..<runCount {
      let seen = quantisation.dequantise(sent[run * wordCount..<(run + 1) * wordCount], elementCount: length)
      for (element, value) in zip(run * length..<(run + 1) * length, seen) {
        error[element] = feedback.decay * owed[element] + (1 - feedback.decay) * (sum[element] - value)
      }
    }
    reductionCount += 1
    words = []
    if reductionCount % feedback.resetInterval == 0 { error = error.map { _ in 0 } }
    Quantisation.weights.quantise(error[...], into: &words)
    return sent
  }
}

extension Quantisation {
  /// The words of equal runs, each quantised by itself.
  func quantiseRuns(_ values: [Float], runCount: Int) -> [Float] {
    let length = values.count / runCount
    var words: [Float] = []
    words.reserveCapacity(runCount * wordCount(elementCount: length))
    for run in 0..<runCount { quantise(values[run * length..<(run + 1) * length], into: &words) }
    return words
  }
}
