import Documents

/// What one direction of a link delivered.
package struct DirectionMeasurement: Sendable, Equatable {
  /// The samples of one message size over one number of streams.
  package struct Size: Sendable, Equatable {
    package let messageBytes: Int
    package let streamCount: Int
    package let sampleCount: Int
    /// From the first byte's leaving to the last one's arrival.
    package let medianSeconds: Double
    /// A quarter of the samples took less, a quarter more.
    package let lowerQuartileSeconds: Double
    package let upperQuartileSeconds: Double

    package var bytesPerSecond: Double { Double(messageBytes) / medianSeconds }
  }

  /// Half the median time of one byte there and one back.
  package let latencySeconds: Double
  package let pingCount: Int
  /// By stream count, then by size.
  package let sizes: [Size]

  init(latencySeconds: Double, pingCount: Int, sizes: [Size]) {
    self.latencySeconds = latencySeconds
    self.pingCount = pingCount
    self.sizes = sizes
  }
}

extension DirectionMeasurement.Size {
  /// - Precondition: there are samples.
  init(messageBytes: Int, streamCount: Int, seconds: [Double]) {
    func quantile(_ share: Double) -> Double { seconds.quantile(share) ?? .nan }
    self.init(
      messageBytes: messageBytes, streamCount: streamCount, sampleCount: seconds.count, medianSeconds: quantile(0.5),
      lowerQuartileSeconds: quantile(0.25), upperQuartileSeconds: quantile(0.75))
  }
}
