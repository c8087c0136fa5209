import Documents

/// What was measured between the devices of a node, two at a time, as rates of the node's islands.
extension NodeStructure {
  /// What a level's rate is known by.
  enum LevelRate: Equatable {
    /// Copies between two devices of the level, one pair at a time, the median: bytes per second.
    case measured(Double)
    /// What a datasheet says of its links, or nothing.
    case nominal(Double?)
    /// Links that lead to one peer each: what a pair reached is the share of one peer, bytes per second.
    case pairOnly(Double)
  }

  /// The tests of one direction at a time that are comparable, best first: writes over direct paths.
  private static let tests = [
    "device_to_device_bandwidth_p2p", "device_to_device_memcpy_write_ce", "device_to_device_memcpy_read_ce",
  ]

  /// Rates between devices that files measured, from row to column; of several tests, one that is nearest to what
  /// training sends.
  static func deviceRates(_ findings: [Findings]) -> (source: String, matrices: [[[Double?]]])? {
    for test in tests {
      let found = findings.filter { $0.inside.contains { $0.name == test && !$0.isBidirectional } }
      guard let first = found.first else { continue }
      return (
        first.source,
        found.flatMap { $0.inside.filter { $0.name == test && !$0.isBidirectional }.compactMap(\.bytesPerSecond) }
      )
    }
    return nil
  }

  /// The rate of each of ``islands``.
  ///
  /// A level is of the pairs that no inner level joins. Where a device has one peer, or shares its links among all, as
  /// behind switches and on PCIe, one pair at a time is what it can send. Where links lead to one peer each, it is not.
  ///
  /// - Parameter matrices: bytes per second from row to column, in the devices' order.
  func rates(measured matrices: [[[Double?]]]) -> [LevelRate] {
    let order = islandOrder
    var inner = 1
    return islands.map { island in
      defer { inner = island.span }
      var values: [Double] = []
      for from in order.indices {
        for to in order.indices where from / island.span == to / island.span && from / inner != to / inner {
          values += matrices.compactMap { $0[order[from]][order[to]] }
        }
      }
      guard let median = values.median, !island.name.hasSuffix("-hops") else { return .nominal(island.bytesPerSecond) }
      guard sharesLinks(island, order: order) else {
        return island.bytesPerSecond.map { .nominal($0) } ?? .pairOnly(median)
      }
      return .measured(median)
    }
  }

  /// Whether what one pair reaches is what a device can send to its whole island.
  private func sharesLinks(_ island: Island, order: [Int]) -> Bool {
    guard island.name == "nvlink" || island.name == "xgmi", island.span > 2, !hasSwitches else { return true }
    let links = order[..<island.span].dropFirst().map { deviceToDevice[order[0]][$0]?.linkCount ?? 0 }.reduce(0, +)
    // No device has more than 18 NVLinks (NVIDIA H100 and B200 datasheets): more are the same ones, through switches.
    return island.name == "nvlink" && links > 18
  }
}
