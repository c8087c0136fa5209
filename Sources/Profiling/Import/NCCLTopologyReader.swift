import Documents
import Foundation
import FoundationXML

/// NCCL's topology XML: what `NCCL_TOPO_DUMP_FILE` writes, or a cloud's static file that `NCCL_TOPO_FILE` names.
///
/// PCI classes 0x03xxxx are GPUs, as is 0x1200xx to RCCL, 0x02xxxx network cards, 0x0604xx bridges (`topo.cc` of NCCL
/// 5067397 and of RCCL 0cbce2a); a dump has `gpu`, `nic` and `net` elements besides; RCCL's has `xgmi` elements as well,
/// for devices one hop away. Virtual machines state PCIe widths and speeds wrongly, so none is taken over;
/// rates are of NVLink by generation and of the network as `speed` says in Mb/s.
enum NCCLTopologyReader {
  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    let collector = Collector()
    let parser = XMLParser(data: Data(text.bytes))
    parser.shouldResolveExternalEntities = false
    parser.delegate = collector
    guard parser.parse(), collector.fault == nil else {
      let place = "line \(max(1, parser.lineNumber))"
      throw DocumentError(
        source: text.source, location: place, expected: collector.fault ?? "expected well-formed XML", found: nil)
    }
    guard collector.hasSystem else { throw text.error("expected the element \"system\" of NCCL's topology") }
    var findings = Findings(engine: "nccl topology", source: text.source)
    let devices = collector.parts.filter { $0.kind == .device }
    let cards = collector.parts.filter { $0.kind == .card }
    let unknown = collector.parts.count { $0.kind == .unknown }
    if unknown > 0 {
      findings.notes.append("\(unknown) PCI devices have no class: whether they are GPUs or network cards is not said")
    }
    guard !collector.parts.isEmpty else { throw text.error("expected PCI devices in NCCL's topology") }
    guard collector.parts.count <= 1_024 else { throw text.error("expected at most 1024 PCI devices") }
    // A switch joins all devices that have links to it.
    let switched = devices.filter { $0.switchLinkCount > 0 }
    var structure = NodeStructure(
      devices: devices.map(\.name), networkCards: cards.map(\.name),
      deviceToDevice: devices.map { from in
        devices.map { to in
          guard from.order != to.order else { return nil }
          if from.switchLinkCount > 0, to.switchLinkCount > 0 {
            return .nvlink(min(from.switchLinkCount, to.switchLinkCount))
          }
          if let count = from.directLinks[to.bus] { return .nvlink(count) }
          if let count = from.amdLinks[to.bus] ?? to.amdLinks[from.bus] { return .xgmi(count) }
          return from.path(to: to)
        }
      },
      deviceToCard: devices.map { device in cards.map { device.path(to: $0) } })
    structure.cardBytesPerSecond = cards.map(\.bytesPerSecond)
    structure.hasSwitches = !switched.isEmpty
    let rates = devices.map(\.linkBytesPerSecond)
    if let first = rates.first, rates.allSatisfy({ $0 == first }) { structure.linkBytesPerSecond = first }
    if structure.linkBytesPerSecond == nil, let device = devices.first(where: { $0.hasLinks }) {
      findings.notes.append(
        "the rate of \(device.amdLinks.isEmpty ? "an NVLink" : "an XGMI link") is not known for \(device.generation)")
    }
    if devices.isEmpty { findings.notes.append("GPUs are not in this file") }
    findings.structure = .node(structure)
    return findings
  }

  /// One GPU or network card.
  private struct Component {
    enum Kind { case device, card, unknown }
    var kind: Kind
    var name: String
    let bus: String
    let order: Int
    /// The bridges from the root complex down, and the CPU they hang on.
    let bridges: [Int]
    let cpu: Int
    var switchLinkCount = 0
    var directLinks: [String: Int] = [:]
    /// XGMI of AMD's devices, by the address at the other end.
    var amdLinks: [String: Int] = [:]
    var architecture = 0
    var bytesPerSecond: Double?

    /// The architecture as RCCL states it, such as `gfx942:sramecc+:xnack-`, or 910 for gfx90a in old files.
    var amdArchitecture = ""

    var hasLinks: Bool { switchLinkCount > 0 || !directLinks.isEmpty || !amdLinks.isEmpty }

    /// What the file says of the generation, for a complaint.
    var generation: String {
      amdArchitecture.isEmpty ? "devices of sm=\"\(architecture)\"" : "devices of gcn=\"\(amdArchitecture)\""
    }

    /// One direction of one link. NVLink: 25 GB/s of generations 2 to 4, 50 GB/s from generation 5 on (NVIDIA V100,
    /// A100, H100 and B200 datasheets: 6, 12, 18 and 18 links for 150, 300, 450 and 900 GB/s). XGMI: 50 GB/s of MI250X
    /// (Frontier User Guide: 4 links of 200 GB/s join the halves of a module), 64 GB/s of MI300X (stas00/ml-engineering
    /// 744d01e, network/README.md: 7 links for 448 GB/s). RCCL itself counts on 36 and 48 of them (`topo.h`, 0cbce2a).
    var linkBytesPerSecond: Double? {
      guard amdLinks.isEmpty, amdArchitecture.isEmpty else {
        return switch amdArchitecture.prefix(while: { $0 != ":" }) {
        case "gfx90a", "910": 50e9
        case "gfx942", "942": 64e9
        default: nil
        }
      }
      return switch architecture {
      case 70, 80, 90: 25e9
      case 100, 103: 50e9
      default: nil
      }
    }

    func path(to other: Component) -> NodeStructure.Path {
      guard cpu == other.cpu else { return .sys }
      if let bridge = bridges.last, bridge == other.bridges.last { return .pix }
      if let top = bridges.first, top == other.bridges.first { return .pxb }
      return .phb
    }
  }

  private final class Collector: NSObject, XMLParserDelegate {
    var parts: [Component] = []
    var fault: String?
    var hasSystem = false
    private var path: [String] = []
    private var cpu = -1
    private var nextBridge = 0
    /// Open `pci` elements: the bridge's number, or the part's index.
    private var open: [(bridge: Int, part: Int?)] = []

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
      attributes: [String: String]
    ) {
      path.append(name)
      guard path.count <= 64, parts.count <= 4_096 else {
        fault = "expected at most 64 levels and 4096 devices"
        return parser.abortParsing()
      }
      switch name {
      case "system": hasSystem = true
      case "cpu": cpu += 1
      case "pci": begin(attributes)
      case "gpu":
        change { part in
          part.kind = .device
          part.name = attributes["dev"].flatMap(\.plainCount).map { "GPU\($0)" } ?? part.name
          part.architecture = attributes["sm"]?.plainCount ?? 0
          part.amdArchitecture = attributes["gcn"]?.asName ?? ""
        }
      case "nic": change { $0.kind = .card }
      case "net":
        change { part in
          part.kind = .card
          part.name = attributes["name"]?.asName ?? part.name
          // Mb/s is 10^6 bits a second.
          if let speed = attributes["speed"]?.plainNumber, speed > 0 {
            part.bytesPerSecond = (part.bytesPerSecond ?? 0) + speed * 125_000
          }
        }
      case "nvlink":
        guard let count = attributes["count"]?.plainCount, count <= 1_000 else { return }
        let isSwitch = attributes["tclass"]?.hasPrefix("0x0680") == true
        let target = attributes["target"] ?? ""
        change { part in
          if isSwitch { part.switchLinkCount += count } else { part.directLinks[target, default: 0] += count }
        }
      case "xgmi":
        // With the address of the other device.
        let count = attributes["count"]?.plainCount ?? 1
        guard (1...1_000).contains(count), let target = attributes["target"], !target.isEmpty else { return }
        change { $0.amdLinks[target, default: 0] += count }
      default: break
      }
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
      path.removeLast()
      if name == "pci" { open.removeLast() }
    }

    /// A bridge is only known by what is inside of it, so every element begins as a part and its parent is none.
    private func begin(_ attributes: [String: String]) {
      let address = attributes["busid"] ?? ""
      let code = attributes["class"] ?? ""
      let bridges = open.map(\.bridge)
      // What has something inside is a bridge, whatever was thought before.
      if let parent = open.last?.part, parts[parent].kind == .unknown { parts[parent].name = "" }
      if code.hasPrefix("0x0604") {
        open.append((nextBridge, nil))
      } else {
        let kind: Component.Kind
        if code.hasPrefix("0x03") || code.hasPrefix("0x1200") {
          kind = .device
        } else if code.hasPrefix("0x02") {
          kind = .card
        } else {
          kind = .unknown
        }
        parts.append(
          Component(
            kind: kind, name: address.asName ?? "pci", bus: address, order: parts.count, bridges: bridges, cpu: cpu))
        open.append((nextBridge, parts.count - 1))
      }
      nextBridge += 1
    }

    private func change(_ body: (inout Component) -> Void) {
      if let index = open.last?.part { body(&parts[index]) }
    }

    func parserDidEndDocument(_ parser: XMLParser) {
      parts.removeAll { $0.kind == .unknown && $0.name.isEmpty }
    }
  }
}
