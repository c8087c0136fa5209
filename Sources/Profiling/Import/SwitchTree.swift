import Documents

/// Switches with the nodes and switches below them, as three tools describe them, made into groups of nodes by level.
struct SwitchTree {
  /// By name: what is directly below.
  private var children: [String: (switches: [String], nodes: [String])] = [:]
  private var order: [String] = []

  mutating func add(_ name: String, switches: [String], nodes: [String]) {
    if children[name] == nil { order.append(name) }
    children[name, default: ([], [])].switches += switches
    children[name, default: ([], [])].nodes += nodes
  }

  var isEmpty: Bool { order.isEmpty }

  /// - Throws: a complaint about a switch that is below itself or below two, a node that is on two switches, or a tree
  ///   that is too deep.
  func structure(name: String, text: ToolText) throws(DocumentError) -> NetworkStructure {
    var parents: [String: String] = [:]
    for parent in order {
      for child in children[parent]?.switches ?? [] {
        if let other = parents[child], other != parent {
          throw text.error("switch \"\(child)\" is below both \"\(other)\" and \"\(parent)\"")
        }
        parents[child] = parent
      }
    }
    let roots = order.filter { parents[$0] == nil }
    guard !roots.isEmpty else { throw text.error("every switch is below another one: there is no root") }
    // Depth first, so that the nodes of every switch follow one another.
    var nodeNames: [String] = []
    var owners: [String: String] = [:]
    var heights: [String: Int] = [:]
    var ranges: [String: Range<Int>] = [:]
    func visit(_ name: String, depth: Int) throws(DocumentError) {
      guard depth <= 32, heights[name] == nil else {
        throw text.error("switch \"\(name)\" is below itself, or too deep")
      }
      heights[name] = 0
      let first = nodeNames.count
      let below = children[name] ?? ([], [])
      for node in below.nodes {
        if let other = owners[node] {
          throw text.error("node \"\(node)\" is on both \"\(other)\" and \"\(name)\"")
        }
        owners[node] = name
        nodeNames.append(node)
      }
      var height = 0
      for child in below.switches {
        try visit(child, depth: depth + 1)
        height = max(height, (heights[child] ?? 0) + 1)
      }
      heights[name] = height
      ranges[name] = first..<nodeNames.count
    }
    for root in roots { try visit(root, depth: 1) }
    guard heights.count >= order.count else { throw text.error("some switches are below themselves") }
    guard !nodeNames.isEmpty else { throw text.error("no switch has nodes") }
    let top = heights.values.max() ?? 0
    let levels = (0...top).map { level in
      // A switch without any above it stands in every higher level: nothing joins it there.
      heights.keys.filter { name in
        let height = heights[name] ?? 0
        let parentHeight = parents[name].flatMap { heights[$0] } ?? top + 1
        return height <= level && parentHeight > level && !(ranges[name] ?? 0..<0).isEmpty
      }.sorted { (ranges[$0]?.lowerBound ?? 0, $0) < (ranges[$1]?.lowerBound ?? 0, $1) }.map {
        NetworkStructure.Group(name: $0, nodes: Array(ranges[$0] ?? 0..<0))
      }
    }
    return NetworkStructure(name: name, shape: .tree, nodeNames: nodeNames, levels: levels)
  }
}
