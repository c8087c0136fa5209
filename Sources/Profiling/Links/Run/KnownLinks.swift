package import Documents

extension LinkCoordinator {
  /// What a document that is resumed knows: all it has measured, not what it inferred, loopback included.
  package static func known(in links: MeasuredLinks) -> Set<KnownLink> {
    var known: Set<KnownLink> = []
    if let snapshot = links.snapshots.last {
      for (row, rates) in snapshot.bytesPerSecond.enumerated() {
        for (column, rate) in rates.enumerated() where rate != nil {
          let origin = snapshot.originIndex?[row][column].map { links.origins[$0] }
          if origin?.trust == .inferred { continue }
          known.insert(KnownLink(from: links.nodeNames[row], to: links.nodeNames[column]))
        }
      }
    }
    for entry in links.inside where entry.name == LinkTable.loopbackName {
      if let node = entry.nodeIndex {
        known.insert(KnownLink(from: links.nodeNames[node], to: links.nodeNames[node]))
      }
    }
    return known
  }
}

extension MeasuredLinks {
  /// Reads a document that a run over TCP is to go on with.
  ///
  /// - Throws: `DocumentError`, also when the document is of another engine or of several moments.
  package init(resuming path: String) throws(DocumentError) {
    try self.init(contentsOf: path)
    guard engine == "tcp", snapshots.count == 1 else {
      throw DocumentError(
        source: path, location: engine == "tcp" ? "/snapshots" : "/engine",
        expected: "only a document of one run of engine tcp can be resumed", found: nil)
    }
  }
}
