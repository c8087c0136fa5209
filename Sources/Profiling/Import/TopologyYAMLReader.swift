import Documents
import JSONText
import Yams

/// Slurm's `topology.yaml` (a list of topologies, the default one is taken) and the model files of NVIDIA's topograph
/// (`switches`, `blocks`).
enum TopologyYAMLReader {
  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    let root = try parsed(text)
    var findings = Findings(engine: "slurm topology", source: text.source)
    if let topologies = root.sequence {
      let known = topologies.compactMap { $0["topology"]?.string?.asName }
      guard
        let chosen = topologies.first(where: { $0["cluster_default"]?.bool == true }) ?? topologies.first,
        let name = chosen["topology"]?.string?.asName
      else { throw text.error("expected a list of topologies with names") }
      if known.count > 1 {
        let others = known.filter { $0 != name }.joined(separator: ", ")
        findings.notes.append("topology \(name) is taken, which is the default or the first; not \(others)")
      }
      findings.structure = .network(try structure(chosen, name: name, text: text))
    } else if root["switches"] != nil || root["blocks"] != nil {
      findings.structure = .network(try topograph(root, text: text))
    } else {
      throw text.error("expected a list of Slurm topologies, or topograph's keys switches and blocks")
    }
    return findings
  }

  /// Parses text that cannot nest too deep: the parser beneath recurses.
  private static func parsed(_ text: ToolText) throws(DocumentError) -> Node {
    guard text.bytes.count <= 4 << 20 else { throw text.error("a topology file is at most 4 MiB") }
    var depth = 0
    for (index, line) in text.lines.enumerated() {
      for character in line.utf8 {
        if "[{".utf8.contains(character) { depth += 1 }
        if "]}".utf8.contains(character) { depth = max(0, depth - 1) }
      }
      guard depth <= 64, line.prefix(while: { " -?:\t".contains($0) }).count <= 200 else {
        throw text.error(line: index, expected: "at most 64 levels of nesting")
      }
      // Neither tool uses references, which can stand for more than memory holds.
      if line.contains(/(^|[\s\[,:-])[&*][A-Za-z0-9]/) {
        throw text.error(line: index, expected: "no anchors or aliases")
      }
    }
    do {
      guard let node = try Yams.compose(yaml: String(decoding: text.bytes, as: UTF8.self)) else {
        throw text.error("the file is empty")
      }
      return node
    } catch let error as DocumentError {
      throw error
    } catch {
      let sentence = "\(error)".split(whereSeparator: \.isNewline).first.map(String.init) ?? "not YAML"
      throw text.error("expected YAML: \(sentence.prefix(120))")
    }
  }

  private static func structure(_ topology: Node, name: String, text: ToolText) throws(DocumentError)
    -> NetworkStructure
  {
    if let switches = topology["tree"]?["switches"]?.sequence {
      var tree = SwitchTree()
      for entry in switches {
        guard let name = entry["switch"]?.string?.asName else { throw text.error("expected a switch with a name") }
        tree.add(name, switches: try names(entry["children"], text), nodes: try names(entry["nodes"], text))
      }
      guard !tree.isEmpty else { throw text.error("the tree has no switches") }
      return try tree.structure(name: name, text: text)
    }
    if let block = topology["block"] {
      return try SlurmTopologyReader.structure(
        blocks: members(block["blocks"], key: "block", text),
        sizes: block["block_sizes"]?.sequence?.compactMap { $0.string?.plainCount } ?? [], name: name, text: text)
    }
    if let rings = topology["ring"]?["rings"] {
      return try SlurmTopologyReader.structure(
        blocks: members(rings, key: "ring", text), sizes: [], name: name, text: text, shape: .ring)
    }
    if let toruses = topology["torus3d"]?["toruses"] {
      return try SlurmTopologyReader.structure(
        blocks: members(toruses, key: "name", text), sizes: [], name: name, text: text, shape: .torus)
    }
    guard topology["flat"] != nil else {
      throw text.error("topology \"\(name)\" is no tree, block, ring, torus3d or flat")
    }
    return NetworkStructure(name: name, shape: .flat, nodeNames: [], levels: [])
  }

  private static func topograph(_ root: Node, text: ToolText) throws(DocumentError) -> NetworkStructure {
    var tree = SwitchTree()
    for (key, value) in root["switches"]?.mapping ?? [:] {
      guard let name = key.string?.asName else { throw text.error("expected switches with names") }
      tree.add(name, switches: try names(value["switches"], text), nodes: [])
    }
    for entry in root["blocks"]?.sequence ?? [] {
      guard let name = entry["switch"]?.string?.asName else { throw text.error("expected blocks with a switch") }
      tree.add(name, switches: [], nodes: try names(entry["nodes"], text))
    }
    guard !tree.isEmpty else { throw text.error("neither switches nor blocks are listed") }
    return try tree.structure(name: "topograph", text: text)
  }

  private static func members(_ list: Node?, key: String, _ text: ToolText) throws(DocumentError) -> [(
    String, [String]
  )] {
    var result: [(String, [String])] = []
    for entry in list?.sequence ?? [] {
      guard let name = entry[key]?.string?.asName else { throw text.error("expected entries with the key \(key)") }
      result.append((name, try names(entry["nodes"], text)))
    }
    guard !result.isEmpty else { throw text.error("expected at least one \(key) with nodes") }
    return result
  }

  /// The names of a hostlist, or of a list of them.
  private static func names(_ node: Node?, _ text: ToolText) throws(DocumentError) -> [String] {
    guard let node else { return [] }
    var result: [String] = []
    for item in node.sequence.map(Array.init) ?? [node] {
      guard let list = item.string, let names = Hostlist.names(list),
        result.count + names.count <= Hostlist.largestCount
      else {
        throw text.error("expected hostlists, found \(JSON.string(item.string ?? "something else").briefDescription)")
      }
      result += names
    }
    return result
  }
}
