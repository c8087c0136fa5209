import Documents
import Foundation
import JSONText
import Profiling
import Sextant

/// A links document for people: the matrix, what is slow, what is missing, where it comes from.
struct LinksReport {
  let links: MeasuredLinks
  private let health: LinkHealth

  init(links: MeasuredLinks) {
    self.links = links
    health = LinkHealth(links)
  }

  /// Nodes up to which the whole matrix is printed.
  private static let largestMatrix = 16
  private static let longestList = 20

  var text: String {
    var result =
      "Links \(links.name): \(Format.count(links.nodeNames.count, of: "node")), measured by \(links.engine).\n"
    if let median = health.medianBytesPerSecond {
      result += summary(median) + matrix + outliers
    }
    let latencies = links.snapshots.flatMap { ($0.latencySeconds ?? []).flatMap { $0.compactMap { $0 } } }
    if let least = latencies.min(), let most = latencies.max(), let median = latencies.median {
      result +=
        "Latency \(Format.seconds(least)) to \(Format.seconds(most)), median \(Format.seconds(median)).\n"
    }
    result += gaps + insideText + collectivesText + originsText + disagreementsText
    return result
  }

  /// What a comparison with a cluster comes to, a line each; nothing without one.
  static func comparison(of links: Links, with cluster: Cluster?) -> String {
    cluster?.description.comparison(with: links.document).map { "Note: \($0.oneLine)\n" }.joined() ?? ""
  }

  private func rate(_ from: Int, _ to: Int) -> Double? {
    from == to ? nil : links.medianBytesPerSecond(from: from, to: to)
  }

  private func summary(_ median: Double) -> String {
    let indices = links.nodeNames.indices
    let rates = indices.flatMap { from in indices.compactMap { rate(from, $0) } }
    let total = indices.count * (indices.count - 1)
    var result =
      "\(Format.count(rates.count)) of \(Format.count(total, of: "directed pair")); "
      + "\(Format.linkRate(rates.min() ?? 0)) to \(Format.linkRate(rates.max() ?? 0)), median \(Format.linkRate(median))"
    let inferred = indices.reduce(0) { sum, from in sum + indices.count { links.isInferred(from: from, to: $0) } }
    if inferred > 0 { result += "; \(Format.count(inferred)) of them inferred" }
    if links.snapshots.count > 1 { result += "; the median of \(links.snapshots.count) snapshots" }
    return result + ".\n"
  }

  /// Rates in GB/s, sender in the row; of many nodes, the median of each node's row and column instead.
  private var matrix: String {
    let indices = links.nodeNames.indices
    func cell(_ rate: Double?) -> String { rate.map { String(format: "%.2f", $0 / 1e9) } ?? "–" }
    guard indices.count <= Self.largestMatrix else {
      var rows = indices.map { node in
        (node, indices.compactMap { rate(node, $0) }.median, indices.compactMap { rate($0, node) }.median)
      }
      rows.sort { (min($0.1 ?? 0, $0.2 ?? 0), $0.0) < (min($1.1 ?? 0, $1.2 ?? 0), $1.0) }
      var table = Table(header: ["slowest nodes first, GB/s", "sends", "receives"])
      for row in rows.prefix(Self.longestList) {
        table.add([links.nodeNames[row.0].oneLine, cell(row.1), cell(row.2)])
      }
      return table.text
    }
    var table = Table(header: ["GB/s from \\ to"] + links.nodeNames.map(\.oneLine))
    var hasInferred = false
    for from in indices {
      table.add(
        [links.nodeNames[from].oneLine]
          + indices.map { to in
            guard links.isInferred(from: from, to: to) else { return cell(rate(from, to)) }
            hasInferred = true
            return "~" + cell(rate(from, to))
          })
    }
    return table.text + (hasInferred ? "  ~ is not measured but inferred.\n" : "")
  }

  private var outliers: String {
    var lines: [String] = []
    for node in health.slowNodes {
      lines.append("\(links.nodeNames[node.index]): \(Self.verdict(of: node))")
    }
    for link in health.slowLinks { lines.append(sentence(link)) }
    guard !lines.isEmpty else { return "No node or link is much slower than the others.\n" }
    return "Slow, worst first:\n" + lines.prefix(Self.longestList).map { "  \($0.oneLine).\n" }.joined()
      + (lines.count > Self.longestList ? "  … and \(lines.count - Self.longestList) more.\n" : "")
  }

  /// `sends 41 % and receives 38 % below the median node; suspect its network card`.
  static func verdict(of node: LinkHealth.SlowNode) -> String {
    func percent(_ share: Double) -> String { String(format: "%.0f %%", share * 100) }
    let sends = node.sendingLoss >= LinkHealth.leastLoss, receives = node.receivingLoss >= LinkHealth.leastLoss
    if sends, receives {
      return "sends \(percent(node.sendingLoss)) and receives \(percent(node.receivingLoss)) below the median node; "
        + "suspect its network card"
    }
    return sends
      ? "sends \(percent(node.sendingLoss)) below the median node, but receives as others do; suspect its uplink"
      : "receives \(percent(node.receivingLoss)) below the median node, but sends as others do; suspect its downlink"
  }

  func sentence(_ link: LinkHealth.SlowLink) -> String {
    let percent = String(format: "%.0f %%", link.loss * 100)
    let why =
      links.nodeNames.count < 4
      ? "\(percent) below the median" : "\(percent) below its row and column; suspect the path between the two"
    return
      "\(links.nodeNames[link.from]) → \(links.nodeNames[link.to]): \(Format.linkRate(link.bytesPerSecond)), \(why)"
  }

  private var gaps: String {
    let gaps = links.snapshots.flatMap(\.gaps)
    guard !gaps.isEmpty else { return "" }
    let lines = gaps.map { gap in
      let from = gap.from.map { links.nodeNames[$0] } ?? "all", to = gap.to.map { links.nodeNames[$0] } ?? "all"
      return "\(from) → \(to): \(gap.reason)"
    }
    return "Not measured:\n" + lines.prefix(Self.longestList).map { "  \($0.oneLine)\n" }.joined()
      + (lines.count > Self.longestList ? "  … and \(lines.count - Self.longestList) more.\n" : "")
  }

  private var insideText: String {
    guard !links.inside.isEmpty else { return "" }
    var table = Table(
      header: ["inside a node", "node", "from", "to", "least", "median", "most"], leftColumns: [0, 1, 2, 3])
    for one in links.inside {
      let rates = (one.bytesPerSecond ?? []).flatMap { $0.compactMap { $0 } }
      let times = (one.latencySeconds ?? []).flatMap { $0.compactMap { $0 } }
      let isTimed = rates.isEmpty
      let cells = [0, 0.5, 1].map { share in
        (isTimed ? times : rates).quantile(share).map(isTimed ? Format.seconds : Format.linkRate) ?? "–"
      }
      table.add(
        [
          one.name.oneLine + (one.isBidirectional ? " (both directions)" : ""),
          one.nodeIndex.map { links.nodeNames[$0].oneLine } ?? "not said", one.from.rawValue, one.to.rawValue,
        ] + cells)
    }
    return table.text
  }

  private var collectivesText: String {
    guard !links.collectives.isEmpty else { return "" }
    var table = Table(header: ["collective", "ranks", "nodes", "order", "sizes", "bus bandwidth of the largest"])
    for one in links.collectives {
      let last = one.points.last
      let bus =
        one.busBytesPerSecond
        ?? last.map { Double($0.messageBytes) / $0.seconds * one.kind.busFactor(rankCount: one.rankCount) }
      table.add([
        one.kind.rawValue + (one.isInPlace == true ? ", in place" : ""), "\(one.rankCount)",
        one.nodeCount.map(String.init) ?? "–", one.order?.rawValue ?? "–", "\(one.points.count)",
        bus.map(Format.linkRate) ?? "–",
      ])
    }
    return table.text
  }

  private var originsText: String {
    guard !links.origins.isEmpty else { return links.source.isEmpty ? "" : "Source: \(links.source.oneLine)\n" }
    var result = "Sources, most trusted first:\n"
    for origin in links.origins.sorted(by: { $0.trust > $1.trust }) {
      result +=
        "  \(origin.trust.rawValue): \(origin.engine.oneLine), \(origin.source.oneLine)"
        + (origin.note.isEmpty ? "\n" : " (\(origin.note.oneLine))\n")
    }
    return result
  }

  private var disagreementsText: String {
    let all = links.disagreements.sorted { abs($0.difference) > abs($1.difference) }
    guard !all.isEmpty else { return "" }
    var result = "Sources disagree:\n"
    for one in all.prefix(Self.longestList) {
      let line =
        "\(one.subject): \(Format.linkRate(one.takenBytesPerSecond)) taken (\(one.taken.trust.rawValue), "
        + "\(one.taken.engine), \(one.taken.source)), \(Format.linkRate(one.otherBytesPerSecond)) by \(one.other.engine) "
        + "(\(one.other.trust.rawValue), \(one.other.source)), \(String(format: "%+.0f %%", one.difference * 100))"
      result += "  \(line.oneLine)\n"
    }
    return result + (all.count > Self.longestList ? "  … and \(all.count - Self.longestList) more.\n" : "")
  }
}

extension LinksReport {
  /// What is slow and where sources differ, for programs.
  var jsonMembers: [JSONMember] {
    [
      JSONMember("name", .string(links.name)),
      JSONMember("median_bytes_per_second", health.medianBytesPerSecond.map(JSON.number) ?? .null),
      JSONMember(
        "slow_nodes",
        .array(
          health.slowNodes.map {
            .object([
              JSONMember("node", .string(links.nodeNames[$0.index])),
              JSONMember("sending_loss", .number($0.sendingLoss)),
              JSONMember("receiving_loss", .number($0.receivingLoss)),
            ])
          })),
      JSONMember(
        "slow_links",
        .array(
          health.slowLinks.map {
            .object([
              JSONMember("from", .string(links.nodeNames[$0.from])), JSONMember("to", .string(links.nodeNames[$0.to])),
              JSONMember("bytes_per_second", .number($0.bytesPerSecond)),
              JSONMember("expected_bytes_per_second", .number($0.expectedBytesPerSecond)),
            ])
          })),
      JSONMember(
        "disagreements",
        .array(
          links.disagreements.map {
            .object([
              JSONMember("of", .string($0.subject)),
              JSONMember("taken_bytes_per_second", .number($0.takenBytesPerSecond)),
              JSONMember("taken_from", .string($0.taken.source)),
              JSONMember("other_bytes_per_second", .number($0.otherBytesPerSecond)),
              JSONMember("other_from", .string($0.other.source)),
            ])
          })),
    ]
  }
}

extension MeasuredLinks {
  /// Whether a rate was completed from other pairs in every snapshot that has it.
  func isInferred(from: Int, to: Int) -> Bool {
    let trusts = snapshots.compactMap { snapshot in
      snapshot.originIndex?[from][to].map { origins[$0].trust }
    }
    return !trusts.isEmpty && trusts.allSatisfy { $0 == .inferred }
  }
}
