import Documents
import Training

/// How fast one device multiplies, attends and moves memory in one precision: the device profile made ready for use.
struct DeviceSpeed: Sendable {
  /// Products of what is stored.
  let stored: ProductSpeed
  /// Products of blocks' linear layers, where a narrow format is multiplied in; otherwise the same.
  let narrow: ProductSpeed
  let secondsPerAttentionFLOP: Double
  /// Time of attention in FP8 over that, in heads of more than 128 numbers.
  let fp8WideHeadAttentionFactor: Double
  /// Of a product that matrix units cannot take, for its rows are no multiples of 16 bytes. Ordinary cores multiply so
  /// slowly that what short dimensions cost does not show.
  let secondsPerUnalignedFLOP: Double
  /// Elements in 16 bytes; 1 where ordinary cores multiply anyway.
  let alignedHeadMultiple: Int
  let secondsPerMemoryByte: Double

  init(
    stored: ProductSpeed, narrow: ProductSpeed? = nil, secondsPerAttentionFLOP: Double, secondsPerUnalignedFLOP: Double,
    alignedHeadMultiple: Int, secondsPerMemoryByte: Double, fp8WideHeadAttentionFactor: Double = 1
  ) {
    self.stored = stored
    self.narrow = narrow ?? stored
    self.secondsPerAttentionFLOP = secondsPerAttentionFLOP
    self.secondsPerUnalignedFLOP = secondsPerUnalignedFLOP
    self.alignedHeadMultiple = alignedHeadMultiple
    self.secondsPerMemoryByte = secondsPerMemoryByte
    self.fp8WideHeadAttentionFactor = fp8WideHeadAttentionFactor
  }

  /// - Parameters:
  ///   - precision: of what is multiplied.
  ///   - gemmFactor: a framework's own, see ``DeviceProfile/Framework/gemmFactor``.
  ///   - attentionFactor: likewise ``DeviceProfile/Framework/attentionFactor``.
  init(_ profile: DeviceProfile, precision: Precision, gemmFactor: Double = 1, attentionFactor: Double = 1) {
    let peak = profile.peakFLOPPerSecond(precision.storage)
    let secondsPerMemoryByte = 1 / (profile.datasheet.memoryBytesPerSecond * profile.compute.memoryFraction)
    self.init(
      stored: ProductSpeed(profile, precision: precision.storage, factor: gemmFactor),
      narrow: precision.products.map {
        ProductSpeed(
          profile, precision: precision, format: $0, factor: gemmFactor, secondsPerMemoryByte: secondsPerMemoryByte)
      },
      secondsPerAttentionFLOP: attentionFactor / (peak * profile.compute.attentionPeakFraction),
      secondsPerUnalignedFLOP: gemmFactor
        / (profile.datasheet.fp32FLOPPerSecond * profile.compute.unalignedPeakFraction),
      alignedHeadMultiple: precision == .fp32 ? 1 : 16 / precision.byteCount,
      secondsPerMemoryByte: secondsPerMemoryByte,
      fp8WideHeadAttentionFactor: profile.compute.fp8WideHeadAttentionFactor)
  }

  /// The same, faster by factors.
  func scaling(computation: Double, memory: Double) -> Self {
    Self(
      stored: stored.scaling(computation: computation, memory: memory),
      narrow: narrow.scaling(computation: computation, memory: memory),
      secondsPerAttentionFLOP: secondsPerAttentionFLOP / computation,
      secondsPerUnalignedFLOP: secondsPerUnalignedFLOP / computation, alignedHeadMultiple: alignedHeadMultiple,
      secondsPerMemoryByte: secondsPerMemoryByte / memory, fp8WideHeadAttentionFactor: fp8WideHeadAttentionFactor)
  }

  /// What a linear layer multiplies at.
  func products(of layer: LinearLayer) -> ProductSpeed { layer.isNarrow ? narrow : stored }

  /// What experts multiply at.
  func products(of layer: GroupedLayer) -> ProductSpeed { layer.isNarrow ? narrow : stored }

  /// Plain batched products: as fast as other products of their size, whatever a fused kernel reaches, and on ordinary cores
  /// where matrix units cannot take the head size as it is.
  func seconds(_ products: HeadProducts) -> Double {
    let sequence = Double(products.sequenceLength), headSize = Double(products.headSize)
    let count = Double(products.count)
    let seconds = count * stored.seconds(sequence, sequence, headSize)
    if products.headSize % alignedHeadMultiple == 0 { return seconds }
    return max(seconds, count * 2 * sequence * sequence * headSize * secondsPerUnalignedFLOP)
  }
}
