import Documents

/// The streams of one pair, opened and proven: one side sends messages, the other acknowledges each.
///
/// A message is divided over the streams in equal parts. On each stream a part is 16 bytes of header (what, how many
/// bytes), the bytes, and one byte back when all have arrived. A header is read only from who has proven the token on
/// this very stream, and its count is bounded by what the coordinator ordered.
struct LinkStreams {
  let sockets: [Socket]
  let deadline: Deadline

  private static let headerByteCount = 16
  private static let chunkByteCount = 1 << 18
  private static let endMark: UInt64 = .max

  /// Sends the messages of a direction and times them; ends the direction with a header that says so.
  func measure(_ settings: ProbeSettings, keepsBusy: Bool) throws(LinkFailure) -> DirectionMeasurement {
    let crew = StreamCrew(sockets: sockets, bufferByteCount: Self.chunkByteCount) {
      [deadline] (socket, byteCount, buffer) throws(LinkFailure) in
      try Self.exchange(byteCount, over: socket, buffer, until: deadline)
    }
    defer { crew.dismiss() }
    let buffer = Self.buffer()
    defer { buffer.deallocate() }
    let latency = try self.latency(settings, crew, buffer)
    var sizes: [DirectionMeasurement.Size] = []
    for streamCount in settings.streamCounts {
      var previous: DirectionMeasurement.Size?
      for messageBytes in settings.messageBytes {
        // What is sure to take too long is left out; the smallest is always measured.
        let least = Double(settings.warmUpCount + settings.leastSampleCount)
        if let previous {
          let expected = previous.medianSeconds * Double(messageBytes) / Double(previous.messageBytes) * least
          if expected > ProbeSettings.patienceInSlots * settings.slotSeconds { break }
        }
        let size = try measure(
          messageBytes, streamCount: streamCount, settings, keepsBusy: keepsBusy, acknowledgement: latency.leastSeconds,
          crew, buffer)
        sizes.append(size)
        previous = size
      }
    }
    for socket in sockets { try Self.sendEnd(over: socket, until: deadline) }
    return DirectionMeasurement(latencySeconds: latency.seconds, pingCount: latency.count, sizes: sizes)
  }

  private static func buffer() -> UnsafeMutableRawBufferPointer {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkByteCount, alignment: 4_096)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    return buffer
  }

  /// Half the median and half the least round trip of one byte.
  private func latency(
    _ settings: ProbeSettings, _ crew: StreamCrew, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(LinkFailure) -> (seconds: Double, leastSeconds: Double, count: Int) {
    for _ in 0..<max(1, settings.warmUpCount) { _ = try crew.send(1, streamCount: 1, buffer) }
    var samples: [Double] = []
    let start = ContinuousClock.now
    while samples.count < ProbeSettings.pingCount {
      samples.append(try crew.send(1, streamCount: 1, buffer))
      if samples.count >= settings.leastSampleCount, (ContinuousClock.now - start).inSeconds > settings.slotSeconds {
        break
      }
    }
    samples.sort()
    return ((samples.median ?? 0) / 2, samples[0] / 2, samples.count)
  }

  private func measure(
    _ messageBytes: Int, streamCount: Int, _ settings: ProbeSettings, keepsBusy: Bool, acknowledgement: Double,
    _ crew: StreamCrew, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(LinkFailure) -> DirectionMeasurement.Size {
    var samples: [Double] = []
    let start = ContinuousClock.now
    var sentCount = 0
    while true {
      let seconds = try crew.send(messageBytes, streamCount: streamCount, buffer)
      sentCount += 1
      // The acknowledgement's way back is not the message's. It took the least latency at least: what a busy machine
      // adds is left in, so that a rate is never overstated. Coarse clocks must not make a message take no time.
      if sentCount > settings.warmUpCount { samples.append(max(seconds - acknowledgement, seconds / 2)) }
      let elapsed = (ContinuousClock.now - start).inSeconds
      // Under load the others measure as long as this slot lasts, so traffic goes on even after samples enough.
      let isEnough =
        elapsed >= settings.slotSeconds || (!keepsBusy && samples.count >= ProbeSettings.greatestSampleCount)
      if samples.count >= settings.leastSampleCount, isEnough { break }
    }
    return DirectionMeasurement.Size(messageBytes: messageBytes, streamCount: streamCount, seconds: samples)
  }

  /// Takes and acknowledges what the other side sends, until it says that its direction is over.
  func respond(_ settings: ProbeSettings) throws(LinkFailure) {
    let greatest = settings.messageBytes.last ?? 1
    let crew = StreamCrew(sockets: sockets, bufferByteCount: Self.chunkByteCount) {
      [deadline] (socket, _, buffer) throws(LinkFailure) in
      try Self.answer(over: socket, buffer, greatestByteCount: greatest, until: deadline)
    }
    defer { crew.dismiss() }
    let buffer = Self.buffer()
    defer { buffer.deallocate() }
    _ = try crew.send(0, streamCount: sockets.count, buffer)
  }

  /// Sends one part of a message and waits for its acknowledgement.
  ///
  /// - Parameter buffer: ``chunkByteCount`` bytes; what is sent are its bytes, whatever they are.
  private static func exchange(
    _ byteCount: Int, over socket: Socket, _ buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline
  ) throws(LinkFailure) {
    buffer.storeBytes(of: UInt64(byteCount).bigEndian, as: UInt64.self)
    // Header and beginning in one call, so that a small message is one packet.
    var rest = byteCount + headerByteCount
    while rest > 0 {
      let count = min(rest, buffer.count)
      try socket.send(UnsafeRawBufferPointer(rebasing: buffer[..<count]), until: deadline)
      rest -= count
    }
    try socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<1]), until: deadline)
  }

  /// Takes and acknowledges parts of messages until the end mark.
  private static func answer(
    over socket: Socket, _ buffer: UnsafeMutableRawBufferPointer, greatestByteCount: Int, until deadline: Deadline
  ) throws(LinkFailure) {
    while true {
      try socket.receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<headerByteCount]), until: deadline)
      let header = UInt64(bigEndian: buffer.loadUnaligned(as: UInt64.self))
      if header == endMark { return }
      guard header <= UInt64(greatestByteCount) else { throw .protocolBroken(.malformed) }
      var rest = Int(header)
      while rest > 0 {
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(rest, buffer.count)])
        rest -= try socket.receiveSome(into: room, until: deadline)
      }
      try socket.send(UnsafeRawBufferPointer(rebasing: buffer[..<1]), until: deadline)
    }
  }

  private static func sendEnd(over socket: Socket, until deadline: Deadline) throws(LinkFailure) {
    try socket.send(bigEndianBytes(endMark) + [UInt8](repeating: 0, count: headerByteCount - 8), until: deadline)
  }
}
