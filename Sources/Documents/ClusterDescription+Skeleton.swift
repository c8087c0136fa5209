import JSONText

/// Cluster documents that were written from files of structure and are not complete.
extension ClusterDescription {
  /// How the text of an open place begins.
  package static let openMark = "FILL IN"

  /// Refuses a document that still has open places, naming them.
  static func refuseOpenPlaces(_ field: Field) throws(DocumentError) {
    var places: [String] = []
    func visit(_ value: JSON, _ pointer: String, depth: Int) {
      switch value {
      case .string(let text) where text.hasPrefix(openMark):
        let what = text.dropFirst(openMark.count).drop { $0 == ":" || $0 == " " }
        places.append(what.isEmpty ? pointer : "\(pointer) (\(what.prefix(60)))")
      case .object(let members) where depth < 4:
        for member in members { visit(member.value, "\(pointer)/\(member.key)", depth: depth + 1) }
      case .array(let values) where depth < 4 && values.count <= 64:
        for (index, value) in values.enumerated() { visit(value, "\(pointer)/\(index)", depth: depth + 1) }
      default: break
      }
    }
    visit(field.value, field.pointer, depth: 0)
    guard !places.isEmpty else { return }
    let more = places.count > 4 ? " and \(places.count - 4) more" : ""
    throw field.conflict("still to be filled in: \(places.prefix(4).joined(separator: ", "))\(more)")
  }
}
