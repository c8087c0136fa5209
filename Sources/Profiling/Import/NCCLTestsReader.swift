import Documents

/// The tables that the programs of NVIDIA's nccl-tests, and AMD's rccl-tests, print, in all their layouts.
///
/// Sizes are bytes, times microseconds, GB/s 10^9 bytes a second. Columns come and go: old versions leave the cells of
/// `redop` and `root` blank, `-I 1` adds columns to each half, `-S 1` one at the end, and wide numbers lose decimals.
/// So a time is taken to be one when size over time is the algorithm bandwidth beside it. Which collective it was and
/// how many ranks took part is printed by some versions only; else it follows from bus over algorithm bandwidth,
/// reduction and root (nccl-tests, doc/PERFORMANCE.md), where that is unambiguous. Rows whose results the tool counts as
/// wrong are left out, and ranks that did not find each other are refused.
enum NCCLTestsReader {
  typealias Kind = MeasuredLinks.CollectiveTimes.Kind
  private typealias Row = NCCLTestsTable.Row

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    let tables = NCCLTestsTable.all(in: text)
    guard tables.contains(where: { $0.headerCount > 0 || $0.failure != nil || !$0.hosts.isEmpty }) else {
      throw text.error(
        "expected the table of nccl-tests, but no line has its column names" + text.failureQuotation)
    }
    var findings = Findings(engine: "nccl-tests", source: text.source)
    var held: [String] = []
    var firstError: DocumentError?
    for table in tables {
      do throws(DocumentError) {
        held.append(try add(table, isAlone: tables.count == 1, context: context, to: &findings))
      } catch {
        firstError = firstError ?? error
        // A run that died before its table, of several, is worth a note and no more.
        findings.notes.append(
          "a table is left out: \([error.location, error.expected].filter { !$0.isEmpty }.joined(separator: ": "))")
      }
    }
    if let firstError, findings.collectives.isEmpty { throw firstError }
    if tables.count > 1 { findings.notes.insert("holds \(held.joined(separator: ", "))", at: 0) }
    return findings
  }

  /// What one table says, of a text or of a report in JSON.
  ///
  /// - Returns: what it is of, in words.
  static func add(
    _ table: NCCLTestsTable, isAlone: Bool, context: ImportContext, to findings: inout Findings
  ) throws(DocumentError) -> String {
    let source = findings.source
    func fault(_ sentence: String) -> DocumentError {
      DocumentError(source: source, location: isAlone ? "" : table.place, expected: sentence, found: nil)
    }
    if let program = table.unreadProgram, context.collective == nil {
      throw fault("\(program) measures no collective that is read")
    }
    if table.hasProcessorTimes {
      throw fault("expected times of the collective; -C 1 prints those of the CPU")
    }
    let isLone =
      table.hosts.keys.max() == 0
      || !table.rows.isEmpty && table.rows.allSatisfy { $0.outOfPlace.busFactor.value == 0 }
        && table.rows.contains { $0.outOfPlace.busFactor.error < 0.1 }
    if table.hasRankTwice || isLone {
      let what =
        table.hasRankTwice
        ? "rank \(table.hosts.keys.min() ?? 0) is listed twice: these are two runs of the same ranks, whose processes did not find each other"
        : "it ran with one rank, so nothing was sent; where several processes were started, they did not find each other"
      throw fault("\(what). Build nccl-tests with MPI=1 (make MPI=1) and start it with mpirun or srun --mpi")
    }
    if let broken = table.broken { throw broken }
    guard !table.rows.isEmpty else {
      throw fault(
        table.failure.map { "the test failed before its first row; \($0)" }
          ?? "the table of nccl-tests has no rows: it was cut off, or the test ended before the first")
    }
    if let failure = table.failure {
      findings.notes.append("the test failed after \(table.rows.count) rows; \(failure)")
    }
    if let words = table.wrongResults {
      // Old versions print the largest error and not how many results are wrong.
      guard table.countsWrong else { throw fault("results were wrong, nccl-tests says: \(words)") }
      findings.notes.append("results were wrong, nccl-tests says: \(words)")
    }
    let kind = try kind(of: table, context: context, isAlone: isAlone, findings: &findings, fault)
    let stated = table.hosts.keys.max().map { $0 + 1 } ?? context.rankCount
    guard let rankCount = stated ?? ranks(of: kind, rows: table.rows, findings: &findings) else {
      throw fault("the ranks are not listed and do not follow from the table; give --ranks")
    }
    guard (2...134_217_728).contains(rankCount) else { throw fault("expected a collective of at least 2 ranks") }
    if let row = table.rows.min(by: { $0.outOfPlace.busFactor.error < $1.outOfPlace.busFactor.error }),
      abs(row.outOfPlace.busFactor.value - kind.busFactor(rankCount: rankCount)) > row.outOfPlace.busFactor.error + 0.01
    {
      throw fault(
        "bus over algorithm bandwidth is \(row.outOfPlace.busFactor.value) and not that of \(kind.rawValue) of "
          + "\(rankCount) ranks")
    }
    let names = hosts(of: table, rankCount: rankCount, context: context)
    let before = findings.collectives.count
    var variants: [[String]] = []
    for row in table.rows where !variants.contains(row.variant) { variants.append(row.variant) }
    if variants.count > 1 {
      findings.notes.append(
        "rows of \(variants.count) data types, reductions or roots (\(variants.prefix(8).map { $0.joined(separator: " ") }.joined(separator: ", "))) are kept apart"
      )
    }
    for variant in variants {
      for isInPlace in [false, true] {
        let halves = table.rows.filter { $0.variant == variant }.compactMap { row in
          (isInPlace ? row.inPlace : row.outOfPlace).map { (size: row.messageBytes, half: $0) }
        }
        let points = points(halves.filter { $0.half.wrongCount ?? 0 == 0 }, findings: &findings)
        guard !points.isEmpty else { continue }
        var collective = Findings.Collective(kind: kind, rankCount: rankCount)
        collective.nodeCount = names?.count ?? context.nodeCount
        collective.hosts = names
        collective.isInPlace = isInPlace
        collective.points = points
        findings.collectives.append(collective)
      }
    }
    let wrongCount = table.rows.count { $0.outOfPlace.wrongCount ?? 0 > 0 || $0.inPlace?.wrongCount ?? 0 > 0 }
    if wrongCount > 0 {
      // What is right where most is wrong is right by chance.
      guard 2 * wrongCount <= table.rows.count, findings.collectives.count > before else {
        findings.collectives.removeSubrange(before...)
        throw fault(
          "\(wrongCount) of \(table.rows.count) rows have wrong results (#wrong)"
            + (table.wrongResults.map { ", nccl-tests says: \($0)" } ?? ""))
      }
      findings.notes.append(
        "\(wrongCount) of \(table.rows.count) rows have wrong results (#wrong) and are left out")
    }
    if let names, rankCount == 2, names.count == 2, before < findings.collectives.count {
      findings.pairs += pairs(of: findings.collectives[before], hosts: names)
    }
    if let note = TooSmall.note(findings.collectives[before].points, what: kind.rawValue) {
      findings.notes.append(note)
    }
    return "\(kind.rawValue) of \(rankCount) ranks\(table.place.isEmpty ? "" : " (\(table.place))")"
  }

  /// The nodes, in the order of their first ranks: as the tool lists them, or as the user names them.
  private static func hosts(of table: NCCLTestsTable, rankCount: Int, context: ImportContext) -> [String]? {
    if table.hosts.count == rankCount {
      var names: [String] = []
      for rank in table.hosts.keys.sorted() {
        if let host = table.hosts[rank], !names.contains(host) { names.append(host) }
      }
      return names
    }
    var names: [String] = []
    for host in context.hosts where !names.contains(host) { names.append(host) }
    guard table.hosts.isEmpty, !names.isEmpty, rankCount % names.count == 0,
      context.nodeCount.map({ $0 == names.count }) ?? true
    else { return nil }
    return names
  }

  /// One point of each size, ascending; of several times of a size the median one (the lower of two).
  private static func points(
    _ halves: [(size: Int, half: NCCLTestsTable.Half)], findings: inout Findings
  ) -> [MeasuredLinks.CollectiveTimes.Point] {
    var times: [Int: [Double]] = [:]
    for (size, half) in halves { times[size, default: []].append(half.seconds) }
    if times.count < halves.count {
      let note = "sizes were timed several times; the median counts"
      if !findings.notes.contains(note) { findings.notes.append(note) }
    }
    return times.sorted { $0.key < $1.key }.map { size, seconds in
      .init(messageBytes: size, seconds: seconds.sorted()[(seconds.count - 1) / 2])
    }
  }

  private static func kind(
    of table: NCCLTestsTable, context: ImportContext, isAlone: Bool, findings: inout Findings,
    _ fault: (String) -> DocumentError
  ) throws(DocumentError) -> Kind {
    if let kind = table.program ?? context.collective { return kind }
    let ranks = table.hosts.keys.max().map { $0 + 1 } ?? context.rankCount
    let named = isAlone ? kind(ofFile: findings.source) : nil
    guard let last = table.rows.last, let kind = guessed(last, rankCount: ranks, named: named) ?? named else {
      throw fault("which collective it was is not printed and does not follow from the table; give --collective")
    }
    let note = "which collective it was is not printed; it is taken to be \(kind.rawValue)"
    if !findings.notes.contains(note) { findings.notes.append(note) }
    return kind
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

  /// Whether a line names a program of nccl-tests.
  static func namesProgram(_ line: String) -> Bool { kind(ofProgramIn: line) != nil || unreadProgram(in: line) != nil }

  /// Programs whose ranks do not send alike (`alltoallv.cu`) or that are no collective (`hypercube.cu`, nccl-tests
  /// a0b82b2).
  static func unreadProgram(in line: String) -> String? {
    ["alltoallv_perf", "hypercube_perf"].first { line.contains($0) }
  }

  /// The collective that a file is called after.
  static func kind(ofFile path: String) -> Kind? {
    let name = path.split(separator: "/").last?.lowercased() ?? ""
    return programs.first { name.contains($0.0) }?.1
  }

  /// The kind that a row can only be of.
  ///
  /// All-reduce of two ranks and send-receive both print a reduction, no root and the factor 1 (`all_reduce.cu` and
  /// `sendrecv.cu`, nccl-tests a0b82b2); send-receive and all-to-all do not check results in place and print N/A there.
  private static func guessed(_ row: Row, rankCount: Int?, named: Kind?) -> Kind? {
    let factor = row.outOfPlace.busFactor
    let reduces = row.reduction != nil && row.reduction != "none"
    if factor.value > 1 + factor.error { return .allReduce }
    let isUnchecked = row.outOfPlace.isChecked && row.inPlace?.isChecked == false
    if factor.value < 1 - factor.error {
      // All-gather and all-to-all have one factor; only the former is checked in place.
      guard !reduces, row.outOfPlace.isChecked, row.root ?? 0 < 0 else { return reduces ? .reduceScatter : nil }
      return isUnchecked ? .allToAll : .allGather
    }
    guard abs(factor.value - 1) <= factor.error else { return nil }
    if let root = row.root, root >= 0 { return reduces ? .reduce : .broadcast }
    guard reduces else { return nil }
    if let named { return named }
    if let rankCount, rankCount > 2 { return .sendReceive }
    return isUnchecked ? .sendReceive : .allReduce
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
    for (factor, error) in rows.map(\.outOfPlace.busFactor) where error < 0.01 {
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
