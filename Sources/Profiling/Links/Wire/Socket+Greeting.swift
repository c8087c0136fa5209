/// The greeting on a plain socket.
extension Socket {
  /// Greets as the calling side.
  func greet(_ hello: Hello, token: RunToken, until deadline: Deadline) throws(LinkFailure) {
    do {
      var handshake = ClientHandshake(hello: hello, token: token)
      var reader = FrameReader(byteLimit: greetingByteLimit)
      try send(frame: hello.bytes, until: deadline)
      while true {
        switch try handshake.receive(nextFrame(&reader, until: deadline)) {
        case .reply(let bytes): try send(frame: bytes, until: deadline)
        case .accepted: return
        }
      }
    } catch let error as WireError {
      throw .protocolBroken(error)
    } catch let failure as LinkFailure {
      throw failure
    } catch {
      throw .closed
    }
  }

  /// Greets as the called side; what the caller wants, once it has proven itself.
  func answerGreeting(token: RunToken, until deadline: Deadline) throws(LinkFailure) -> Hello {
    do {
      var handshake = ServerHandshake(token: token)
      var reader = FrameReader(byteLimit: greetingByteLimit)
      while true {
        switch try handshake.receive(nextFrame(&reader, until: deadline)) {
        case .reply(let bytes): try send(frame: bytes, until: deadline)
        case .accepted(let hello, let reply, _):
          try send(frame: reply, until: deadline)
          return hello
        }
      }
    } catch let error as WireError {
      throw .protocolBroken(error)
    } catch let failure as LinkFailure {
      throw failure
    } catch {
      throw .closed
    }
  }

  private func send(frame content: [UInt8], until deadline: Deadline) throws(LinkFailure) {
    try send(framed(content), until: deadline)
  }

  /// Reads no further than the frame: what follows the greeting is data.
  private func nextFrame(_ reader: inout FrameReader, until deadline: Deadline) throws -> [UInt8] {
    while true {
      if let frame = try reader.next() { return frame }
      reader.append(try receive(count: 1, until: deadline))
    }
  }
}

/// The most bytes a frame of the greeting may have.
let greetingByteLimit = 256
