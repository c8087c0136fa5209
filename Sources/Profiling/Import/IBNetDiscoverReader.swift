import Documents

/// The output of `ibnetdiscover`: every switch of an InfiniBand network with what its ports lead to.
///
/// A line `[1] "H-…"[1](…) # "HOST CARD" lid 5 4xHDR` is a host's port, `[1] "S-…"[25]` another switch's. Hosts of one
/// switch are one group; above that the network is a graph and no tree, so only what it joins is taken.
enum IBNetDiscoverReader {
  /// Bits per second of one lane (InfiniBand Trade Association, roadmap).
  private static let laneBitsPerSecond: [String: Double] = [
    "SDR": 2.5e9, "DDR": 5e9, "QDR": 10e9, "FDR": 14.0625e9, "EDR": 25e9, "HDR": 50e9, "NDR": 100e9, "XDR": 200e9,
  ]

  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    var order: [String] = []
    var hosts: [String: [String]] = [:]
    var neighbours: [String: [String]] = [:]
    var current: String?
    var rates: Set<Double> = []
    for (index, line) in text.lines.enumerated() {
      let quoted = line.split(separator: "\"", omittingEmptySubsequences: false).map(String.init)
      if line.hasPrefix("Switch") {
        guard quoted.count >= 2, let name = quoted[1].asName else {
          throw text.error(line: index, expected: "a switch's name")
        }
        current = name
        if hosts[name] == nil { order.append(name) }
        hosts[name, default: []] += []
      } else if line.hasPrefix("Ca") {
        current = nil
      } else if line.hasPrefix("["), let current, quoted.count >= 2 {
        if quoted[1].hasPrefix("S-") {
          neighbours[current, default: []].append(quoted[1])
        } else if quoted[1].hasPrefix("H-") {
          guard quoted.count >= 5 else { throw text.error(line: index, expected: "a host's description in quotes") }
          // The aggregation nodes of switches compute sums and no models.
          if quoted[3].contains("Aggregation Node") { continue }
          guard let host = quoted[3].words.first?.asName else {
            throw text.error(line: index, expected: "a host's name")
          }
          if hosts[current]?.contains(host) == false { hosts[current, default: []].append(host) }
          if let width = line.words.last(where: { $0.wholeMatch(of: /[0-9]+x[A-Z]DR/) != nil }),
            let lanes = String(width.prefix { $0.isNumber }).plainCount,
            let lane = laneBitsPerSecond[String(width.suffix(3))], (1...16).contains(lanes)
          {
            rates.insert(Double(lanes) * lane / 8)
          }
        }
      }
    }
    guard !order.isEmpty else { throw text.error("expected lines \"Switch …\" of ibnetdiscover") }
    var findings = Findings(engine: "ibnetdiscover", source: text.source)
    var groups: [NetworkStructure.Group] = []
    var names: [String] = []
    var seen: Set<String> = []
    for name in order {
      let own = (hosts[name] ?? []).filter { seen.insert($0).inserted }
      if own.count < hosts[name]?.count ?? 0 {
        findings.notes.append("hosts with several cards count to their first switch")
      }
      guard !own.isEmpty else { continue }
      groups.append(.init(name: name, nodes: Array(names.count..<names.count + own.count)))
      names += own
    }
    guard !names.isEmpty else { throw text.error("no switch has hosts") }
    // What the switches join, whatever the number of ways.
    var part: [String: String] = [:]
    func root(_ name: String) -> String {
      var name = name
      while let next = part[name], next != name { name = next }
      return name
    }
    for (switchName, others) in neighbours.sorted(by: { $0.key < $1.key }) {
      for other in others { part[root(switchName)] = root(other) }
    }
    var joined: [(root: String, nodes: [Int])] = []
    for group in groups {
      let own = root(group.name)
      if let place = joined.firstIndex(where: { $0.root == own }) {
        joined[place].nodes += group.nodes
      } else {
        joined.append((own, group.nodes))
      }
    }
    var structure = NetworkStructure(
      name: "ibnetdiscover", shape: .tree, nodeNames: names,
      levels: [groups, joined.enumerated().map { .init(name: "network-\($0)", nodes: $1.nodes.sorted()) }])
    structure.linkBytesPerSecond = rates.count == 1 ? rates.first : nil
    if rates.count > 1 { findings.notes.append("hosts have links of \(rates.count) different rates") }
    findings.notes = Array(Set(findings.notes)).sorted()
    findings.structure = .network(structure)
    return findings
  }
}
