/// The sequences that one forward and backward pass works on.
///
/// Tokens are in rows position by position, as Megatron-LM's s × b × h: row `position * sequences.count + index`. A
/// division along the sequence into t parts is therefore one into blocks of rows.
struct MicroBatch: Sendable, Equatable {
  /// Optimizer steps done before.
  let step: Int
  /// Indices of the sequences within the global batch of the step.
  let sequences: [Int]
}

/// The tokens that are trained on: a hash of seed, step, sequence and position, or pieces of a text.
struct TrainingData: Sendable {
  let seed: UInt64
  /// Unpadded.
  let vocabularySize: Int
  /// Of the tokens of each sequence that there are.
  let positions: [Int]
  /// Tokens of a whole sequence.
  let sequenceLength: Int
  /// Read in a circle: each sequence is a piece of it, the same one in every step. Empty: tokens are made up.
  var corpus: [Int] = []

  /// Token of a position of a sequence of the global batch.
  func token(step: Int, sequence: Int, position: Int) -> Int {
    guard corpus.isEmpty else {
      let first = CounterHash(seed: seed).appending(Self.stream).appending(sequence).integer(below: corpus.count)
      return corpus[(first + position) % corpus.count]
    }
    return CounterHash(seed: seed).appending(Self.stream).appending(step).appending(sequence).appending(position)
      .integer(below: vocabularySize)
  }

  /// Tokens of a micro-batch, one for each row.
  ///
  /// - Parameter depth: how many tokens further on they are. Where the sequence is over, the first of the vocabulary (Megatron
  ///   Core's `roll_tensor`): no target is predicted from those.
  func tokens(_ microBatch: MicroBatch, ahead depth: Int = 0) -> [Int] {
    rows(microBatch) { sequence, position in
      position + depth < sequenceLength
        ? token(step: microBatch.step, sequence: sequence, position: position + depth) : 0
    }
  }

  /// The token that each row is to predict: the next one of its sequence (for an encoder as well:
  /// it is arithmetic that is trained here, not a language).
  ///
  /// - Parameter depth: how many tokens further on than the next it is; nil where the sequence is over that soon.
  func targets(_ microBatch: MicroBatch, depth: Int = 0) -> [Int?] {
    rows(microBatch) { sequence, position in
      hasTarget(position, depth: depth)
        ? token(step: microBatch.step, sequence: sequence, position: position + depth + 1) : nil
    }
  }

  /// Whether there is a token to predict at a depth: the last of a sequence is followed by one.
  func hasTarget(_ position: Int, depth: Int) -> Bool { position + depth < sequenceLength }

  private func rows<Value>(_ microBatch: MicroBatch, _ value: (_ sequence: Int, _ position: Int) -> Value) -> [Value] {
    positions.flatMap { position in microBatch.sequences.map { value($0, position) } }
  }

  /// First coordinate, apart from those of parameters and dropout.
  private static let stream = 1
}
