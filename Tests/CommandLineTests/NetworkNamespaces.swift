import Foundation
import Testing

/// Hosts of their own on this machine: network namespaces joined by a bridge, whose links are shaped with tc.
///
/// Host i sends at most `upload[i]` and receives at most `download[i]` megabits a second, headers included.
final class NetworkNamespaces: Sendable {
  let upload: [Int]
  let download: [Int]
  private let prefix: String
  private let subnet: Int

  /// Why this machine does not let a test make namespaces and shape links; nil where it does.
  static let refusal: String? = {
    let probe = "sxt\(getpid())p"
    let output = run(
      """
      ip netns add \(probe) && ip link add \(probe)a type veth peer name \(probe)b && ip link add \(probe)c type bridge \
      && tc qdisc add dev \(probe)a root tbf rate 100mbit burst 16kb latency 50ms
      result=$?
      ip link del \(probe)c; ip link del \(probe)a; ip netns del \(probe)
      exit $result
      """)
    return output.status == 0 ? nil : "network namespaces or tc are not permitted: \(output.text.prefix(200))"
  }()

  /// - Parameter subnet: the third byte of the addresses, another one for each test.
  init(upload: [Int], download: [Int], subnet: Int) throws {
    self.upload = upload
    self.download = download
    self.subnet = subnet
    prefix = "sxt\(getpid())s\(subnet)"
    var lines = [
      "set -e", "ip link add \(prefix) type bridge", "ip addr add \(address(254))/24 dev \(prefix)",
      "ip link set \(prefix) up",
    ]
    for host in upload.indices {
      let name = name(host), outside = "\(prefix)v\(host)"
      lines += [
        "ip netns add \(name)", "ip link add \(outside) type veth peer name eth0 netns \(name)",
        "ip link set \(outside) master \(prefix) up",
        "ip netns exec \(name) ip addr add \(address(host))/24 dev eth0", "ip netns exec \(name) ip link set eth0 up",
        "ip netns exec \(name) ip link set lo up",
        "ip netns exec \(name) tc qdisc add dev eth0 root tbf rate \(upload[host])mbit burst 64kb latency 100ms",
        "tc qdisc add dev \(outside) root tbf rate \(download[host])mbit burst 64kb latency 100ms",
      ]
    }
    let output = Self.run(lines.joined(separator: "\n"))
    guard output.status == 0 else { throw Failure(text: output.text) }
  }

  struct Failure: Error { let text: String }

  deinit {
    let lines = upload.indices.map { "ip netns del \(name($0))" } + ["ip link del \(prefix)"]
    _ = Self.run(lines.joined(separator: "\n"))
  }

  func name(_ host: Int) -> String { "\(prefix)n\(host)" }
  func address(_ host: Int) -> String { "10.213.\(subnet).\(host == 254 ? 254 : host + 1)" }

  /// What is left for the content of full TCP segments: 1,448 of the 1,514 bytes that tc counts.
  func bytesPerSecond(_ from: Int, _ to: Int) -> Double {
    Double(min(upload[from], download[to])) * 1e6 / 8 * 1_448 / 1_514
  }

  private static func run(_ script: String) -> (status: Int32, text: String) {
    let process = Process(), pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", script]
    process.standardOutput = pipe
    process.standardError = pipe
    guard (try? process.run()) != nil else { return (127, "no shell") }
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text.replacingOccurrences(of: "\n", with: "; "))
  }
}
