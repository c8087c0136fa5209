import NIOCore

/// The greeting and the sealed frames of one control connection, on the event loop.
///
/// Until the greeting is over no message is decoded, a frame has at most ``greetingByteLimit`` bytes and the whole may
/// take ``greetingSeconds``; then the connection is closed.
final class ControlHandler: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundIn = ControlMessage
  typealias OutboundOut = ByteBuffer

  static let greetingSeconds = 5

  private enum Phase {
    case calling(ClientHandshake)
    case answering(ServerHandshake)
    case proven(SealedSession, ControlConnection)
    case ended
  }

  private var phase: Phase
  private var reader = FrameReader(byteLimit: greetingByteLimit)
  private let mailbox: Mailbox
  private var reason = "the connection was lost"
  private var timeout: Scheduled<Void>?

  /// The calling side.
  init(calling hello: Hello, token: RunToken, mailbox: Mailbox) {
    phase = .calling(ClientHandshake(hello: hello, token: token))
    self.mailbox = mailbox
  }

  /// The called side.
  init(answeringWith token: RunToken, mailbox: Mailbox) {
    phase = .answering(ServerHandshake(token: token))
    self.mailbox = mailbox
  }

  func channelActive(context: ChannelHandlerContext) {
    let channel = context.channel
    timeout = context.eventLoop.scheduleTask(in: .seconds(Int64(Self.greetingSeconds))) { channel.close(promise: nil) }
    if case .calling(let handshake) = phase { send(handshake.hello.bytes, context) }
    context.fireChannelActive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var buffer = unwrapInboundIn(data)
    reader.append(buffer.readBytes(length: buffer.readableBytes) ?? [])
    do throws(WireError) {
      while let frame = try reader.next() { try receive(frame, context) }
    } catch {
      refuse(error, context)
    }
  }

  private func receive(_ frame: [UInt8], _ context: ChannelHandlerContext) throws(WireError) {
    switch phase {
    case .calling(var handshake):
      switch try handshake.receive(frame) {
      case .reply(let bytes):
        phase = .calling(handshake)
        send(bytes, context)
      case .accepted(let session): open(session, rank: handshake.hello.rank, context)
      }
    case .answering(var handshake):
      switch try handshake.receive(frame) {
      case .reply(let bytes):
        phase = .answering(handshake)
        send(bytes, context)
      case .accepted(let hello, let reply, let session):
        guard hello.purpose == .control else { throw .malformed }
        send(reply, context)
        open(session, rank: hello.rank, context)
      }
    case .proven(var session, let connection):
      let message = try ControlMessage(session.open(frame))
      phase = .proven(session, connection)
      mailbox.put(.message(connection, message))
    case .ended: break
    }
  }

  private func open(_ session: SealedSession, rank: Int, _ context: ChannelHandlerContext) {
    let connection = ControlConnection(channel: context.channel)
    phase = .proven(session, connection)
    reader.byteLimit = ControlMessage.byteLimit
    timeout?.cancel()
    mailbox.put(.opened(connection, rank: rank))
  }

  /// Ends the connection for what came over it.
  private func refuse(_ error: WireError, _ context: ChannelHandlerContext) {
    switch phase {
    case .proven: reason = "\(error)"
    case .calling, .answering:
      var rank: Int?
      if case .otherVersion(let said, _) = error {
        rank = said
        // Magic and version, so that the caller can say why too.
        if case .answering = phase { send(ServerHandshake.refusalOfVersion, context) }
      }
      if case .wrongProof(let said) = error { rank = said }
      mailbox.put(.refused(rank: rank, error))
      phase = .ended
    case .ended: break
    }
    context.close(promise: nil)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard case .proven(var session, let connection) = phase else { return }
    let content = session.seal(unwrapOutboundIn(data).bytes)
    phase = .proven(session, connection)
    context.write(wrapOutboundOut(ByteBuffer(bytes: framed(content))), promise: promise)
  }

  func channelInactive(context: ChannelHandlerContext) {
    timeout?.cancel()
    switch phase {
    case .proven(_, let connection): mailbox.put(.closed(connection, reason: reason))
    case .calling, .answering: mailbox.put(.refused(rank: nil, .refused))
    case .ended: break
    }
    phase = .ended
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    reason = "the connection was lost: \(error)"
    context.close(promise: nil)
  }

  private func send(_ content: [UInt8], _ context: ChannelHandlerContext) {
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: framed(content))), promise: nil)
  }
}
