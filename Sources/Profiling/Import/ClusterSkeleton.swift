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
    var levels: [JSON] = (node?.islands ?? []).map { island in
      .object([
        JSONMember("name", .string(island.name)), JSONMember("span", .integer(island.span)),
        JSONMember(
          "bytes_per_second",
          island.bytesPerSecond.map(JSON.number) ?? open("rate of one device over \(island.name), one direction")),
      ])
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
      JSONMember("source", .string("Structure of \(sources.joined(separator: ", ")); nominal rates")),
      JSONMember("device", open("a device profile, such as h100-sxm5-80gb")),
      JSONMember(
        "nodes",
        network.map { .array($0.nodeNames.map(JSON.string)) } ?? open("how many nodes, or a list of their names")),
      JSONMember("devices_per_node", devices.map(JSON.integer) ?? open("devices of a node")),
      JSONMember("levels", .array(levels)),
    ])
  }
}
