package import Documents
import JSONText

/// Which host is which node of a plan.
///
/// A cluster document that names its nodes names hosts. One that only counts them leaves it open: then a list of hosts
/// says so, in the cluster's order, or nobody does before something is launched.
package struct HostAssignment: Sendable, Equatable {
  /// The host of each node that is used, in the plan's order; nil where that is known at launch only.
  package let hosts: [String]?

  /// - Parameter list: the user's hosts; nil where there are none.
  /// - Throws: `DocumentError` with the difference where the list is not of the plan's nodes, and where the plan needs one.
  package init(_ plan: Plan, list: HostList?) throws(DocumentError) {
    if let list { try Self.checkSlots(of: list, plan) }
    if plan.cluster.namesHosts {
      hosts = try Self.namedHosts(plan, list: list)
    } else if let list {
      hosts = try Self.countedHosts(plan, list: list)
    } else {
      if let reason = plan.reasonForNodeOrder {
        throw DocumentError(
          source: "--hosts", location: "",
          expected: "expected the hosts of \(Self.range(plan.cluster.nodeCount)), in this order: \(reason)", found: nil)
      }
      hosts = nil
    }
  }

  private static func checkSlots(of list: HostList, _ plan: Plan) throws(DocumentError) {
    for entry in list.entries {
      if let slotCount = entry.slotCount, slotCount != plan.cluster.devicesPerNode {
        throw DocumentError(
          source: list.source, location: "",
          expected: "expected slots=\(plan.cluster.devicesPerNode), a rank for every device that the plan's nodes have",
          found: "slots=\(slotCount) on \(entry.name)")
      }
    }
  }

  /// The cluster's own names, or those by which the list calls the same hosts.
  private static func namedHosts(_ plan: Plan, list: HostList?) throws(DocumentError) -> [String] {
    let names = plan.arrangement.nodeOrder.map { plan.cluster.nodeNames[$0] }
    guard let list else {
      for node in plan.arrangement.nodeOrder where !HostName.isValid(plan.cluster.nodeNames[node]) {
        throw DocumentError(
          source: "plan", location: "/cluster/nodes/\(node)", expected: "expected the name of a host",
          found: JSON.string(plan.cluster.nodeNames[node]).briefDescription)
      }
      return names
    }
    var matches = Matches(list)
    let found = names.map { matches.take($0) }
    let missing = zip(names, found).filter { $0.1 == nil }.map(\.0)
    // The rest of the cluster may stand in the list as well.
    let used = Set(plan.arrangement.nodeOrder)
    for node in plan.cluster.nodeNames.indices where !used.contains(node) {
      _ = matches.take(plan.cluster.nodeNames[node])
    }
    guard missing.isEmpty, matches.rest.isEmpty else {
      var difference: [String] = []
      if !missing.isEmpty { difference.append("\(listed(missing)) missing") }
      if !matches.rest.isEmpty { difference.append("\(listed(matches.rest)) not in the cluster") }
      throw DocumentError(
        source: list.source, location: "",
        expected: "expected the \(names.count) nodes of the plan (cluster \(plan.cluster.name))",
        found: "\(list.entries.count) hosts: \(difference.joined(separator: ", "))")
    }
    return found.compactMap { $0 }
  }

  /// Line i is the cluster's node i; where the order means nothing, the plan's node i.
  private static func countedHosts(_ plan: Plan, list: HostList) throws(DocumentError) -> [String] {
    let names = list.entries.map(\.name), order = plan.arrangement.nodeOrder
    if names.count == plan.cluster.nodeCount { return order.map { names[$0] } }
    if names.count == order.count, plan.reasonForNodeOrder == nil { return names }
    let reason = plan.reasonForNodeOrder.map { ": \($0)" } ?? ""
    let wanted = reason.isEmpty ? order.count : plan.cluster.nodeCount
    throw DocumentError(
      source: list.source, location: "",
      expected:
        "expected \(wanted) hosts, one for each node of \(reason.isEmpty ? "the plan" : "the cluster")\(reason)",
      found: "\(names.count)")
  }

  private static func range(_ count: Int) -> String { count == 1 ? "node-0" : "node-0 to node-\(count - 1)" }

  /// Up to five names, and how many more.
  private static func listed(_ names: [String]) -> String {
    let shown = names.prefix(5).joined(separator: ", ")
    return names.count > 5 ? "\(shown) and \(names.count - 5) more" : shown
  }
}

/// The hosts of a list that no node was found for yet.
private struct Matches {
  private var names: [String]
  private var isTaken: [Bool]
  /// Places in the list by short name, in lower case.
  private var places: [String: [Int]] = [:]

  init(_ list: HostList) {
    names = list.entries.map(\.name)
    isTaken = [Bool](repeating: false, count: names.count)
    for (place, name) in names.enumerated() { places[HostName.short(name.lowercased()), default: []].append(place) }
  }

  var rest: [String] { names.indices.filter { !isTaken[$0] }.map { names[$0] } }

  /// The list's name for a node: the very same, else the first that means the same host.
  mutating func take(_ node: String) -> String? {
    let candidates = places[HostName.short(node.lowercased()), default: []].filter { !isTaken[$0] }
    let place = candidates.first { names[$0] == node } ?? candidates.first { HostName.areSame(names[$0], node) }
    guard let place else { return nil }
    isTaken[place] = true
    return names[place]
  }
}

extension Plan {
  /// Why it matters which host is which node, where the cluster's nodes have no names; nil where it does not.
  fileprivate var reasonForNodeOrder: String? {
    if cluster.isMixed { return "the nodes differ in their devices" }
    if cluster.measured?.hasPairs == true { return "the links between the nodes were measured" }
    return nil
  }
}
