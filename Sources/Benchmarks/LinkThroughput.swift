import Documents
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Profiling

/// What the profiler's TCP engine makes of the loopback interface, beside iperf3 and a bare event loop, in one run.
struct LinkThroughput {
  /// Rounds in which all three take turns, so that what else the machine does befalls all alike.
  static let roundCount = 7

  static func report() throws {
    var engine: [Double] = [], iperf: [Double] = [], eventLoop: [Double] = []
    for _ in 0..<roundCount {
      engine.append(try engineRate())
      if let rate = iperfRate() { iperf.append(rate) }
      eventLoop.append(try eventLoopRate(seconds: 1))
    }
    func middle(_ rates: [Double]) -> Double { rates.sorted()[rates.count / 2] }
    func gigabytes(_ rates: [Double]) -> String {
      let sorted = rates.sorted()
      return String(
        format: "%.2f (%.2f…%.2f) GB/s", middle(rates) / 1e9, sorted[0] / 1e9, sorted[sorted.count - 1] / 1e9)
    }
    print("  engine tcp, one stream: \(gigabytes(engine))")
    print("  SwiftNIO, one stream: \(gigabytes(eventLoop)); ratio \(ratio(engine, eventLoop))")
    if iperf.count == roundCount {
      print("  iperf3, one stream: \(gigabytes(iperf)); ratio \(ratio(engine, iperf))")
    } else {
      print("  iperf3: skipped, it is not installed or did not run")
    }
  }

  /// The median of the rounds' ratios.
  private static func ratio(_ one: [Double], _ other: [Double]) -> String {
    let ratios = zip(one, other).map { $0 / $1 }.sorted()
    return String(format: "%.2f (%.2f…%.2f)", ratios[ratios.count / 2], ratios[0], ratios[ratios.count - 1])
  }

  /// One direction between two nodes of this process, with the defaults but for one stream and one size.
  private static func engineRate() throws -> Double {
    let settings = try ProbeSettings(messageBytes: [8_388_608], streamCounts: [1], slotSeconds: 1)
    let token = RunToken.generated()
    let coordinator = try LinkCoordinator(
      .init(
        nodeCount: 2, settings: settings, isLoaded: true, measuresLoopback: false, sampledRoundCount: nil,
        joinSeconds: 10, expectedNames: [], known: []), at: Endpoint(host: "127.0.0.1", port: 0), token: token)
    let endpoint = coordinator.endpoint
    for rank in 0..<2 {
      let worker = LinkWorker(
        rank: rank, hostName: "node-\(rank)", block: "", localHost: nil, maximumBytesPerSecond: nil)
      Thread.detachNewThread {
        try? worker.run(
          .init(rendezvous: endpoint, token: token, runFile: nil, joinSeconds: 10))
      }
    }
    let survey = coordinator.run(isInterrupted: { false }, progress: { _, _ in })
    let links = survey.document(.init(name: "loopback", source: "benchmark", time: "now"))
    guard let rate = links.snapshots[0].bytesPerSecond[0][1] else { throw LinkRunError.network(survey.shortfall) }
    return rate
  }

  /// The receiver's rate of `iperf3` over a second; nil where it is not installed.
  private static func iperfRate() -> Double? {
    let script = """
      iperf3 -s -1 -B 127.0.0.1 -p 45201 >/dev/null 2>&1 &
      sleep 0.3
      iperf3 -c 127.0.0.1 -p 45201 -t 1 -f k 2>/dev/null | awk '/receiver/ { print $(NF-2) }'
      wait
      """
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", script]
    process.standardOutput = output
    guard (try? process.run()) != nil else { return nil }
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return Double(text.trimmingCharacters(in: .whitespacesAndNewlines)).map { $0 * 1e3 / 8 }
  }

  /// A sender and a receiver on event loops of their own, buffers of 256 KiB.
  private static func eventLoopRate(seconds: Int) throws -> Double {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    defer { try? group.syncShutdownGracefully() }
    let counted = NIOLockedValueBox(0)
    let server = try ServerBootstrap(group: group)
      .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1 << 18))
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Sink(counted: counted)) }
      }
      .bind(host: "127.0.0.1", port: 0).wait()
    guard let address = server.localAddress else { return 0 }
    let client = try ClientBootstrap(group: group)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Source()) }
      }
      .connect(to: address).wait()
    Thread.sleep(forTimeInterval: 0.2)
    let before = counted.withLockedValue { $0 }, start = ContinuousClock.now
    Thread.sleep(forTimeInterval: Double(seconds))
    let bytes = counted.withLockedValue { $0 } - before, elapsed = (ContinuousClock.now - start).seconds
    try client.close().wait()
    try server.close().wait()
    return Double(bytes) / elapsed
  }
}

/// Writes as long as the channel takes it.
private final class Source: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let buffer = ByteBuffer(repeating: 0, count: 1 << 18)

  func channelActive(context: ChannelHandlerContext) { fill(context) }
  func channelWritabilityChanged(context: ChannelHandlerContext) { fill(context) }

  private func fill(_ context: ChannelHandlerContext) {
    while context.channel.isWritable, context.channel.isActive {
      context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    }
  }
}

/// Counts what comes.
private final class Sink: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let counted: NIOLockedValueBox<Int>
  init(counted: NIOLockedValueBox<Int>) { self.counted = counted }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let count = unwrapInboundIn(data).readableBytes
    counted.withLockedValue { $0 += count }
  }
}
