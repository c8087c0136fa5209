package import JSONText

/// Islands: sets of devices that reach each other better than the rest.
extension NodeStructure {
  /// A level of links inside the node: the largest sets of so many devices all of whose pairs have a path of its kind or
  /// better.
  package struct Island: Sendable, Equatable {
    /// `nvlink`, `xgmi`, `pcie` for paths that stay within one NUMA node, `sys` for those that do not.
    package let name: String
    /// Devices in each.
    package let span: Int
    package let bytesPerSecond: Double?

    package init(name: String, span: Int, bytesPerSecond: Double?) {
      self.name = name
      self.span = span
      self.bytesPerSecond = bytesPerSecond
    }
  }

  /// A kind of path between two devices, with what is better.
  private struct Kind {
    let name: String
    let joins: (_ from: Int, _ to: Int) -> Bool
  }

  /// Best first. Devices that only some of the others have a direct link to are reached over those, as the rings of
  /// NCCL and RCCL do: `nvlink-hops` and `xgmi-hops`.
  private var kinds: [Kind] {
    let linked = linkedSets
    func isPath(_ from: Int, _ to: Int, _ holds: (Path) -> Bool) -> Bool { deviceToDevice[from][to].map(holds) == true }
    return [
      Kind(name: "nvlink") { isPath($0, $1) { if case .nvlink = $0 { true } else { false } } },
      Kind(name: "xgmi") { isPath($0, $1) { if case .xgmi = $0 { true } else { false } } },
      Kind(name: hasXGMI ? "xgmi-hops" : "nvlink-hops") { linked[$0] == linked[$1] },
      Kind(name: "pcie") { linked[$0] == linked[$1] || isPath($0, $1) { $0 < .sys } },
      Kind(name: "sys") { deviceToDevice[$0][$1] != nil },
    ]
  }

  private var hasXGMI: Bool { deviceToDevice.contains { $0.contains { if case .xgmi = $0 { true } else { false } } } }

  /// The set of devices that each can reach over direct links, by its first device.
  private var linkedSets: [Int] {
    var sets = Array(devices.indices)
    for from in devices.indices {
      for to in devices.indices where sets[from] != sets[to] && deviceToDevice[from][to]?.isDirect == true {
        let (kept, joined) = (min(sets[from], sets[to]), max(sets[from], sets[to]))
        for device in devices.indices where sets[device] == joined { sets[device] = kept }
      }
    }
    return sets
  }

  /// Whether every pair of some devices has a path of a kind, or its better ones, both ways.
  private func joins(_ devices: some Collection<Int>, _ kind: Kind) -> Bool {
    devices.allSatisfy { from in devices.allSatisfy { to in from == to || kind.joins(from, to) } }
  }

  /// The devices in an order in which islands follow one another, as a cluster's levels need them: as they are numbered,
  /// unless sorted into islands, first devices first, they make larger ones.
  package var islandOrder: [Int] {
    let numbered = Array(devices.indices), kinds = kinds
    func sorted(_ devices: [Int], _ kinds: ArraySlice<Kind>) -> [Int] {
      guard let kind = kinds.last, devices.count > 2 else { return devices }
      var groups: [[Int]] = []
      for device in devices {
        if let place = groups.firstIndex(where: { joins($0 + [device], kind) }) {
          groups[place].append(device)
        } else {
          groups.append([device])
        }
      }
      return groups.flatMap { sorted($0, kinds.dropLast()) }
    }
    guard devices.count <= 64 else { return numbered }
    let sortedOrder = sorted(numbered, kinds[...])
    let before = spans(of: kinds, in: numbered), after = spans(of: kinds, in: sortedOrder)
    return before.lexicographicallyPrecedes(after) ? sortedOrder : numbered
  }

  /// Of each kind, the most devices that follow one another and are all joined by it, where all islands are as large.
  private func spans(of kinds: [Kind], in order: [Int]) -> [Int] {
    kinds.map { kind in
      (1...max(1, order.count)).reversed().first { span in
        order.count % span == 0
          && stride(from: 0, to: order.count, by: span).allSatisfy { joins(order[$0..<$0 + span], kind) }
      } ?? 1
    }
  }

  /// The levels of links inside the node, innermost first; the last spans all devices.
  package var islands: [Island] {
    let order = islandOrder, count = devices.count, kinds = kinds
    var result: [Island] = []
    for (kind, span) in zip(kinds, spans(of: kinds, in: order)) where span > result.last?.span ?? 1 {
      let isDirect = kind.name == "nvlink" || kind.name == "xgmi"
      result.append(
        Island(name: kind.name, span: span, bytesPerSecond: isDirect ? nominalRate(order: order, span: span) : nil))
    }
    // A node whose devices are alike has one level, whatever lies between them; a single device has its host's bus.
    if result.count == 1, result[0].name == "sys" {
      return [Island(name: "pcie", span: count, bytesPerSecond: nil)]
    }
    if result.last?.span != count { result.append(Island(name: "pcie", span: max(1, count), bytesPerSecond: nil)) }
    return result
  }

  /// What a device can send to the others of its island over all its links to them, where the rate of a link is known:
  /// of the device that has fewest.
  private func nominalRate(order: [Int], span: Int) -> Double? {
    guard let linkBytesPerSecond else { return nil }
    let counts = order.indices.map { place in
      let island = place / span * span..<place / span * span + span
      let links = island.map { $0 == place ? 0 : deviceToDevice[order[place]][order[$0]]?.linkCount ?? 0 }
      // Through a switch, the same links lead to all.
      return hasSwitches ? links.max() ?? 0 : links.reduce(0, +)
    }
    return counts.min().map { Double($0) * linkBytesPerSecond }
  }

  /// The `levels` of a cluster document that follow: those inside a node, with their rates where they follow from
  /// NVLink.
  package var clusterLevels: JSON {
    .array(
      islands.map { island in
        var members = [JSONMember("name", .string(island.name)), JSONMember("span", .integer(island.span))]
        if let rate = island.bytesPerSecond { members.append(JSONMember("bytes_per_second", .number(rate))) }
        return .object(members)
      })
  }
}
