import Glibc

/// A host, by name or number, and a TCP port.
package struct Endpoint: Sendable, Equatable, CustomStringConvertible {
  package let host: String
  package let port: Int

  package init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Reads `host:port`, for IPv6 numbers `[host]:port`.
  ///
  /// - Throws: ``LinkRunError/badAddress(_:)``.
  package init(_ text: String) throws(LinkRunError) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { throw .badAddress(text) }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw .badAddress(text)
    }
    guard !host.isEmpty, host.utf8.count <= 255, host.utf8.allSatisfy({ (33...126).contains($0) }) else {
      throw .badAddress(text)
    }
    self.init(host: String(host), port: port)
  }

  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A socket address as the system has it; resolved once, by the function of C that is called `getaddrinfo`.
struct SocketAddress: Sendable {
  private let storage: sockaddr_storage
  private let byteCount: socklen_t

  /// Resolves a host's name; of several addresses the first that the system prefers.
  ///
  /// - Throws: ``LinkRunError/network(_:)``.
  init(resolving endpoint: Endpoint) throws(LinkRunError) {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard code == 0, let first = list, let address = first.pointee.ai_addr else {
      throw .network("\(endpoint.host): the name cannot be resolved: \(String(cString: gai_strerror(code)))")
    }
    self.init(address, byteCount: first.pointee.ai_addrlen)
  }

  init(_ address: UnsafePointer<sockaddr>, byteCount: socklen_t) {
    var storage = sockaddr_storage()
    withUnsafeMutableBytes(of: &storage) { target in
      let count = min(Int(byteCount), target.count)
      target.copyMemory(from: UnsafeRawBufferPointer(start: address, count: count))
    }
    self.storage = storage
    self.byteCount = byteCount
  }

  /// The family, every address's first member.
  var family: Int32 {
    withPointer { address, _ in Int32(UnsafeRawPointer(address).loadUnaligned(as: sa_family_t.self)) }
  }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, byteCount) }
    }
  }

  /// Number and port, as the function of C that is called `getnameinfo` has them.
  var endpoint: Endpoint {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
    let code = withPointer { address, count in
      getnameinfo(
        address, count, &host, socklen_t(host.count), &service, socklen_t(service.count),
        NI_NUMERICHOST | NI_NUMERICSERV)
    }
    guard code == 0 else { return Endpoint(host: "unknown", port: 0) }
    return Endpoint(host: text(host), port: Int(text(service)) ?? 0)
  }

  private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// The addresses of this machine that an interface's name or a number stands for.
///
/// - Throws: ``LinkRunError/noInterface(_:)``.
func localAddress(ofInterface name: String) throws(LinkRunError) -> String {
  let candidates = localAddresses()
  // Version 4 first where an interface has both.
  let matching = candidates.filter { $0.interface == name || $0.host == name }
  guard let found = matching.first(where: { !$0.host.contains(":") }) ?? matching.first else {
    throw .noInterface(name)
  }
  return found.host
}

/// An address of this machine that other machines can reach: the first of version 4 that is not loopback.
func firstReachableAddress() -> String? {
  localAddresses().first { !$0.host.contains(":") && !$0.host.hasPrefix("127.") }?.host
}

private func localAddresses() -> [(interface: String, host: String)] {
  var list: UnsafeMutablePointer<ifaddrs>?
  guard getifaddrs(&list) == 0 else { return [] }
  defer { freeifaddrs(list) }
  var found: [(interface: String, host: String)] = []
  var next = list
  while let entry = next?.pointee {
    next = entry.ifa_next
    guard let address = entry.ifa_addr else { continue }
    let byteCount: Int
    // The family is every address's first member.
    switch Int32(UnsafeRawPointer(address).loadUnaligned(as: sa_family_t.self)) {
    case AF_INET: byteCount = MemoryLayout<sockaddr_in>.size
    case AF_INET6: byteCount = MemoryLayout<sockaddr_in6>.size
    default: continue
    }
    let host = SocketAddress(address, byteCount: socklen_t(byteCount)).endpoint.host
    found.append((String(cString: entry.ifa_name), host))
  }
  return found
}
