package import JSONText

/// A collective of a plan that a measured collective prices, where others have the price of the links.
package struct MeasuredPrice: Sendable, Equatable {
  /// A measured collective.
  package struct Source: Sendable, Hashable {
    package let kind: MeasuredLinks.CollectiveTimes.Kind
    package let rankCount: Int
    package let nodeCount: Int

    package init(kind: MeasuredLinks.CollectiveTimes.Kind, rankCount: Int, nodeCount: Int) {
      self.kind = kind
      self.rankCount = rankCount
      self.nodeCount = nodeCount
    }

    /// Such as `all-reduce of 24 ranks on 3 nodes`.
    package var words: String {
      "\(kind.rawValue) of \(rankCount) ranks on \(nodeCount == 1 ? "1 node" : "\(nodeCount) nodes")"
    }
  }

  /// Whose collective it is: `tensor`, `embedding`, or a family of replicas such as `weights`.
  package let group: String
  /// What the plan does.
  package let collective: Source
  /// What was timed instead; the same where the very collective was.
  package let sources: [Source]
  /// Whether it follows from a collective of another kind or shape.
  package let isInferred: Bool

  package init(group: String, collective: Source, sources: [Source], isInferred: Bool) {
    self.group = group
    self.collective = collective
    self.sources = sources
    self.isInferred = isInferred
  }

  /// Such as `weights all-gather of 24 ranks on 3 nodes (inferred from all-reduce of 24 ranks on 3 nodes)`.
  package var words: String {
    let origin = isInferred ? " (inferred from \(sources.map(\.words).joined(separator: " and ")))" : ""
    return "\(group) \(collective.words)\(origin)"
  }
}

extension MeasuredPrice {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    group = try fields.required("group").name()
    collective = try Source(fields.required("collective"))
    var sources: [Source] = []
    for entry in try fields.required("measured").array(count: 1...8) { sources.append(try Source(entry)) }
    self.sources = sources
    isInferred = try fields.required("inferred").boolean()
    try fields.finish()
  }

  package var json: JSON {
    object(
      ("group", .string(group)), ("collective", collective.json), ("measured", .array(sources.map(\.json))),
      ("inferred", .boolean(isInferred)))
  }
}

extension MeasuredPrice.Source {
  fileprivate init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    kind = try fields.required("kind").choice(of: MeasuredLinks.CollectiveTimes.Kind.self)
    rankCount = try fields.required("ranks").integer(in: 2...134_217_728)
    nodeCount = try fields.required("nodes").integer(in: 1...134_217_728)
    try fields.finish()
  }

  fileprivate var json: JSON {
    object(
      ("kind", .string(kind.rawValue)), ("ranks", .integer(rankCount)), ("nodes", .integer(nodeCount)))
  }
}
