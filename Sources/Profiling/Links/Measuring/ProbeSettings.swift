/// What is sent over every link, and how long it may take.
package struct ProbeSettings: Sendable, Equatable {
  /// Bytes of the messages, ascending.
  package let messageBytes: [Int]
  /// Streams that a message is divided over, ascending; the first is 1 wherever latency is to be fitted.
  package let streamCounts: [Int]
  /// Samples that are sent first and not counted, of every size.
  package let warmUpCount: Int
  /// The fewest samples of a size that make a median.
  package let leastSampleCount: Int
  /// Seconds of traffic for each size and stream count and direction, more where the fewest samples take longer.
  package let slotSeconds: Double
  /// Seconds without a byte after which a peer counts as stalled.
  package let stallSeconds: Double
  /// The most a node sends, bytes per second on each stream; nil for no limit.
  package let maximumBytesPerSecond: Double?

  /// Samples beyond this do not sharpen a median.
  static let greatestSampleCount = 2_000
  /// Messages of one byte and back that make the latency.
  static let pingCount = 200
  /// A size is left out when its fewest samples would take more than a given number of slots.
  static let patienceInSlots = 10.0

  /// - Throws: ``LinkRunError/launcher(_:)`` with what is out of range.
  package init(
    messageBytes: [Int] = [4_096, 65_536, 1_048_576, 8_388_608], streamCounts: [Int] = [1, 4], warmUpCount: Int = 3,
    leastSampleCount: Int = 7, slotSeconds: Double = 0.2, stallSeconds: Double = 10,
    maximumBytesPerSecond: Double? = nil
  ) throws(LinkRunError) {
    func check(_ isGood: Bool, _ sentence: String) throws(LinkRunError) {
      guard isGood else { throw .launcher(sentence) }
    }
    try check(
      (1...16).contains(messageBytes.count) && messageBytes.allSatisfy { (1...(1 << 30)).contains($0) }
        && zip(messageBytes, messageBytes.dropFirst()).allSatisfy { $0 < $1 },
      "message sizes are 1 to 16 ascending numbers from 1 to 1073741824 bytes")
    try check(
      (1...8).contains(streamCounts.count) && streamCounts.allSatisfy { (1...64).contains($0) }
        && zip(streamCounts, streamCounts.dropFirst()).allSatisfy { $0 < $1 },
      "stream counts are 1 to 8 ascending numbers from 1 to 64")
    try check((0...1_000).contains(warmUpCount), "the number of warm-up messages is from 0 to 1000")
    try check((1...1_000).contains(leastSampleCount), "the number of samples is from 1 to 1000")
    try check((0.001...600).contains(slotSeconds), "the seconds of a slot are from 0.001 to 600")
    try check((0.1...600).contains(stallSeconds), "the seconds until a peer counts as stalled are from 0.1 to 600")
    try check(
      maximumBytesPerSecond.map { (1_000...1e18).contains($0) } ?? true, "the greatest rate is from 1000 bytes/s on")
    self.messageBytes = messageBytes
    self.streamCounts = streamCounts
    self.warmUpCount = warmUpCount
    self.leastSampleCount = leastSampleCount
    self.slotSeconds = slotSeconds
    self.stallSeconds = stallSeconds
    self.maximumBytesPerSecond = maximumBytesPerSecond
  }

  /// The most seconds that one pair can take, both directions, greeting and waiting included: its deadline.
  var pairSeconds: Double {
    let slots = Double(messageBytes.count * streamCounts.count) * (1 + Self.patienceInSlots)
    return 2 * (slots + 2) * slotSeconds + 4 * stallSeconds
  }
}
