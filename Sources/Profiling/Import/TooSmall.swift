import Documents

/// Tests that ended before messages were large enough to tell a bandwidth.
enum TooSmall {
  /// The share of latency in the time of the largest message beyond which its rate is named.
  private static let largestLatencyShare = 0.25

  /// From this size on, a rate that still rises is the network's doing.
  private static let largestBytes = 64 << 20

  /// A sentence where the largest messages still take about as long as smaller ones; nil where the rate has settled.
  ///
  /// Time is latency plus size over rate: where doubling the size raises the rate by a share x, latency is x of the time
  /// of the larger message. More than a quarter of it, and the rate that it had is far from the link's. Of one size
  /// nothing is said unless it is below 64 KiB.
  static func note(_ points: [MeasuredLinks.CollectiveTimes.Point], what: String) -> String? {
    guard let last = points.last, last.messageBytes < largestBytes else { return nil }
    let note = sentence(what, bytes: last.messageBytes)
    guard let before = points.dropLast().last, before.messageBytes < last.messageBytes else {
      return points.count == 1 && last.messageBytes < 65_536 ? note : nil
    }
    let doublings = Double(last.messageBytes) / Double(before.messageBytes)
    // t1 = a + s and t2 = a + r s with the step r give a / t2 = (r t1 − t2) / ((r − 1) t2).
    let share = (doublings * before.seconds - last.seconds) / ((doublings - 1) * last.seconds)
    return share > largestLatencyShare ? note : nil
  }

  /// Below this size, a test that keeps many messages in flight does not fill a link either: `osu_bw` has 64 of them and
  /// `ib_write_bw` 128, and both come near the rate of 400 Gb/s from some KiB on.
  static let leastPipelinedBytes = 4_096

  static func sentence(_ what: String, bytes: Int) -> String {
    "the largest message of \(what) is \(bytes) bytes, too small to tell a bandwidth: measure up to sizes at which the "
      + "rate no longer rises"
  }
}
