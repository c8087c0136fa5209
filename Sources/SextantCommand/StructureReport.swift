import Documents
import Foundation
import JSONText
import Profiling

/// What topology files say: structure, and what of a cluster document follows from it.
enum StructureReport {
  // MARK: A node

  static func text(_ node: NodeStructure) -> String {
    var result =
      "  A node of \(Format.count(node.devices.count, of: "device")) and "
      + "\(Format.count(node.networkCards.count, of: "network card")).\n"
    if let range = node.deviceRange {
      result +=
        range.lowerBound == range.upperBound
        ? "  Every device reaches every other by \(range.lowerBound.word).\n"
        : "  Devices reach each other by \(range.lowerBound.word) at best and \(range.upperBound.word) at worst.\n"
    }
    if !node.networkCards.isEmpty, !node.devices.isEmpty {
      var table = Table(header: ["device", "nearest network cards", "path"], leftColumns: [0, 1, 2])
      for index in node.devices.indices {
        guard let nearest = node.nearestCards(ofDevice: index) else { continue }
        table.add([
          node.devices[index], nearest.cards.map { node.networkCards[$0] }.joined(separator: ", "), nearest.path.word,
        ])
      }
      result += table.text
    }
    for island in node.islands {
      guard let rate = island.bytesPerSecond else { continue }
      result += "  Level \(island.name): \(Format.linkRate(rate)) per device and direction (nominal).\n"
    }
    if let rate = node.sharedBytesPerSecond {
      result += "  Network: \(Format.linkRate(rate)) per node and direction (nominal).\n"
    }
    if !node.devices.isEmpty {
      result += "  For a cluster document: \"devices_per_node\": \(node.devices.count), \"levels\": "
      result += node.clusterLevels.text(style: .compact) + "\n"
      let order = node.islandOrder
      if order != Array(node.devices.indices) {
        result +=
          "  Islands do not follow one another; these levels hold with the devices in the order "
          + order.map(String.init).joined(separator: ",") + " (CUDA_VISIBLE_DEVICES).\n"
      }
      result += "  Structure and nominal rates only; nothing of it is measured.\n"
    }
    return result
  }

  static func json(_ node: NodeStructure, source: String) -> JSON {
    var members = [
      JSONMember("kind", .string("node")), JSONMember("source", .string(source)),
      JSONMember("devices", .array(node.devices.map(JSON.string))),
      JSONMember(
        "network_cards",
        .array(
          node.networkCards.enumerated().map { index, name in
            let rate = index < node.cardBytesPerSecond.count ? node.cardBytesPerSecond[index] : nil
            return .object(
              [JSONMember("name", .string(name))]
                + (rate.map { [JSONMember("nominal_bytes_per_second", .number($0))] } ?? []))
          })),
      JSONMember("device_paths", paths(node.deviceToDevice)),
      JSONMember("network_card_paths", paths(node.deviceToCard)),
    ]
    if !node.devices.isEmpty { members.append(JSONMember("levels", node.clusterLevels)) }
    if let rate = node.sharedBytesPerSecond {
      members.append(JSONMember("nominal_shared_bytes_per_second", .number(rate)))
    }
    return .object(members)
  }

  private static func paths(_ rows: [[NodeStructure.Path?]]) -> JSON {
    .array(rows.map { .array($0.map { $0.map { .string($0.word) } ?? .null }) })
  }

  // MARK: A network

  static func text(_ network: NetworkStructure) -> String {
    var result =
      "  \(network.name): \(network.shape.rawValue), \(Format.count(network.nodeNames.count, of: "node")).\n"
    for (index, level) in network.levels.enumerated() {
      let sizes = Set(level.map(\.nodes.count)).sorted()
      let each = sizes.count == 1 ? "\(sizes[0])" : "\(sizes.first ?? 0) to \(sizes.last ?? 0)"
      result +=
        "  Level \(index + 1): \(Format.count(level.count, of: "group")) of \(each) nodes"
        + (level.count <= 8 ? " (\(level.map(\.name).joined(separator: ", ").prefix(200)))" : "") + ".\n"
    }
    if network.shape == .tree, network.partCount > 1 {
      result +=
        "  Nothing joins the \(network.partCount) topmost groups: a job cannot span them, or that is not said.\n"
    }
    if let rate = network.linkBytesPerSecond { result += "  Links of hosts: \(Format.linkRate(rate)) (nominal).\n" }
    if let spans = network.nodeSpans, !spans.isEmpty {
      result +=
        "  For a cluster document: levels above the node span \(spans.map(String.init).joined(separator: ", ")) nodes; "
        + "\"span\" is that times the devices of a node.\n"
    } else if !network.levels.isEmpty {
      result +=
        "  The groups of a level differ in size: a cluster document, whose levels are regular, cannot hold them.\n"
    }
    if !network.levels.isEmpty { result += "  Structure only; rates have to be measured.\n" }
    return result
  }

  static func json(_ network: NetworkStructure, source: String) -> JSON {
    var members = [
      JSONMember("kind", .string("network")), JSONMember("source", .string(source)),
      JSONMember("name", .string(network.name)), JSONMember("shape", .string(network.shape.rawValue)),
      JSONMember("nodes", .array(network.nodeNames.map(JSON.string))),
      JSONMember(
        "levels",
        .array(
          network.levels.map { level in
            .array(
              level.map { group in
                .object([
                  JSONMember("name", .string(group.name)),
                  JSONMember("nodes", .array(group.nodes.map { .string(network.nodeNames[$0]) })),
                ])
              })
          })),
    ]
    if let spans = network.nodeSpans {
      members.append(JSONMember("node_spans", .array(spans.map(JSON.integer))))
    }
    if let rate = network.linkBytesPerSecond {
      members.append(JSONMember("nominal_link_bytes_per_second", .number(rate)))
    }
    return .object(members)
  }
}
