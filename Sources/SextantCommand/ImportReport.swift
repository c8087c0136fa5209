import Documents
import Foundation
import JSONText
import Profiling

/// What was found in the files of other tools, for people, and the document or structure as JSON.
struct ImportReport {
  let findings: [Findings]
  let imported: ImportedLinks

  var text: String {
    var result = ""
    for one in findings {
      var parts: [String] = []
      if !one.pairs.isEmpty { parts.append(Format.count(one.pairs.count, of: "directed pair")) }
      if !one.inside.isEmpty { parts.append(Format.count(one.inside.count, of: "test") + " inside a node") }
      if !one.collectives.isEmpty { parts.append(Format.count(one.collectives.count, of: "collective")) }
      if one.structure != nil { parts.append("structure") }
      result += "\(one.source.oneLine): \(one.engine), \(parts.joined(separator: ", ")).\n"
      for note in one.notes { result += "  Note: \(note.oneLine).\n" }
      switch one.structure {
      case .node(let node): result += StructureReport.text(node)
      case .network(let network): result += StructureReport.text(network)
      case nil: break
      }
    }
    if let links = imported.links { result += "\n" + LinksReport(links: links).text }
    return result
  }

  var json: JSON {
    if let links = imported.links { return links.json }
    return .array(
      findings.compactMap { one in
        switch one.structure {
        case .node(let node): StructureReport.json(node, source: one.source)
        case .network(let network): StructureReport.json(network, source: one.source)
        case nil: nil
        }
      })
  }
}
