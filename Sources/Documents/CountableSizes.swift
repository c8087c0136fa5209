/// How large jobs and strategies may be for their bytes to be counted in 63 bits: a question is refused for nothing else.
///
/// What is counted of one device is bounded by the sequences that it holds at a time, and not by the batch, so that a
/// batch may have any size. Everything that is counted later stays below four times these bounds (MutatedInputsTests).
extension TrainingJob {
  /// What bytes that are held at a time have to stay below: about a million times a device's memory.
  static let heldByteLimit = 0x1p60
  /// What bytes that a rank sends in an iteration have to stay below.
  static let sentByteLimit = 0x1p62

  /// Widths of a layer's tensors, together.
  private var widths: Double {
    Double(model.hiddenSize + model.querySize + model.keyValueSize + model.feedForwardSize)
  }

  /// Bytes, at most, that all layers and the head hold of one sequence, logits included, on one device.
  ///
  /// - Parameter usesFlashAttention: whether attention is fused, so that scores are not kept.
  func heldBytesPerSequence(usesFlashAttention: Bool) -> Double {
    let scores = usesFlashAttention ? 0 : 8 * Double(model.headCount) * Double(sequenceLength)
    // A vocabulary is padded by less than the largest multiple on a rank.
    let vocabulary = Double(model.vocabularySize + DeviceProfile.Framework.largestVocabularyMultiple)
    return Double(sequenceLength) * ((64 * widths + scores) * Double(model.layerCount) + 64 * vocabulary)
  }

  /// Parameters with gradients and optimizer states, bytes at most.
  private var stateBytes: Double { 64 * Double(model.layerCount) * widths * Double(model.hiddenSize) }

  /// Bytes, at most, that a rank sends of activations in an iteration, were all sequences its own.
  private var sentBytes: Double {
    Double(globalBatch) * Double(sequenceLength) * 64 * widths * Double(model.layerCount)
  }

  /// Why nothing of this job can be counted, as a sentence; nil if something can.
  var reasonNotCountable: String? {
    let shape = "\(sequenceLength) tokens × \(model.layerCount) layers × \(bytes(64 * widths))"
    if heldBytesPerSequence(usesFlashAttention: true) + stateBytes >= Self.heldByteLimit {
      return "a sequence of \(model.name) is more than can be counted: \(shape) pass 2^60 bytes"
    }
    if sentBytes >= Self.sentByteLimit {
      return "a batch of \(model.name) is more than can be counted: \(globalBatch) sequences × \(shape) pass 2^62 bytes"
    }
    return nil
  }

  /// The product that is too large to be counted where this job is run by a strategy; nil if there is none.
  func uncountableProduct(_ strategy: Strategy) -> String? {
    // Interleaved stages hold the chunks of less than twice as many micro-batches as there are stages.
    let inFlight = min(
      2 * Double(strategy.pipelineDegree) * Double(strategy.microBatch),
      Double(globalBatch) / Double(strategy.batchDegree))
    let perSequence = heldBytesPerSequence(usesFlashAttention: strategy.usesFlashAttention)
    if inFlight * perSequence + stateBytes >= Self.heldByteLimit {
      return "\(Int(inFlight)) sequences in flight × \(bytes(perSequence)) of activations pass 2^60 bytes"
    }
    guard strategy.zeroStage >= .gradients || strategy.hasShardLevels else { return nil }
    // All replicas gather weights twice a micro-batch, a tied embedding four times, and reduce gradients once.
    let exchanges = Double(globalBatch) / Double(strategy.microBatch)
    let perExchange = 16 * Double(model.parameterCount)
    guard exchanges * perExchange >= Self.sentByteLimit else { return nil }
    return "\(Int(exchanges)) micro-batches × \(bytes(perExchange)) of weights and gradients pass 2^62 bytes"
  }

  /// A whole number of bytes in words; in powers of two where it is no number that can be written out.
  private func bytes(_ count: Double) -> String {
    count < 0x1p53 ? "\(Int(count.rounded(.up))) bytes" : "2^\(count.exponent) bytes"
  }
}
