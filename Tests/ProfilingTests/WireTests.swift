import Foundation
import TestSupport
import Testing

@testable import Profiling

/// What strangers can send, and what those who know the token say.
@Suite struct WireTests {
  @Test func framesComeOutAsTheyWentInWhateverThePieces() throws {
    var generator = SeededGenerator(seed: 7)
    for _ in 0..<200 {
      let contents = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
        (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0 ... .max, using: &generator) }
      }
      var rest = contents.flatMap(framed)[...]
      var reader = FrameReader(byteLimit: 300)
      var found: [[UInt8]] = []
      while !rest.isEmpty {
        let count = Int.random(in: 1...200, using: &generator)
        reader.append(rest.prefix(count))
        rest = rest.dropFirst(count)
        while let frame = try reader.next() { found.append(frame) }
      }
      #expect(found == contents)
    }
  }

  @Test func aFrameBeyondTheLimitIsRefusedBeforeItsContent() {
    var reader = FrameReader(byteLimit: 256)
    reader.append([0, 0, 1, 1])
    #expect(throws: WireError.frameTooLong(byteCount: 257, limit: 256)) { try reader.next() }
    reader = FrameReader(byteLimit: 256)
    reader.append([0xFF, 0xFF, 0xFF, 0xFF])
    #expect(throws: WireError.frameTooLong(byteCount: 4_294_967_295, limit: 256)) { try reader.next() }
  }

  /// Random bytes, and valid conversations with random changes, never crash a reader, and never prove anything.
  @Test(arguments: FuzzRun.seeds(11)) func noiseIsRefused(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let token = RunToken.generated()
    let hello = Hello(rank: 1, purpose: .control)
    for round in 0..<3_000 {
      var bytes =
        round % 2 == 0
        ? (0..<Int.random(in: 0...120, using: &generator)).map { _ in UInt8.random(in: 0 ... .max, using: &generator) }
        : hello.bytes
      if round % 2 == 1 {
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          let place = Int.random(in: 0..<bytes.count, using: &generator)
          switch Int.random(in: 0..<3, using: &generator) {
          case 0: bytes[place] ^= UInt8.random(in: 1 ... .max, using: &generator)
          case 1: bytes.remove(at: place)
          default: bytes.insert(.random(in: 0 ... .max, using: &generator), at: place)
          }
        }
      }
      var server = ServerHandshake(token: token)
      var client = ClientHandshake(hello: hello, token: token)
      for frame in [bytes, bytes] {
        if let step = try? server.receive(frame), case .accepted = step { Issue.record("noise was accepted") }
        if let step = try? client.receive(frame), case .accepted = step { Issue.record("noise was accepted") }
      }
      _ = try? ControlMessage(bytes)
    }
  }

  @Test(arguments: FuzzRun.seeds(13)) func changedMessagesAreReadOrRefusedInOneLine(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for message in Self.messages {
      for _ in 0..<300 {
        var bytes = message.bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 32...126, using: &generator)
        }
        do throws(WireError) {
          let read = try ControlMessage(bytes)
          #expect(try! ControlMessage(read.bytes) == read)
        } catch {
          #expect(!"\(error)".contains("\n"))
        }
      }
    }
  }

  @Test func messagesComeBackAsTheyWere() throws {
    for message in Self.messages { #expect(try ControlMessage(message.bytes) == message) }
  }

  static let messages: [ControlMessage] = {
    guard let settings = try? ProbeSettings() else { return [] }
    let size = DirectionMeasurement.Size(messageBytes: 4_096, streamCount: 2, seconds: [1e-4, 2e-4, 3e-4])
    return [
      .register(.init(hostName: "gpu-1", endpoint: Endpoint(host: "fe80::1", port: 5), block: "s0.s1")),
      .assign(
        .init(
          link: .max, peerRank: 3, role: .caller, endpoint: Endpoint(host: "10.0.0.1", port: 65_535), keepsBusy: true,
          settings: settings)),
      .ready(link: 1), .go(link: 2), .finished(link: 3), .failed(link: 4, reason: "it broke"), .goodbye,
      .alive(silenceSeconds: 15),
      .measured(link: 5, DirectionMeasurement(latencySeconds: 1e-5, pingCount: 9, sizes: [size])),
    ]
  }()
}
