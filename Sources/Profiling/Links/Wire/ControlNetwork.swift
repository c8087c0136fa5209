import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// The coordinator's open door: takes control connections on one address until it is closed.
final class ControlListener: Sendable {
  private let group: MultiThreadedEventLoopGroup
  private let channel: any Channel
  /// Where it listens; the port is the one that was free if 0 was asked for.
  let endpoint: Endpoint

  /// - Parameters:
  ///   - connectionLimit: callers beyond this many at a time are turned away unheard.
  /// - Throws: ``LinkRunError/network(_:)`` when the address cannot be listened on.
  init(at endpoint: Endpoint, token: RunToken, connectionLimit: Int, mailbox: Mailbox) throws(LinkRunError) {
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let openCount = OpenCount()
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.socketOption(.so_keepalive), value: 1)
      .childChannelInitializer { channel in
        guard openCount.value.add(1, ordering: .relaxed).newValue <= connectionLimit else {
          openCount.value.subtract(1, ordering: .relaxed)
          return channel.close()
        }
        channel.closeFuture.whenComplete { _ in openCount.value.subtract(1, ordering: .relaxed) }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(ControlHandler(answeringWith: token, mailbox: mailbox))
        }
      }
    do {
      channel = try bootstrap.bind(host: endpoint.host, port: endpoint.port).wait()
    } catch {
      try? group.syncShutdownGracefully()
      throw .network("cannot listen on \(endpoint): \(reason(error))")
    }
    self.endpoint = Endpoint(host: endpoint.host, port: channel.localAddress?.port ?? endpoint.port)
  }

  /// Stops listening and closes every connection; nothing is open when it returns.
  func close() { try? group.syncShutdownGracefully() }
}

/// A node's way to the coordinator.
final class ControlCaller: Sendable {
  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  /// Tries once to connect and greet; how it went is the mailbox's next event.
  ///
  /// - Throws: ``LinkRunError/network(_:)`` when nobody answers there.
  func call(
    _ endpoint: Endpoint, from localHost: String?, rank: Int, token: RunToken, mailbox: Mailbox
  ) throws(LinkRunError) {
    var bootstrap = ClientBootstrap(group: group)
      .connectTimeout(.seconds(3))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            ControlHandler(calling: Hello(rank: rank, purpose: .control), token: token, mailbox: mailbox))
        }
      }
    do {
      if let localHost { bootstrap = try bootstrap.bind(to: NIOCore.SocketAddress(ipAddress: localHost, port: 0)) }
      _ = try bootstrap.connect(host: endpoint.host, port: endpoint.port).wait()
    } catch {
      throw .network("\(endpoint) does not answer: \(reason(error))")
    }
  }

  func close() { try? group.syncShutdownGracefully() }
}

/// How many connections are open; an object, so that the closures of a bootstrap share it.
private final class OpenCount: Sendable {
  let value = Atomic(0)
}

/// What the system says of an error, without the event loop's own words where it can be helped.
private func reason(_ error: any Error) -> String {
  switch error {
  case let error as IOError: String(cString: strerror(error.errnoCode))
  case let error as NIOConnectionError:
    error.connectionErrors.first.map { reason($0.error) } ?? (error.dnsAError ?? error.dnsAAAAError).map { _ in
      "the name cannot be resolved"
    } ?? "it was not reached in time"
  default: "\(error)"
  }
}
