package import Documents

/// Findings of several files put together into one links document.
///
/// Of several figures for one pair the most trusted is taken, see `MeasuredLinks.Trust`; of several that are trusted
/// alike, the median one (the lower of two). The others are kept in the document as superseded.
package struct ImportedLinks: Sendable {
  /// Nil where the files are of structure only.
  package let links: MeasuredLinks?
  /// Where sources differ by more than ``tolerance``, largest difference first.
  package let disagreements: [Disagreement]

  /// Two figures of one thing that differ.
  package struct Disagreement: Sendable, Equatable {
    /// Such as `gpu-1 → gpu-2` or `all-reduce of 16 ranks, 1048576 bytes`.
    package let subject: String
    package let takenBytesPerSecond: Double
    package let taken: MeasuredLinks.Origin
    package let otherBytesPerSecond: Double
    package let other: MeasuredLinks.Origin

    /// By how much the other differs, as a share of the one taken; negative where it is less.
    package var difference: Double { otherBytesPerSecond / takenBytesPerSecond - 1 }
  }

  /// Share by which two figures may differ before that is worth a line.
  package static let tolerance = 0.05

  /// - Parameters:
  ///   - name: what the document is called.
  ///   - nodeNames: the order of the nodes; those not in it follow in the order of the files.
  /// - Throws: `DocumentError` for more nodes than a document holds.
  package init(_ findings: [Findings], name: String, nodeNames: [String] = []) throws(DocumentError) {
    let measured = findings.filter { !$0.pairs.isEmpty || !$0.inside.isEmpty || !$0.collectives.isEmpty }
    guard !measured.isEmpty else {
      links = nil
      disagreements = []
      return
    }
    var assembly = Assembly(nodeNames: nodeNames)
    for one in measured { assembly.add(one) }
    if assembly.nodeNames.isEmpty {
      // As many as the largest collective ran on, where no tool names one.
      let count = min(assembly.collectives.compactMap(\.nodeCount).max() ?? 1, 16_384)
      for index in 0..<max(count, 1) { assembly.node("node-\(index)") }
    }
    guard assembly.nodeNames.count <= 16_384, assembly.inside.count <= 100_000, assembly.collectives.count <= 100_000
    else {
      throw DocumentError(
        source: measured[0].source, location: "",
        expected: "\(assembly.nodeNames.count) nodes with \(assembly.inside.count) tests and "
          + "\(assembly.collectives.count) collectives are more than a links document holds", found: nil)
    }
    var engines: [String] = []
    for one in measured where !engines.contains(one.engine) { engines.append(one.engine) }
    let snapshot = assembly.snapshot()
    links = MeasuredLinks(
      name: name, engine: engines.joined(separator: ", "),
      source: "Imported from \(measured.map(\.source).joined(separator: ", "))", nodeNames: assembly.nodeNames,
      origins: assembly.origins, snapshots: snapshot.map { [$0] } ?? [], inside: assembly.inside,
      collectives: assembly.collectives)
    disagreements = (links?.disagreements ?? []).sorted { abs($0.difference) > abs($1.difference) }
  }
}

/// The document while files are added to it.
private struct Assembly {
  var nodeNames: [String]
  private var indices: [String: Int]
  var origins: [MeasuredLinks.Origin] = []
  var inside: [MeasuredLinks.InsideLinks] = []
  var collectives: [MeasuredLinks.CollectiveTimes] = []
  private var pairs: [Place: [(pair: Findings.Pair, origin: Int)]] = [:]

  private struct Place: Hashable {
    let from: Int
    let to: Int
  }

  init(nodeNames: [String]) {
    self.nodeNames = nodeNames
    indices = Dictionary(
      nodeNames.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
  }

  @discardableResult
  mutating func node(_ name: String) -> Int {
    if let index = indices[name] { return index }
    indices[name] = nodeNames.count
    nodeNames.append(name)
    return nodeNames.count - 1
  }

  private mutating func origin(_ findings: Findings, _ trust: MeasuredLinks.Trust) -> Int {
    let origin = MeasuredLinks.Origin(
      engine: findings.engine, source: findings.source, trust: trust, note: findings.notes.joined(separator: "; "))
    if let index = origins.firstIndex(of: origin) { return index }
    origins.append(origin)
    return origins.count - 1
  }

  mutating func add(_ findings: Findings) {
    for pair in findings.pairs {
      let place = Place(from: node(pair.from), to: node(pair.to))
      pairs[place, default: []].append((pair, origin(findings, pair.trust)))
    }
    for one in findings.inside {
      inside.append(
        .init(
          name: one.name, nodeIndex: one.host.map { node($0) }, from: one.from, to: one.to,
          isBidirectional: one.isBidirectional, bytesPerSecond: one.bytesPerSecond, latencySeconds: one.latencySeconds,
          originIndex: origin(findings, .idle)))
    }
    for one in findings.collectives {
      collectives.append(
        .init(
          kind: one.kind, rankCount: one.rankCount, nodeCount: one.nodeCount,
          nodeIndices: one.hosts?.map { node($0) }, order: one.order, isInPlace: one.isInPlace, points: one.points,
          busBytesPerSecond: one.busBytesPerSecond, originIndex: origin(findings, .collective)))
    }
  }

  /// The matrices of the pairs; nil where there are none.
  func snapshot() -> MeasuredLinks.Snapshot? {
    guard !pairs.isEmpty else { return nil }
    let count = nodeNames.count
    func empty<Entry>() -> [[Entry?]] { [[Entry?]](repeating: [Entry?](repeating: nil, count: count), count: count) }
    var rates: [[Double?]] = empty(), latencies: [[Double?]] = empty(), spreads: [[Double?]] = empty()
    var samples: [[Int?]] = empty(), originIndices: [[Int?]] = empty()
    var sizes: [Int: [[Double?]]] = [:]
    var superseded: [MeasuredLinks.Superseded] = []
    var trusts: Set<MeasuredLinks.Trust> = []
    for (place, candidates) in pairs.sorted(by: { ($0.key.from, $0.key.to) < ($1.key.from, $1.key.to) }) {
      let (from, to) = (place.from, place.to)
      latencies[from][to] = Self.best(candidates) { $0.latencySeconds }?.value
      guard let best = Self.best(candidates, value: { $0.bytesPerSecond }) else { continue }
      let taken = candidates[best.index]
      rates[from][to] = best.value
      spreads[from][to] = taken.pair.spread
      samples[from][to] = taken.pair.sampleCount
      originIndices[from][to] = taken.origin
      trusts.insert(taken.pair.trust)
      for point in taken.pair.points where point.messageBytes > 0 {
        sizes[point.messageBytes, default: empty()][from][to] = point.bytesPerSecond
      }
      for (index, other) in candidates.enumerated() where index != best.index {
        guard let rate = other.pair.bytesPerSecond else { continue }
        superseded.append(.init(from: from, to: to, bytesPerSecond: rate, originIndex: other.origin))
      }
    }
    func unlessEmpty<Entry>(_ matrix: [[Entry?]]) -> [[Entry?]]? {
      matrix.contains { $0.contains { $0 != nil } } ? matrix : nil
    }
    return MeasuredLinks.Snapshot(
      name: "imported", load: trusts == [.loaded] ? .loaded : trusts == [.idle] ? .idle : nil, bytesPerSecond: rates,
      latencySeconds: unlessEmpty(latencies), spread: unlessEmpty(spreads), sampleCount: unlessEmpty(samples),
      originIndex: unlessEmpty(originIndices),
      sizes: sizes.sorted { $0.key < $1.key }.suffix(1_000).map {
        .init(messageBytes: $0.key, streamCount: 1, bytesPerSecond: $0.value)
      },
      superseded: superseded)
  }

  /// The most trusted candidate that has a value; of several, the median one.
  private static func best(
    _ candidates: [(pair: Findings.Pair, origin: Int)], value: (Findings.Pair) -> Double?
  ) -> (index: Int, value: Double)? {
    let known = candidates.enumerated().compactMap { index, candidate in
      value(candidate.pair).map { (index: index, value: $0, trust: candidate.pair.trust) }
    }
    guard let trust = known.map(\.trust).max() else { return nil }
    let best = known.filter { $0.trust == trust }.sorted { ($0.value, $0.index) < ($1.value, $1.index) }
    return best.isEmpty ? nil : (best[(best.count - 1) / 2].index, best[(best.count - 1) / 2].value)
  }
}

extension MeasuredLinks {
  /// Where sources differ by more than `ImportedLinks.tolerance`: pairs against what was superseded, and collectives of
  /// one kind and group at equal sizes.
  package var disagreements: [ImportedLinks.Disagreement] {
    var result: [ImportedLinks.Disagreement] = []
    func compare(_ subject: String, _ taken: (Double, Int), _ other: (Double, Int)) {
      guard taken.1 < origins.count, other.1 < origins.count else { return }
      let one = ImportedLinks.Disagreement(
        subject: subject, takenBytesPerSecond: taken.0, taken: origins[taken.1], otherBytesPerSecond: other.0,
        other: origins[other.1])
      if abs(one.difference) > ImportedLinks.tolerance { result.append(one) }
    }
    for snapshot in snapshots {
      for other in snapshot.superseded {
        guard let rate = snapshot.bytesPerSecond[other.from][other.to],
          let origin = snapshot.originIndex?[other.from][other.to]
        else { continue }
        compare(
          "\(nodeNames[other.from]) → \(nodeNames[other.to])", (rate, origin), (other.bytesPerSecond, other.originIndex)
        )
      }
    }
    for (index, first) in collectives.enumerated() {
      for second in collectives[(index + 1)...]
      where second.originIndex != first.originIndex && second.kind == first.kind && second.rankCount == first.rankCount
        && second.nodeIndices == first.nodeIndices && second.order == first.order && second.isInPlace == first.isInPlace
      {
        for point in first.points {
          guard let other = second.points.first(where: { $0.messageBytes == point.messageBytes }) else { continue }
          let bytes = Double(point.messageBytes) * first.kind.busFactor(rankCount: first.rankCount)
          compare(
            "\(first.kind.rawValue) of \(first.rankCount) ranks, \(point.messageBytes) bytes",
            (bytes / point.seconds, first.originIndex), (bytes / other.seconds, second.originIndex))
        }
      }
    }
    return result
  }
}
