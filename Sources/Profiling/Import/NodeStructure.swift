/// How the devices and network cards of a node hang together: structure, and datasheet rates where the tool states what
/// they follow from. Nothing of it is measured.
package struct NodeStructure: Sendable, Equatable {
  /// What lies between two parts of a node, in the words of `nvidia-smi topo -m`, best first.
  package enum Path: Sendable, Equatable, Comparable {
    /// NVLinks, and their number.
    case nvlink(Int)
    /// XGMI, the links between AMD's devices, and their number.
    case xgmi(Int)
    /// At most one PCIe bridge.
    case pix
    /// Several PCIe bridges, no host bridge.
    case pxb
    /// A PCIe host bridge.
    case phb
    /// Host bridges of one NUMA node.
    case node
    /// PCIe, and it is not said what lies between.
    case pcie
    /// The links between NUMA nodes.
    case sys

    /// The tool's word.
    package var word: String {
      switch self {
      case .nvlink(let count): "NV\(count)"
      case .xgmi: "XGMI"
      case .pix: "PIX"
      case .pxb: "PXB"
      case .phb: "PHB"
      case .node: "NODE"
      case .pcie: "PCIE"
      case .sys: "SYS"
      }
    }

    init?(word: String) {
      switch word {
      case "PIX": self = .pix
      case "PXB": self = .pxb
      case "PHB": self = .phb
      case "NODE": self = .node
      case "SYS", "SOC": self = .sys
      case "PCIE": self = .pcie
      case "XGMI": self = .xgmi(1)
      default:
        guard word.hasPrefix("NV"), let count = String(word.dropFirst(2)).plainCount, (1...1_000).contains(count) else {
          return nil
        }
        self = .nvlink(count)
      }
    }

    private var rank: Int {
      switch self {
      case .nvlink(let count), .xgmi(let count): -count
      case .pix: 1
      case .pxb: 2
      case .phb: 3
      case .node: 4
      case .pcie: 5
      case .sys: 6
      }
    }

    /// Whether it is links from device to device, or to a switch that joins devices.
    package var isDirect: Bool { linkCount > 0 }

    /// How many NVLinks or links of XGMI it is.
    package var linkCount: Int {
      switch self {
      case .nvlink(let count), .xgmi(let count): count
      case .pix, .pxb, .phb, .node, .pcie, .sys: 0
      }
    }

    /// Better is less.
    package static func < (left: Path, right: Path) -> Bool { left.rank < right.rank }
  }

  package let devices: [String]
  package let networkCards: [String]
  /// Between devices; nil on the diagonal and where unknown.
  package let deviceToDevice: [[Path?]]
  /// From each device to each network card.
  package let deviceToCard: [[Path?]]
  /// The nominal rate of one NVLink or one link of XGMI, one direction; nil where the generation is not stated or
  /// devices differ.
  package var linkBytesPerSecond: Double?
  /// Whether links lead to switches that join all devices, so that the same links reach every peer.
  package var hasSwitches = false
  /// Nominal rate of each network card, one direction; nil where not stated.
  package var cardBytesPerSecond: [Double?] = []

  init(devices: [String], networkCards: [String], deviceToDevice: [[Path?]], deviceToCard: [[Path?]]) {
    self.devices = devices
    self.networkCards = networkCards
    self.deviceToDevice = deviceToDevice
    self.deviceToCard = deviceToCard
  }

  /// The best path that any device pair has and the worst; nil where there are no pairs.
  package var deviceRange: ClosedRange<Path>? {
    let paths = deviceToDevice.flatMap { $0.compactMap { $0 } }
    guard let best = paths.min(), let worst = paths.max() else { return nil }
    return best...worst
  }

  /// The network cards nearest to a device, and how near.
  package func nearestCards(ofDevice index: Int) -> (path: Path, cards: [Int])? {
    let paths = deviceToCard[index]
    guard let best = paths.compactMap({ $0 }).min() else { return nil }
    return (best, paths.indices.filter { paths[$0] == best })
  }

  /// What all network cards of the node send together, if every rate is known.
  package var sharedBytesPerSecond: Double? {
    guard !cardBytesPerSecond.isEmpty else { return nil }
    var sum = 0.0
    for rate in cardBytesPerSecond {
      guard let rate else { return nil }
      sum += rate
    }
    return sum
  }
}
