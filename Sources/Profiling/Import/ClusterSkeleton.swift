package import Documents
package import JSONText

/// What files of structure say of a cluster, as a cluster document with open places for what they cannot say.
///
/// An open place holds a text that begins with ``ClusterDescription/openMark`` and says what belongs there; a document
/// that still has one is refused with all of them named.
package struct ClusterSkeleton: Sendable {
  package let json: JSON

  /// - Throws: a complaint where no file is of structure, or where two of them are of nodes or of networks.
  package init(_ findings: [Findings], name: String) throws(DocumentError) {
    var node: NodeStructure?, network: NetworkStructure?
    var sources: [String] = []
    for one in findings {
      func refuse(_ what: String) -> DocumentError {
        DocumentError(
          source: one.source, location: "",
          expected: "expected structure of one \(what); another file is of one as well",
          found: nil)
      }
      switch one.structure {
      case .node(let found) where !found.devices.isEmpty:
        if node != nil { throw refuse("node") }
        node = found
        sources.append(one.source)
      case .network(let found):
        if network != nil { throw refuse("network") }
        network = found
        sources.append(one.source)
      default: break
      }
    }
    guard !sources.isEmpty else {
      throw DocumentError(
        source: findings.first?.source ?? "files", location: "",
        expected:
          "expected structure for a skeleton: nvidia-smi topo -m, NCCL's XML, Slurm's topology or ibnetdiscover",
        found: nil)
    }
    func open(_ what: String) -> JSON { .string("\(ClusterDescription.openMark): \(what)") }
    let devices = node?.devices.count
    var origin = "Structure of \(sources.joined(separator: ", ")); nominal rates"
    var levels: [JSON] = []
    if let node {
      let measured = try Self.deviceRates(findings, of: node)
      if let measured {
        origin += "; inside the node as \(measured.source) measured them, two devices at a time"
      }
      for (island, rate) in zip(node.islands, node.rates(measured: measured?.matrices ?? [])) {
        let what = "rate of one device over \(island.name), one direction"
        let value =
          switch rate {
          case .measured(let rate), .nominal(.some(let rate)): JSON.number(rate)
          case .nominal(nil): open(what)
          case .pairOnly(let rate):
            open("\(what), to all peers at once; one pair alone reached \((rate / 1e7).rounded() / 100) GB/s")
          }
        levels.append(
          .object([
            JSONMember("name", .string(island.name)), JSONMember("span", .integer(island.span)),
            JSONMember("bytes_per_second", value),
          ]))
      }
    }
    if node == nil {
      levels.append(
        .object([
          JSONMember("name", .string("node")), JSONMember("span", open("devices of a node")),
          JSONMember("bytes_per_second", open("rate of one device inside a node, one direction")),
        ]))
    }
    let rate = network?.linkBytesPerSecond
    let spans = network.map { $0.nodeSpans ?? [$0.nodeNames.count] } ?? []
    let outer: [Int?] = network == nil ? [nil] : spans.filter { $0 > 1 }.map { Optional($0) }
    for (index, span) in outer.enumerated() {
      let devicesBelow = span.flatMap { span in devices.map { span * $0 } }
      var members = [
        JSONMember("name", .string(outer.count == 1 ? "network" : "network-\(index + 1)")),
        JSONMember(
          "span",
          devicesBelow.map(JSON.integer)
            ?? open(
              span.map { "devices of \($0) nodes" } ?? "devices of the whole cluster; without a network, no level")),
        JSONMember(
          "bytes_per_second",
          rate.map(JSON.number) ?? open("rate of one device over the network, one direction")),
      ]
      if index == 0, let shared = node?.sharedBytesPerSecond {
        members.append(JSONMember("shared_bytes_per_second", .number(shared)))
      }
      levels.append(.object(members))
    }
    json = .object([
      JSONMember("schema", .string(DocumentSchema.cluster.rawValue)), JSONMember("name", .string(name)),
      JSONMember("source", .string(origin)),
      JSONMember("device", open("a device profile, such as h100-sxm5-80gb")),
      JSONMember(
        "nodes",
        network.map { .array($0.nodeNames.map(JSON.string)) } ?? open("how many nodes, or a list of their names")),
      JSONMember("devices_per_node", devices.map(JSON.integer) ?? open("devices of a node")),
      JSONMember("levels", .array(levels)),
    ])
  }

  /// What was measured between the node's devices.
  ///
  /// - Throws: a complaint where a matrix is not of as many devices.
  private static func deviceRates(
    _ findings: [Findings], of node: NodeStructure
  ) throws(DocumentError) -> (source: String, matrices: [[[Double?]]])? {
    guard let measured = NodeStructure.deviceRates(findings) else { return nil }
    let count = node.devices.count
    guard let other = measured.matrices.first(where: { $0.count != count || $0.contains { $0.count != count } }) else {
      return measured
    }
    throw DocumentError(
      source: measured.source, location: "",
      expected: "expected rates between \(count) devices, as the structure has; the matrix is of \(other.count)",
      found: nil)
  }
}
