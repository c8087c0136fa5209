import ArgumentParser
import Documents
import Sextant

/// The cluster: a name, a file, or its devices and the rates of its links.
struct ClusterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A shipped cluster's name, or a cluster file. A name's last part is its number of nodes: dgx-h100-8 as well as dgx-h100-16.",
      valueName: "name|file"))
  var cluster: String?

  @Option(
    help: ArgumentHelp(
      "In place of --cluster: the device of all nodes, a shipped profile's name or a profile file.",
      valueName: "name|file"))
  var device: String?

  @Option(help: ArgumentHelp("With --device: how many devices there are, in all nodes.", valueName: "count"))
  var devices: Int?

  @Option(
    help: ArgumentHelp(
      "With --device: how many devices a node has; up to 8 devices are one node where not given.", valueName: "count"))
  var perNode: Int?

  @Option(
    help: ArgumentHelp(
      "With --device: rate of a device's links inside its node, one direction, such as 450GB/s; the datasheet's where not given.",
      valueName: "rate"), transform: rate)
  var intra: Double?

  @Option(
    help: ArgumentHelp(
      "With --device: rate that one device alone reaches between nodes, one direction, such as 50GB/s or 400Gb/s.",
      valueName: "rate"), transform: rate)
  var inter: Double?

  @Option(
    help: ArgumentHelp(
      "With --device: rate that a node's devices share between nodes, such as 100GB/s of two network cards; where not given each has its own.",
      valueName: "rate"), transform: rate)
  var nodeInter: Double?

  @Option(
    help: ArgumentHelp("With --device: host memory of a node, such as 2TB.", valueName: "bytes"), transform: bytes)
  var hostMemory: Int?

  @Option(
    help: ArgumentHelp("With --device: rate between host and one device, such as 63GB/s.", valueName: "rate"),
    transform: rate)
  var hostLink: Double?

  /// Whether any of it was given.
  var isStated: Bool { cluster != nil || !statedFlags.isEmpty }

  /// What describes a cluster in place of a name.
  private var statedFlags: [String] {
    [
      ("--device", device != nil), ("--devices", devices != nil), ("--per-node", perNode != nil),
      ("--intra", intra != nil), ("--inter", inter != nil), ("--node-inter", nodeInter != nil),
      ("--host-memory", hostMemory != nil), ("--host-link", hostLink != nil),
    ].filter(\.1).map(\.0)
  }

  /// The cluster that was asked for.
  func stated() throws -> Cluster {
    if let cluster {
      guard statedFlags.isEmpty else {
        throw ValidationError(
          "--cluster states what \(statedFlags.joined(separator: ", ")) would; give the one or the other")
      }
      return try .named(cluster)
    }
    guard let device else {
      throw ValidationError(
        statedFlags.isEmpty ? "--cluster is needed" : "\(statedFlags[0]) goes with --device, which is not given")
    }
    guard let devices else { throw ValidationError("--device needs --devices: how many there are") }
    return try Cluster(
      device: device, devices: devices, perNode: perNode, intra: intra, inter: inter, nodeInter: nodeInter,
      hostMemory: hostMemory, hostLink: hostLink)
  }

  private static func rate(_ text: String) throws -> Double { try value(of: text, as: .bytesPerSecond) }

  private static func bytes(_ text: String) throws -> Int {
    let bytes = try value(of: text, as: .bytes)
    guard let whole = Int(exactly: bytes.rounded()) else {
      throw ValidationError("expected \(Quantity.Kind.bytes.examples)")
    }
    return whole
  }

  private static func value(of text: String, as kind: Quantity.Kind) throws -> Double {
    guard let value = Quantity.value(of: text, as: kind) else { throw ValidationError("expected \(kind.examples)") }
    return value
  }
}
