/// What one direction of a link delivered.
public struct DirectionMeasurement: Sendable, Equatable {
  /// The samples of one message size over one number of streams.
  public struct Size: Sendable, Equatable {
    public let messageBytes: Int
    public let streamCount: Int
    public let sampleCount: Int
    /// From the first byte's leaving to the last one's arrival.
    public let medianSeconds: Double
    /// A quarter of the samples took less, a quarter more.
    public let lowerQuartileSeconds: Double
    public let upperQuartileSeconds: Double

    public var bytesPerSecond: Double { Double(messageBytes) / medianSeconds }
  }

  /// Half the median time of one byte there and one back.
  public let latencySeconds: Double
  public let pingCount: Int
  /// By stream count, then by size.
  public let sizes: [Size]

  init(latencySeconds: Double, pingCount: Int, sizes: [Size]) {
    self.latencySeconds = latencySeconds
    self.pingCount = pingCount
    self.sizes = sizes
  }
}

extension DirectionMeasurement.Size {
  /// - Precondition: there are samples.
  init(messageBytes: Int, streamCount: Int, seconds: [Double]) {
    let sorted = seconds.sorted()
    self.init(
      messageBytes: messageBytes, streamCount: streamCount, sampleCount: sorted.count,
      medianSeconds: quantile(sorted, 0.5), lowerQuartileSeconds: quantile(sorted, 0.25),
      upperQuartileSeconds: quantile(sorted, 0.75))
  }
}

/// The value below which a share of sorted values lies, between neighbours in proportion.
///
/// - Precondition: there are values.
func quantile(_ sorted: [Double], _ share: Double) -> Double {
  let position = share * Double(sorted.count - 1)
  let index = Int(position)
  guard index + 1 < sorted.count else { return sorted[sorted.count - 1] }
  return sorted[index] + (position - Double(index)) * (sorted[index + 1] - sorted[index])
}
