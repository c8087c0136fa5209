import Documents

/// The matrices of a links document while they are filled: the nodes of this run first where nothing is resumed, else
/// those of the resumed document, then those that are new.
struct LinkTable {
  private let names: [String]
  /// Where this run's nodes are among all.
  private let place: [Int]
  private let earlier: MeasuredLinks?
  private var origins: [MeasuredLinks.Origin]
  private var rate: [[Double?]]
  private var latency: [[Double?]]
  private var alpha: [[Double?]]
  private var beta: [[Double?]]
  private var spread: [[Double?]]
  private var sampleCount: [[Int?]]
  private var originIndex: [[Int?]]
  private var sizes: [MeasuredLinks.SizeRates]
  private var gaps: [MeasuredLinks.Gap]
  private var inside: [MeasuredLinks.InsideLinks]

  /// - Parameters:
  ///   - runNames: what this run calls its nodes, by rank.
  ///   - listed: the ranks that the table is to have; nothing may be set for others.
  ///   - earlier: the document that is resumed, of one snapshot. Nodes that never came in it and are not known by the
  ///     same name now are left out.
  init(names runNames: [String], listed: [Int], earlier: MeasuredLinks?) {
    let ofRun = listed.map { runNames[$0] }
    let before = earlier?.snapshots.last
    let oldNames = earlier?.nodeNames ?? []
    let kept = oldNames.indices.filter { index in
      guard let before, !ofRun.contains(oldNames[index]) else { return true }
      return oldNames.indices.contains {
        before.bytesPerSecond[index][$0] != nil || before.bytesPerSecond[$0][index] != nil
      }
    }
    let keptNames = kept.map { oldNames[$0] }
    let names = keptNames + ofRun.filter { !keptNames.contains($0) }
    let newIndex = Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($0.element, $0.offset) })
    func moved<Entry>(_ matrix: [[Entry?]]?) -> [[Entry?]] {
      var result = [[Entry?]](repeating: [Entry?](repeating: nil, count: names.count), count: names.count)
      guard let matrix else { return result }
      for (row, oldRow) in kept.enumerated() {
        for (column, oldColumn) in kept.enumerated() { result[row][column] = matrix[oldRow][oldColumn] }
      }
      return result
    }
    self.names = names
    self.earlier = earlier
    place = runNames.map { name in names.firstIndex(of: name) ?? 0 }
    origins = earlier?.origins ?? []
    rate = moved(before?.bytesPerSecond)
    latency = moved(before?.latencySeconds)
    alpha = moved(before?.alphaSeconds)
    beta = moved(before?.betaSecondsPerByte)
    spread = moved(before?.spread)
    sampleCount = moved(before?.sampleCount)
    originIndex = moved(before?.originIndex)
    sizes = (before?.sizes ?? []).map {
      MeasuredLinks.SizeRates(
        messageBytes: $0.messageBytes, streamCount: $0.streamCount, bytesPerSecond: moved($0.bytesPerSecond))
    }
    // Old gaps of nodes of this run are found anew.
    gaps = (before?.gaps ?? []).compactMap { gap in
      let from = gap.from.flatMap { newIndex[$0] }, to = gap.to.flatMap { newIndex[$0] }
      // Of a node that is left out.
      if (gap.from != nil && from == nil) || (gap.to != nil && to == nil) { return nil }
      let isOfRun = [from, to].contains { $0.map { ofRun.contains(names[$0]) } ?? false }
      return isOfRun ? nil : MeasuredLinks.Gap(from: from, to: to, reason: gap.reason)
    }
    inside = (earlier?.inside ?? []).compactMap { entry in
      guard let node = entry.nodeIndex else { return entry }
      guard let moved = newIndex[node] else { return nil }
      return MeasuredLinks.InsideLinks(
        name: entry.name, nodeIndex: moved, from: entry.from, to: entry.to, isBidirectional: entry.isBidirectional,
        bytesPerSecond: entry.bytesPerSecond, latencySeconds: entry.latencySeconds, originIndex: entry.originIndex)
    }
    // What was inferred before is inferred again from all that is known by then.
    for row in names.indices {
      for column in names.indices where isInferred(row, column) {
        rate[row][column] = nil
        originIndex[row][column] = nil
      }
    }
  }

  private func isInferred(_ row: Int, _ column: Int) -> Bool {
    originIndex[row][column].map { origins[$0].trust == .inferred } ?? false
  }

  /// The index of an origin, which is added if it is new.
  mutating func origin(_ origin: MeasuredLinks.Origin) -> Int {
    if let index = origins.firstIndex(of: origin) { return index }
    origins.append(origin)
    return origins.count - 1
  }

  mutating func set(_ measurement: DirectionMeasurement, from: Int, to: Int, origin: Int) {
    guard let best = measurement.best else { return }
    let row = place[from], column = place[to]
    rate[row][column] = best.bytesPerSecond
    latency[row][column] = measurement.latencySeconds
    let fit = measurement.fit
    alpha[row][column] = fit?.alphaSeconds
    beta[row][column] = fit.map { 1 / $0.betaBytesPerSecond }
    // Quartiles of the rate are those of the time the other way round.
    spread[row][column] =
      best.medianSeconds / best.lowerQuartileSeconds - best.medianSeconds / best.upperQuartileSeconds
    sampleCount[row][column] = best.sampleCount
    originIndex[row][column] = origin
    for size in measurement.sizes { set(size, row, column) }
  }

  private mutating func set(_ size: DirectionMeasurement.Size, _ row: Int, _ column: Int) {
    let index: Int
    if let known = sizes.firstIndex(where: {
      $0.messageBytes == size.messageBytes && $0.streamCount == size.streamCount
    }) {
      index = known
    } else {
      index = sizes.count
      sizes.append(
        .init(
          messageBytes: size.messageBytes, streamCount: size.streamCount,
          bytesPerSecond: names.map { _ in names.map { _ in nil } }))
    }
    var rates = sizes[index].bytesPerSecond
    rates[row][column] = size.bytesPerSecond
    sizes[index] = .init(messageBytes: size.messageBytes, streamCount: size.streamCount, bytesPerSecond: rates)
  }

  mutating func setLoopback(_ measurement: DirectionMeasurement, at node: Int, origin: Int) {
    guard let best = measurement.best else { return }
    inside.removeAll { $0.nodeIndex == place[node] && $0.name == Self.loopbackName }
    inside.append(
      .init(
        name: Self.loopbackName, nodeIndex: place[node], from: .host, to: .host, isBidirectional: false,
        bytesPerSecond: [[best.bytesPerSecond]], latencySeconds: [[measurement.latencySeconds]], originIndex: origin))
  }

  /// What the measurement of a node with itself is called; it goes through the loopback interface, not shared memory.
  static let loopbackName = "loopback-tcp"

  mutating func setGap(_ reason: String, from: Int, to: Int) {
    guard from != to, rate[place[from]][place[to]] == nil else { return }
    gaps.append(.init(from: place[from], to: place[to], reason: reason))
  }

  /// Why a whole row and column may have no rates.
  mutating func setRowGap(_ reason: String, of node: Int) {
    gaps.append(.init(from: place[node], to: nil, reason: reason))
    gaps.append(.init(from: nil, to: place[node], reason: reason))
  }

  /// Fills what is not known between nodes that took part.
  mutating func infer(blocks: [String], among nodes: [Int], origin: Int) {
    let names = Set(blocks).sorted()
    var measured: [[Double?]] = []
    for from in nodes { measured.append(nodes.map { rate[place[from]][place[$0]] }) }
    let numbers = nodes.map { node in names.firstIndex(of: blocks[node]) ?? 0 }
    guard let completion = StructureCompletion(bytesPerSecond: measured, block: numbers) else { return }
    for (from, fromNode) in nodes.enumerated() {
      for (to, toNode) in nodes.enumerated() where from != to && measured[from][to] == nil {
        let row = place[fromNode], column = place[toNode]
        // What was tried and failed is not made good by guessing.
        if gaps.contains(where: { $0.from == row && $0.to == column }) { continue }
        rate[row][column] = completion.bytesPerSecond(from: from, to: to)
        originIndex[row][column] = origin
      }
    }
  }

  func document(name: String, source: String, time: String, load: MeasuredLinks.Load) -> MeasuredLinks {
    let before = earlier?.snapshots.last
    let loads = Set([load] + (before.map { [$0.load ?? load] } ?? []))
    let snapshot = MeasuredLinks.Snapshot(
      name: before?.name ?? load.rawValue, time: before?.time ?? time, load: loads.count == 1 ? load : nil,
      bytesPerSecond: rate, latencySeconds: latency, alphaSeconds: alpha, betaSecondsPerByte: beta, spread: spread,
      sampleCount: sampleCount, originIndex: originIndex,
      sizes: sizes.sorted { ($0.streamCount, $0.messageBytes) < ($1.streamCount, $1.messageBytes) },
      gaps: gaps.sorted { (Self.key($0), $0.reason) < (Self.key($1), $1.reason) })
    return MeasuredLinks(
      name: earlier?.name ?? name, engine: "tcp", source: earlier?.source ?? source, nodeNames: names,
      origins: origins, snapshots: [snapshot],
      inside: inside.sorted { ($0.nodeIndex ?? -1) < ($1.nodeIndex ?? -1) }, collectives: earlier?.collectives ?? [])
  }

  /// Rows in order, whole rows and columns before single pairs.
  private static func key(_ gap: MeasuredLinks.Gap) -> Int {
    (gap.from ?? -1) * 1_000_000 + (gap.to ?? -1)
  }
}
