import Documents

/// The table that the programs of NVIDIA's nccl-tests print, in all its layouts.
///
/// Sizes are bytes, times microseconds, GB/s 10^9 bytes a second. Columns come and go: old versions leave the cells of
/// `redop` and `root` blank, `-I 1` adds columns to each half, `-S 1` one at the end, and wide numbers lose decimals.
/// So a time is taken to be one when size over time is the algorithm bandwidth beside it. Which collective it was and
/// how many ranks took part is printed by some versions only; else it follows from bus over algorithm bandwidth,
/// reduction and root (nccl-tests, doc/PERFORMANCE.md), where that is unambiguous.
enum NCCLTestsReader {
  typealias Kind = MeasuredLinks.CollectiveTimes.Kind

  /// One row; seconds, nil where a half is missing.
  struct Row {
    let messageBytes: Int
    let outOfPlaceSeconds: Double
    let inPlaceSeconds: Double?
    /// Bus over algorithm bandwidth, with the uncertainty of its decimals.
    let busFactor: (value: Double, error: Double)
    let reduction: String?
    let root: Int?
  }

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    var findings = Findings(engine: "nccl-tests", source: text.source)
    var rows: [Row] = []
    var hosts: [Int: String] = [:]
    var program: Kind?
    var halfWidth = 4
    var hasHeader = false
    for (index, line) in text.lines.enumerated() {
      let words = line.words
      if words.first == "#" || words.first?.hasPrefix("#") == true {
        if let times = header(words) {
          if words.contains("cputime") {
            throw text.error(line: index, expected: "times of the collective; -C 1 prints those of the CPU")
          }
          hasHeader = true
          halfWidth = times
        } else if let (rank, host) = device(words) {
          hosts[rank] = host
        }
      }
      if line.contains("Out of bounds values"), !line.hasSuffix("OK") {
        findings.notes.append("results were wrong, nccl-tests says: \(words.dropFirst().joined(separator: " "))")
      }
      if program == nil { program = kind(ofProgramIn: line) }
      guard hasHeader, let size = words.first?.plainCount, words.count >= 6 else { continue }
      // The warm-up rows of tiny sizes are printed as size 0.
      guard size > 0 else { continue }
      guard let row = row(words, size: size, halfWidth: halfWidth) else {
        throw text.error(line: index, expected: "size, count, type, time, algbw and busbw that agree")
      }
      rows.append(row)
    }
    guard hasHeader else { throw text.error("expected the table of nccl-tests, but no line has its column names") }
    guard let last = rows.last else { throw text.error("the table of nccl-tests has no rows") }

    let stated = hosts.keys.max().map { $0 + 1 } ?? context.rankCount
    var kind = program ?? context.collective
    if kind == nil {
      kind = guessed(last) ?? Self.kind(ofFile: text.source)
      if let kind {
        findings.notes.append("which collective it was is not printed; it is taken to be \(kind.rawValue)")
      }
    }
    guard let kind else {
      throw text.error("which collective it was is not printed and does not follow from the table; give --collective")
    }
    guard let rankCount = stated ?? ranks(of: kind, rows: rows, findings: &findings) else {
      throw text.error("the ranks are not listed and do not follow from the table; give --ranks")
    }
    guard (2...134_217_728).contains(rankCount) else { throw text.error("expected a collective of at least 2 ranks") }
    if let row = rows.min(by: { $0.busFactor.error < $1.busFactor.error }),
      abs(row.busFactor.value - kind.busFactor(rankCount: rankCount)) > row.busFactor.error + 0.01
    {
      throw text.error(
        "bus over algorithm bandwidth is \(row.busFactor.value) and not that of \(kind.rawValue) of \(rankCount) ranks")
    }
    let isComplete = hosts.count == rankCount
    var names: [String] = []
    for rank in hosts.keys.sorted() {
      if let host = hosts[rank], !names.contains(host) { names.append(host) }
    }
    for isInPlace in [false, true] {
      let points = rows.compactMap { row in
        (isInPlace ? row.inPlaceSeconds : row.outOfPlaceSeconds).map {
          MeasuredLinks.CollectiveTimes.Point(messageBytes: row.messageBytes, seconds: $0)
        }
      }
      guard !points.isEmpty else { continue }
      var collective = Findings.Collective(kind: kind, rankCount: rankCount)
      collective.nodeCount = isComplete ? names.count : context.nodeCount
      collective.hosts = isComplete ? names : nil
      collective.isInPlace = isInPlace
      collective.points = points
      findings.collectives.append(collective)
    }
    if isComplete, rankCount == 2, names.count == 2, let first = findings.collectives.first {
      findings.pairs += pairs(of: first, hosts: names)
    }
    return findings
  }

  /// A collective of one rank on each of two nodes is a measurement of their link: bytes over
  /// seconds times the factor of bus bandwidth go each way.
  static func pairs(of collective: Findings.Collective, hosts: [String]) -> [Findings.Pair] {
    switch collective.kind {
    case .allReduce, .allGather, .reduceScatter, .allToAll, .sendReceive:
      let factor = collective.kind.busFactor(rankCount: 2)
      let points = collective.points.map {
        Findings.Point(messageBytes: $0.messageBytes, bytesPerSecond: Double($0.messageBytes) / $0.seconds * factor)
      }
      let trust: MeasuredLinks.Trust = collective.kind == .sendReceive ? .idle : .collective
      return [(0, 1), (1, 0)].map {
        Findings.Pair(from: hosts[$0.0], to: hosts[$0.1], points: points, trust: trust)
      }
    case .broadcast, .reduce, .gather, .scatter: return []
    }
  }

  /// The number of columns of a half, if these are the words of the table's header.
  private static func header(_ words: [String]) -> Int? {
    guard words.contains("size"), words.contains("algbw"), words.contains("busbw") else { return nil }
    let times = words.indices.filter { words[$0] == "time" || words[$0] == "cputime" }
    return times.count == 2 ? times[1] - times[0] : 4
  }

  /// `#  Rank  3 Group  0 Pid 1 on HOST device  3 [0x01] NAME`.
  private static func device(_ words: [String]) -> (rank: Int, host: String)? {
    guard let place = words.firstIndex(of: "Rank"), place + 1 < words.count, let rank = words[place + 1].plainCount,
      rank < 1_000_000, let on = words.firstIndex(of: "on"), on + 1 < words.count, let host = words[on + 1].asName
    else { return nil }
    return (rank, host)
  }

  private static func row(_ words: [String], size: Int, halfWidth: Int) -> Row? {
    // Size, count and type, then perhaps reduction and root.
    for start in 3...5 where start + 2 < words.count {
      guard let half = half(words, at: start, size: size) else { continue }
      let second = Self.half(words, at: start + halfWidth, size: size)
      let between = words[3..<start]
      return Row(
        messageBytes: size, outOfPlaceSeconds: half.seconds, inPlaceSeconds: second?.seconds,
        busFactor: half.busFactor, reduction: between.first { Int($0) == nil },
        root: between.compactMap { Int($0) }.last)
    }
    return nil
  }

  /// Time, algorithm and bus bandwidth at a place, if they agree with the size: bandwidths have two decimals.
  private static func half(_ words: [String], at start: Int, size: Int) -> (
    seconds: Double, busFactor: (Double, Double)
  )? {
    guard start + 2 < words.count, let microseconds = words[start].plainNumber, microseconds > 0,
      let algorithm = words[start + 1].plainNumber, let bus = words[start + 2].plainNumber
    else { return nil }
    let computed = Double(size) / microseconds / 1e3
    guard abs(computed - algorithm) <= 0.011 + 0.01 * algorithm else { return nil }
    // Each of the two may be off by half a unit of its last decimal.
    let error = 0.0055 * (1 + bus / max(algorithm, 0.01)) / algorithm
    return (microseconds / 1e6, algorithm > 0 ? (bus / algorithm, error) : (0, .infinity))
  }

  // MARK: What is not printed

  private static let programs: [(String, Kind)] = [
    ("all_reduce", .allReduce), ("allreduce", .allReduce), ("reduce_scatter", .reduceScatter),
    ("reducescatter", .reduceScatter), ("all_gather", .allGather), ("allgather", .allGather),
    ("alltoall", .allToAll), ("all_to_all", .allToAll), ("sendrecv", .sendReceive), ("broadcast", .broadcast),
    ("scatter", .scatter), ("gather", .gather), ("reduce", .reduce),
  ]

  /// The collective of a program's name such as `all_reduce_perf` in a line of a log; NCCL's own messages name
  /// collectives as well, so the program's ending counts.
  static func kind(ofProgramIn line: String) -> Kind? {
    line.contains("_perf") ? programs.first { line.contains("\($0.0)_perf") }?.1 : nil
  }

  /// The collective that a file is called after.
  static func kind(ofFile path: String) -> Kind? {
    let name = path.split(separator: "/").last?.lowercased() ?? ""
    return programs.first { name.contains($0.0) }?.1
  }

  /// The kind that a row can only be of.
  private static func guessed(_ row: Row) -> Kind? {
    let factor = row.busFactor
    let reduces = row.reduction != nil && row.reduction != "none"
    if factor.value > 1 + factor.error { return .allReduce }
    if factor.value < 1 - factor.error { return reduces ? .reduceScatter : nil }
    guard let root = row.root, abs(factor.value - 1) <= factor.error else { return nil }
    // All-reduce of two ranks has the factor 1 as well, so a reduction without root stays open.
    return root < 0 ? nil : reduces ? .reduce : .broadcast
  }

  /// The ranks that bus over algorithm bandwidth implies, if only one number does within the decimals printed.
  private static func ranks(
    of kind: Kind, rows: [Row], findings: inout Findings
  ) -> Int? {
    // All-reduce: 2(n − 1)/n; the others with a factor: (n − 1)/n.
    let whole: Double
    switch kind {
    case .allReduce: whole = 2
    case .allGather, .reduceScatter, .allToAll, .gather, .scatter: whole = 1
    case .broadcast, .reduce, .sendReceive: return nil
    }
    var least = 2.0, most = 1e6
    for (factor, error) in rows.map(\.busFactor) where error < 0.01 {
      let low = whole / (whole - (factor - error)), high = whole / (whole - (factor + error))
      least = max(least, low.rounded(.up))
      // Beyond the whole there is no upper limit.
      most = min(most, high > 0 ? high.rounded(.down) : 1e6)
    }
    guard least == most else { return nil }
    findings.notes.append("the ranks are not listed; \(Int(least)) follow from bus over algorithm bandwidth")
    return Int(least)
  }
}
