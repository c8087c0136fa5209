import Documents

/// Slurm's `topology.conf`: a tree of switches (`SwitchName=… Switches=… Nodes=…`) or blocks of nodes (`BlockName=…
/// Nodes=…`, `BlockSizes=…`).
enum SlurmTopologyReader {
  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    var tree = SwitchTree()
    var blocks: [(name: String, nodes: [String])] = []
    var sizes: [Int] = []
    var index = 0
    while index < text.lines.count {
      let first = index
      var line = text.lines[index]
      // A backslash at its end continues a line.
      while line.last == "\\", index + 1 < text.lines.count {
        index += 1
        line = String(line.dropLast()) + text.lines[index]
      }
      index += 1
      let content = line.prefix { $0 != "#" }
      var values: [String: String] = [:]
      for word in String(content).words {
        guard let equals = word.firstIndex(of: "=") else { throw text.error(line: first, expected: "KEY=VALUE") }
        values[word[..<equals].lowercased()] = String(word[word.index(after: equals)...])
      }
      if values.isEmpty { continue }
      func names(_ key: String) throws(DocumentError) -> [String] {
        guard let value = values[key] else { return [] }
        guard let names = Hostlist.names(value) else {
          throw text.error(line: first, expected: "a hostlist after \(key)=")
        }
        return names
      }
      if let name = values["switchname"] {
        guard let name = name.asName else { throw text.error(line: first, expected: "a name of a switch") }
        tree.add(name, switches: try names("switches"), nodes: try names("nodes"))
      } else if let name = values["blockname"] {
        guard let name = name.asName else { throw text.error(line: first, expected: "a name of a block") }
        blocks.append((name, try names("nodes")))
      } else if let list = values["blocksizes"] {
        for item in list.split(separator: ",") {
          guard let size = String(item).plainCount, size > 0 else {
            throw text.error(line: first, expected: "sizes of blocks")
          }
          sizes.append(size)
        }
      } else {
        throw text.error(line: first, expected: "SwitchName=, BlockName= or BlockSizes=")
      }
    }
    var findings = Findings(engine: "slurm topology", source: text.source)
    if !blocks.isEmpty {
      guard tree.isEmpty else { throw text.error("expected switches or blocks, not both") }
      findings.structure = .network(try structure(blocks: blocks, sizes: sizes, name: "topology.conf", text: text))
    } else {
      guard !tree.isEmpty else { throw text.error("expected lines SwitchName=… or BlockName=…") }
      findings.structure = .network(try tree.structure(name: "topology.conf", text: text))
    }
    return findings
  }

  /// Blocks as listed are the first level; a larger size joins as many of them, in order (topology.conf(5)).
  static func structure(
    blocks: [(name: String, nodes: [String])], sizes: [Int], name: String, text: ToolText,
    shape: NetworkStructure.Shape = .block
  ) throws(DocumentError) -> NetworkStructure {
    var nodeNames: [String] = []
    var groups: [NetworkStructure.Group] = []
    var owners: [String: String] = [:]
    for block in blocks {
      for node in block.nodes {
        if let other = owners[node] {
          throw text.error("node \"\(node)\" is in both \"\(other)\" and \"\(block.name)\"")
        }
        owners[node] = block.name
      }
      groups.append(.init(name: block.name, nodes: Array(nodeNames.count..<nodeNames.count + block.nodes.count)))
      nodeNames += block.nodes
    }
    guard !nodeNames.isEmpty else { throw text.error("no block has nodes") }
    var levels = [groups]
    let base = groups[0].nodes.count
    for size in Set(sizes).sorted() where base > 0 && size > base && size % base == 0 {
      let joined = size / base
      levels.append(
        stride(from: 0, to: groups.count, by: joined).map { start in
          let members = groups[start..<min(start + joined, groups.count)]
          return .init(name: members.map(\.name).joined(separator: "+"), nodes: members.flatMap(\.nodes))
        })
      if joined >= groups.count { break }
    }
    return NetworkStructure(name: name, shape: shape, nodeNames: nodeNames, levels: levels)
  }
}
