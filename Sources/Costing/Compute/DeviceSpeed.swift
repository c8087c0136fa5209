import Documents

/// How fast one device multiplies, attends and moves memory in one precision: the device profile made ready for use.
struct DeviceSpeed: Sendable {
  /// Seconds per FLOP of a very large matrix product.
  let secondsPerGEMMFLOP: Double
  /// The dimension at which a matrix product reaches half of that.
  let gemmHalfSize: Double
  /// Seconds per FLOP of grouped products with very many rows each.
  let secondsPerGroupedFLOP: Double
  /// Rows of each expert at which grouped products reach half of that.
  let groupedHalfRows: Double
  let secondsPerAttentionFLOP: Double
  /// Of a product that matrix units cannot take, for its rows are no multiples of 16 bytes. Ordinary cores multiply so
  /// slowly that what short dimensions cost does not show.
  let secondsPerUnalignedFLOP: Double
  /// Elements in 16 bytes; 1 where ordinary cores multiply anyway.
  let alignedHeadMultiple: Int
  let secondsPerMemoryByte: Double

  init(
    secondsPerGEMMFLOP: Double, gemmHalfSize: Double, groupedShare: Double = Self.groupedShare,
    groupedHalfRows: Double = Self.groupedHalfRows, secondsPerAttentionFLOP: Double, secondsPerUnalignedFLOP: Double,
    alignedHeadMultiple: Int, secondsPerMemoryByte: Double
  ) {
    self.secondsPerGEMMFLOP = secondsPerGEMMFLOP
    self.gemmHalfSize = gemmHalfSize
    secondsPerGroupedFLOP = secondsPerGEMMFLOP / groupedShare
    self.groupedHalfRows = groupedHalfRows
    self.secondsPerAttentionFLOP = secondsPerAttentionFLOP
    self.secondsPerUnalignedFLOP = secondsPerUnalignedFLOP
    self.alignedHeadMultiple = alignedHeadMultiple
    self.secondsPerMemoryByte = secondsPerMemoryByte
  }

  /// - Parameters:
  ///   - precision: of what is multiplied.
  ///   - gemmFactor: a framework's own, see ``DeviceProfile/Framework/gemmFactor``.
  ///   - attentionFactor: likewise ``DeviceProfile/Framework/attentionFactor``.
  init(_ profile: DeviceProfile, precision: Precision, gemmFactor: Double = 1, attentionFactor: Double = 1) {
    let peak = profile.peakFLOPPerSecond(precision)
    secondsPerGEMMFLOP = gemmFactor / (peak * profile.compute.gemmPeakFraction)
    gemmHalfSize = profile.compute.gemmHalfSize
    secondsPerGroupedFLOP = secondsPerGEMMFLOP / Self.groupedShare
    groupedHalfRows = Self.groupedHalfRows
    secondsPerAttentionFLOP = attentionFactor / (peak * profile.compute.attentionPeakFraction)
    secondsPerUnalignedFLOP =
      gemmFactor / (profile.datasheet.fp32FLOPPerSecond * profile.compute.unalignedPeakFraction)
    alignedHeadMultiple = precision == .fp32 ? 1 : 16 / precision.byteCount
    secondsPerMemoryByte = 1 / (profile.datasheet.memoryBytesPerSecond * profile.compute.memoryFraction)
  }

  /// What grouped products with very many rows reach of what one large product does. Of 60 grouped products of bf16 on B200
  /// the best reach 0.49 to 0.53 of the peak, where large products reach about 0.72; not fitted to any other device.
  static let groupedShare = 0.70
  /// Half of that is reached with 200 to 280 rows of each expert, by the same products; the weights' gradient needs more, since
  /// it reads and writes the accumulated one, which is counted by itself.
  static let groupedHalfRows = 240.0

  /// Seconds of an m × k by k × n matrix product:
  /// `2mnk / (peak · e) · (1 + z/m)(1 + z/n)(1 + z/k)`, e the fraction of peak of very large products and z the half
  /// size. Each factor is the loss to partly filled tiles and to filling the pipelines along one dimension.
  func gemmSeconds(_ m: Double, _ n: Double, _ k: Double) -> Double {
    let saturation = (m + gemmHalfSize) * (n + gemmHalfSize) * (k + gemmHalfSize)
    return 2 * saturation * secondsPerGEMMFLOP
  }
}
