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

  /// The kinds of paths, best first, by the last path that belongs to each.
  private static let kinds: [(name: String, holds: @Sendable (Path) -> Bool)] = [
    ("nvlink", { if case .nvlink = $0 { true } else { false } }),
    ("xgmi", { if case .xgmi = $0 { true } else { false } }),
    ("pcie", { $0 < .sys }),
    ("sys", { _ in true }),
  ]

  /// Whether every pair of some devices has a path of a kind, or its better ones, both ways.
  private func joins(_ devices: some Collection<Int>, _ holds: (Path) -> Bool) -> Bool {
    devices.allSatisfy { from in
      devices.allSatisfy { to in from == to || deviceToDevice[from][to].map(holds) == true }
    }
  }

  /// The devices in an order in which islands follow one another, as a cluster's levels need them: as they are numbered
  /// where that is so, else sorted into islands, first devices first.
  package var islandOrder: [Int] {
    func sorted(_ devices: [Int], _ kinds: ArraySlice<(name: String, holds: @Sendable (Path) -> Bool)>) -> [Int] {
      guard let kind = kinds.last, devices.count > 2 else { return devices }
      var groups: [[Int]] = []
      for device in devices {
        if let place = groups.firstIndex(where: { joins($0 + [device], kind.holds) }) {
          groups[place].append(device)
        } else {
          groups.append([device])
        }
      }
      return groups.flatMap { sorted($0, kinds.dropLast()) }
    }
    guard devices.count <= 64 else { return Array(devices.indices) }
    return sorted(Array(devices.indices), Self.kinds[...])
  }

  /// The levels of links inside the node, innermost first; the last spans all devices.
  package var islands: [Island] {
    let order = islandOrder, count = devices.count
    var result: [Island] = []
    for kind in Self.kinds {
      let span = (1...max(1, count)).reversed().first { span in
        count % span == 0
          && stride(from: 0, to: count, by: span).allSatisfy { joins(order[$0..<$0 + span], kind.holds) }
      }
      guard let span, span > result.last?.span ?? 1 else { continue }
      let rate = kind.name == "nvlink" ? nvlinkBytesPerSecond : nil
      result.append(Island(name: kind.name, span: span, bytesPerSecond: rate))
    }
    // A node whose devices are alike has one level, whatever lies between them; a single device has its host's bus.
    if result.count == 1, result[0].name == "sys" {
      return [Island(name: "pcie", span: count, bytesPerSecond: nil)]
    }
    if result.last?.span != count { result.append(Island(name: "pcie", span: max(1, count), bytesPerSecond: nil)) }
    return result
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
