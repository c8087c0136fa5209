extension MeasuredLinks {
  /// The same measurement of some of the nodes, in another order or under other names.
  ///
  /// What is of nodes that are left out is left out: their rows and columns, and groups and links inside of them.
  ///
  /// - Parameters:
  ///   - indices: which nodes, each once, in the new order.
  ///   - names: what they are to be called, in the new order; nil keeps their names.
  /// - Complexity: O(m²) for every matrix, m nodes selected.
  package func selecting(_ indices: [Int], names: [String]? = nil) -> MeasuredLinks {
    var places = [Int?](repeating: nil, count: nodeNames.count)
    for (place, index) in indices.enumerated() { places[index] = place }
    return MeasuredLinks(
      name: name, engine: engine, source: source, nodeNames: names ?? indices.map { nodeNames[$0] }, origins: origins,
      snapshots: snapshots.map { $0.selecting(indices, places: places) },
      inside: inside.compactMap { $0.moved(to: places) },
      collectives: collectives.compactMap { $0.moved(to: places) })
  }
}

extension MeasuredLinks.Snapshot {
  fileprivate func selecting(_ indices: [Int], places: [Int?]) -> Self {
    func part<Entry>(_ matrix: [[Entry?]]) -> [[Entry?]] { indices.map { row in indices.map { matrix[row][$0] } } }
    return Self(
      name: name, time: time, load: load, bytesPerSecond: part(bytesPerSecond),
      latencySeconds: latencySeconds.map(part), alphaSeconds: alphaSeconds.map(part),
      betaSecondsPerByte: betaSecondsPerByte.map(part), spread: spread.map(part), sampleCount: sampleCount.map(part),
      originIndex: originIndex.map(part),
      sizes: sizes.map {
        .init(messageBytes: $0.messageBytes, streamCount: $0.streamCount, bytesPerSecond: part($0.bytesPerSecond))
      },
      gaps: gaps.compactMap { gap in
        if let from = gap.from, places[from] == nil { return nil }
        if let to = gap.to, places[to] == nil { return nil }
        return .init(from: gap.from.flatMap { places[$0] }, to: gap.to.flatMap { places[$0] }, reason: gap.reason)
      },
      superseded: superseded.compactMap { other in
        guard let from = places[other.from], let to = places[other.to] else { return nil }
        return .init(from: from, to: to, bytesPerSecond: other.bytesPerSecond, originIndex: other.originIndex)
      })
  }
}

extension MeasuredLinks.InsideLinks {
  /// The same with the node at its new place; nil where it has none.
  fileprivate func moved(to places: [Int?]) -> Self? {
    if let nodeIndex, places[nodeIndex] == nil { return nil }
    return Self(
      name: name, nodeIndex: nodeIndex.flatMap { places[$0] }, from: from, to: to, isBidirectional: isBidirectional,
      bytesPerSecond: bytesPerSecond, latencySeconds: latencySeconds, originIndex: originIndex)
  }
}

extension MeasuredLinks.CollectiveTimes {
  /// The same with its nodes at their new places; nil where one has none.
  fileprivate func moved(to places: [Int?]) -> Self? {
    let moved = nodeIndices?.compactMap { places[$0] }
    guard moved?.count == nodeIndices?.count else { return nil }
    return Self(
      kind: kind, rankCount: rankCount, nodeCount: nodeCount, nodeIndices: moved, order: order, isInPlace: isInPlace,
      points: points, busBytesPerSecond: busBytesPerSecond, originIndex: originIndex)
  }
}
