import Documents
import Training

/// How fast one device multiplies matrices of one format.
struct ProductSpeed: Sendable {
  /// Seconds per FLOP of a very large matrix product.
  let secondsPerFLOP: Double
  /// The dimension at which a matrix product reaches half of that.
  let halfSize: Double
  /// Seconds per FLOP of grouped products with very many rows each.
  let secondsPerGroupedFLOP: Double
  /// Rows of each expert at which grouped products reach half of that.
  let groupedHalfRows: Double
  /// What casting a number of an activation or a gradient to the format takes; 0 where it is stored in it.
  let castSecondsPerElement: Double

  init(
    secondsPerFLOP: Double, halfSize: Double, groupedShare: Double = Self.groupedShare,
    groupedHalfRows: Double = Self.groupedHalfRows, castSecondsPerElement: Double = 0
  ) {
    self.secondsPerFLOP = secondsPerFLOP
    self.halfSize = halfSize
    secondsPerGroupedFLOP = secondsPerFLOP / groupedShare
    self.groupedHalfRows = groupedHalfRows
    self.castSecondsPerElement = castSecondsPerElement
  }

  /// Products of what is stored.
  init(_ profile: DeviceProfile, precision: Precision, factor: Double) {
    self.init(
      secondsPerFLOP: factor / (profile.peakFLOPPerSecond(precision) * profile.compute.gemmPeakFraction),
      halfSize: profile.compute.gemmHalfSize)
  }

  /// Products of a narrow format.
  ///
  /// - Parameter precision: one with products of that format.
  init(
    _ profile: DeviceProfile, precision: Precision, format: ProductFormat, factor: Double, secondsPerMemoryByte: Double
  ) {
    let rate = profile.compute.rate(of: format)
    self.init(
      secondsPerFLOP: factor / (profile.peakFLOPPerSecond(precision) * rate.peakFraction), halfSize: rate.halfSize,
      // To fill the same units takes as many rows for each time that they are faster.
      groupedHalfRows: Self.groupedHalfRows * 16 / Double(format.bitCount),
      castSecondsPerElement: format.castBytes(on: profile.datasheet) * secondsPerMemoryByte)
  }

  /// The same, faster by a factor in products and in casts.
  func scaling(computation: Double, memory: Double) -> Self {
    Self(
      secondsPerFLOP: secondsPerFLOP / computation, halfSize: halfSize,
      groupedShare: secondsPerFLOP / secondsPerGroupedFLOP, groupedHalfRows: groupedHalfRows,
      castSecondsPerElement: castSecondsPerElement / memory)
  }

  /// What grouped products with very many rows reach of what one large product does. Of 60 grouped products of bf16 on B200
  /// the best, of widths from 3,072 on, reach 0.49 to 0.53 of the peak, where large products reach 0.76 and these would 0.71;
  /// not fitted to any other device.
  static let groupedShare = 0.73
  /// Half of that is reached with 200 to 280 rows of each expert, by the same products; the weights' gradient needs more, since
  /// it reads and writes the accumulated one, which is counted by itself.
  static let groupedHalfRows = 240.0

  /// Seconds of an m × k by k × n matrix product:
  /// `2mnk / (peak · e) · (1 + z/m)(1 + z/n)(1 + z/k)`, e the fraction of peak of very large products and z the half
  /// size. Each factor is the loss to partly filled tiles and to filling the pipelines along one dimension.
  func seconds(_ m: Double, _ n: Double, _ k: Double) -> Double {
    2 * (m + halfSize) * (n + halfSize) * (k + halfSize) * secondsPerFLOP
  }

  /// T × k by k × n, with the cast of its input.
  func forwardSeconds(_ layer: LinearLayer) -> Double {
    seconds(Double(layer.tokenCount), Double(layer.outputCount), Double(layer.inputCount))
      + Double(layer.castInputRowCount * layer.inputCount) * castSecondsPerElement
  }

  /// T × n by n × k, with the cast of the output's gradient.
  func inputGradientSeconds(_ layer: LinearLayer) -> Double {
    seconds(Double(layer.tokenCount), Double(layer.inputCount), Double(layer.outputCount))
      + Double(layer.castGradientRowCount * layer.outputCount) * castSecondsPerElement
  }

  /// k × T by T × n, both of which are there.
  func weightGradientSeconds(_ layer: LinearLayer) -> Double {
    seconds(Double(layer.inputCount), Double(layer.outputCount), Double(layer.tokenCount))
  }

  /// Of experts' products in one pass: `2·rows·n·k / (peak · e) · (1 + ρ½/ρ)(1 + z/n)(1 + z/k)`, ρ the rows of each expert. Few
  /// rows leave tiles partly filled, and read an expert's weights for little work.
  func seconds(_ layer: GroupedLayer) -> Double {
    guard layer.rowCount > 0 else { return 0 }
    let saturation = (Double(layer.inputCount) + halfSize) * (Double(layer.outputCount) + halfSize)
    return 2 * layer.rowCount * saturation * secondsPerGroupedFLOP * (1 + groupedHalfRows / layer.rowsPerExpert)
  }

  /// The cast of the rows that experts multiply, or of the gradient of what they give.
  func castSeconds(_ layer: GroupedLayer, isBackward: Bool) -> Double {
    layer.rowCount * Double(isBackward ? layer.outputCount : layer.inputCount) * castSecondsPerElement
  }
}
