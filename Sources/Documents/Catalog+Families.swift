import JSONText

/// Shipped clusters in numbers of nodes that no file has: `dgx-h100-8` beside `dgx-h100-4` and `dgx-h100-16`.
extension Catalog {
  /// The cluster that a name with a number of nodes means, where the catalogue has another number of the same.
  ///
  /// The smallest file with at least as many nodes is cut, or else the largest is grown.
  ///
  /// - Returns: nil where no file has the name with another number.
  /// - Throws: `DocumentError` where the file does not say what the links of so many nodes would be.
  func member(ofFamilyNamed name: String) throws(DocumentError) -> ClusterDescription? {
    guard let root, let (family, count) = Self.family(of: name) else { return nil }
    let sizes = names(of: .cluster).compactMap { known -> Int? in
      guard let one = Self.family(of: known), one.family == family else { return nil }
      return one.nodeCount
    }.sorted()
    guard !sizes.contains(count), let size = sizes.first(where: { $0 > count }) ?? sizes.last else { return nil }
    let described = try ClusterDescription(
      contentsOf: "\(root)/\(Kind.cluster.folder)/\(family)\(size).json", catalog: self)
    do {
      return try described.member(ofNodes: count, name: name)
    } catch {
      throw DocumentError(source: "--\(Kind.cluster.rawValue)", location: "", expected: error.sentence, found: nil)
    }
  }

  /// A name's part before its number of nodes, and the number; nil where it does not end in one.
  private static func family(of name: String) -> (family: String, nodeCount: Int)? {
    guard let dash = name.lastIndex(of: "-") else { return nil }
    let digits = name[name.index(after: dash)...]
    guard let count = Int(digits), (1...131_072).contains(count), "\(count)" == digits else { return nil }
    return (String(name[...dash]), count)
  }
}
