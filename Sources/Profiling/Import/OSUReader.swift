import Documents

/// The OSU micro-benchmarks: point-to-point bandwidth and latency, and the average latency of collectives.
///
/// `MB/s` is 10^6 bytes a second. Rows of sizes follow the header, whose second column is the average; `-f` appends
/// minimum, maximum and iterations, `--validation` a word. A title with `-CUDA` or its kin is of device memory. Neither
/// hosts nor the number of ranks are printed.
enum OSUReader {
  private typealias Kind = MeasuredLinks.CollectiveTimes.Kind

  /// What the words of the first line say it is.
  private enum Test {
    case bandwidth(isBidirectional: Bool)
    case latency
    case collective(Kind)
  }

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    guard let titleIndex = text.lines.firstIndex(where: { $0.hasPrefix("# OSU ") }) else {
      throw text.error("expected a line \"# OSU … Test\"")
    }
    let title = text.lines[titleIndex]
    guard let test = test(titled: title.lowercased()) else {
      throw text.error(
        line: titleIndex,
        expected:
          "a test of bandwidth, latency, all-reduce, all-gather, reduce-scatter, all-to-all, broadcast or reduce")
    }
    var rows: [(size: Int, value: Double)] = []
    for (index, line) in text.lines.enumerated().dropFirst(titleIndex + 1) {
      let words = line.words
      guard let first = words.first, !first.hasPrefix("#"), let size = first.plainCount else { continue }
      guard words.count >= 2, let value = words[1].plainNumber else {
        throw text.error(line: index, expected: "a size and a number")
      }
      if value > 0 { rows.append((size, value)) }
    }
    guard let first = rows.first else { throw text.error("the table of \"\(title)\" has no rows") }
    var findings = Findings(engine: "osu", source: text.source)
    let end: MeasuredLinks.InsideLinks.End = title.contains("MPI-") || title.contains("CCL") ? .device : .host
    switch test {
    case .bandwidth(let isBidirectional):
      let share = isBidirectional ? 0.5 : 1
      if isBidirectional { findings.notes.append("both directions ran at once; half of the sum is each one's") }
      context.place(
        rows.map { .init(messageBytes: $0.size, bytesPerSecond: $0.value * 1e6 * share) }, latencySeconds: nil,
        name: isBidirectional ? "osu_bibw" : "osu_bw", end: end, isBidirectional: isBidirectional, into: &findings)
    case .latency:
      context.place(
        [], latencySeconds: first.value / 1e6, name: "osu_latency", end: end, isBidirectional: false, into: &findings)
    case .collective(let kind):
      guard let rankCount = context.rankCount, rankCount > 1 else {
        throw text.error("\"\(title)\" does not say how many ranks took part; give --ranks")
      }
      var collective = Findings.Collective(kind: kind, rankCount: rankCount)
      collective.nodeCount = context.nodeCount
      // OSU counts what one rank sends to one other, except where all ranks have the whole tensor.
      let factor: Int
      switch kind {
      case .allReduce, .broadcast, .reduce, .sendReceive: factor = 1
      case .allGather, .reduceScatter, .allToAll, .gather, .scatter: factor = kind == .reduceScatter ? 1 : rankCount
      }
      collective.points = rows.compactMap { row in
        let (bytes, overflow) = row.size.multipliedReportingOverflow(by: factor)
        return overflow || bytes > 1_000_000_000_000_000 ? nil : .init(messageBytes: bytes, seconds: row.value / 1e6)
      }
      findings.collectives.append(collective)
      findings.notes.append("times are averages over the ranks")
    }
    return findings
  }

  /// `OSU MPI-CUDA Bandwidth Test`; other point-to-point tests, such as one-sided ones and of many pairs, are others.
  private static func test(titled title: String) -> Test? {
    guard let match = title.firstMatch(of: /^# osu (?:mpi|nccl|rccl|xccl)(?:-[a-z]+)? (.*?) (?:latency |)test/) else {
      return nil
    }
    switch String(match.1) {
    case "bandwidth": return .bandwidth(isBidirectional: false)
    case "bi-directional bandwidth", "bidirectional bandwidth": return .bandwidth(isBidirectional: true)
    case "latency", "": return .latency
    case let name:
      let names: [(String, Kind)] = [
        ("all-to-all", .allToAll), ("alltoall", .allToAll), ("allreduce", .allReduce), ("all-reduce", .allReduce),
        ("allgather", .allGather), ("all-gather", .allGather), ("reduce_scatter", .reduceScatter),
        ("reduce-scatter", .reduceScatter), ("broadcast", .broadcast), ("reduce", .reduce), ("gather", .gather),
        ("scatter", .scatter),
      ]
      return names.first { name.hasPrefix($0.0) }.map { .collective($0.1) }
    }
  }
}
