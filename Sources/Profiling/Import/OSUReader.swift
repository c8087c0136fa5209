import Documents

/// The OSU micro-benchmarks: point-to-point bandwidth and latency, and the average latency of collectives.
///
/// `MB/s` is 10^6 bytes a second. Rows of sizes follow the header, whose second column is the average; `-f` appends
/// minimum, maximum and iterations, `-c` a word that says whether what arrived was right, `-z` percentiles. Every title
/// begins a test of its own, and under one title, every data type a measurement. A title with `-CUDA` or its kin is of
/// device memory. Neither hosts nor the number of ranks are printed (`c/util/osu_util_mpi.c` of OMB 7.4).
enum OSUReader {
  private typealias Kind = MeasuredLinks.CollectiveTimes.Kind

  /// What the words of the first line say it is.
  private enum Test {
    case bandwidth(isBidirectional: Bool)
    case latency
    case collective(Kind)
  }

  /// One test of a file, with one data type.
  private struct Section {
    let title: String
    /// Index of the title's line.
    let index: Int
    /// Nil for one that is not read.
    let test: Test?
    var rows: [(size: Int, value: Double)] = []
    /// Sizes at which the tool itself calls the results wrong.
    var wrongCount = 0

    /// Runs of one test are counted; a bandwidth and a latency may be of one pair.
    var name: String {
      switch test {
      case .bandwidth(let isBidirectional): isBidirectional ? "osu_bibw" : "osu_bw"
      case .latency: "osu_latency"
      case .collective(let kind): kind.rawValue
      case nil: title
      }
    }

    /// The same test from its next data type on.
    var next: Section { Section(title: title, index: index, test: test) }
  }

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    var findings = Findings(engine: "osu", source: text.source)
    let sections = try sections(of: text, findings: &findings)
    for (index, section) in sections.enumerated() {
      // Data types of one test are of the same hosts.
      let run = ImportContext.Run(
        index: Set(sections[..<index].filter { $0.name == section.name }.map(\.index)).subtracting([section.index])
          .count,
        count: Set(sections.filter { $0.name == section.name }.map(\.index)).count)
      try add(section, run: run, text: text, context: context, to: &findings)
    }
    if sections.count > 1 {
      findings.notes.insert(
        "holds \(sections.map { "\($0.name) (line \(text.number($0.index)))" }.joined(separator: ", "))", at: 0)
    }
    return findings
  }

  /// The tests of a file, each from its title on; those without rows are noted, unless there are no others.
  private static func sections(of text: ToolText, findings: inout Findings) throws(DocumentError) -> [Section] {
    var sections: [Section] = []
    for (index, line) in text.lines.enumerated() {
      let words = line.words
      if isTitle(words) {
        let title = "# " + words.drop { $0 == "#" }.joined(separator: " ")
        sections.append(Section(title: title, index: index, test: test(titled: title.lowercased())))
        continue
      }
      if words.prefix(2) == ["#", "Datatype:"], let last = sections.last, !last.rows.isEmpty {
        sections.append(last.next)
        continue
      }
      guard !sections.isEmpty, let first = words.first, let size = first.plainCount, words.count >= 2 else { continue }
      guard let value = words[1].plainNumber else {
        // Messages of other programs may begin with a number; a row has nothing but numbers.
        guard words.count == 2 else { continue }
        throw text.error(line: index, expected: "a size and a number")
      }
      if words.dropFirst(2).contains("Fail") {
        sections[sections.count - 1].wrongCount += 1
      } else if value > 0 {
        sections[sections.count - 1].rows.append((size, value))
      }
    }
    guard let first = sections.first else {
      throw text.error("expected a line \"# OSU … Test\"\(text.failureQuotation)")
    }
    let known = sections.filter { $0.test != nil }
    guard !known.isEmpty else {
      throw text.error(
        line: first.index,
        expected:
          "a test of bandwidth, latency, all-reduce, all-gather, reduce-scatter, all-to-all, broadcast or reduce"
      )
    }
    for section in sections where section.test == nil {
      findings.notes.append(
        "\"\(section.title.oneLine)\" of line \(text.number(section.index)) is a test that is not read")
    }
    for section in known where section.wrongCount > 0 {
      let sizes = section.wrongCount == 1 ? "1 size" : "\(section.wrongCount) sizes"
      findings.notes.append(
        "\(section.name) of line \(text.number(section.index)): results were wrong (Fail) at \(sizes), left out")
    }
    let filled = known.filter { !$0.rows.isEmpty }
    guard !filled.isEmpty else {
      let wrong = known.reduce(0) { $0 + $1.wrongCount }
      throw text.error(
        wrong > 0
          ? "all results of \"\(known[0].title.oneLine)\" were wrong (Fail)\(text.failureQuotation)"
          : "the table of \"\(known[0].title.oneLine)\" has no rows\(text.failureQuotation)")
    }
    for section in known where section.rows.isEmpty && section.wrongCount == 0 {
      findings.notes.append("\(section.name) of line \(text.number(section.index)) has no rows\(text.failureQuotation)")
    }
    return filled
  }

  static func isTitle(_ words: [String]) -> Bool {
    let words = words.drop { $0 == "#" }
    return words.first == "OSU" && words.contains("Test") && words.count <= 12
  }

  private static func add(
    _ section: Section, run: ImportContext.Run, text: ToolText, context: ImportContext, to findings: inout Findings
  ) throws(DocumentError) {
    let rows = section.rows, title = section.title
    func note(_ sentence: String) { if !findings.notes.contains(sentence) { findings.notes.append(sentence) } }
    let end: MeasuredLinks.InsideLinks.End =
      title.contains("MPI-") && !title.contains("-CXL") || title.contains("CCL") ? .device : .host
    switch section.test {
    case nil: break
    case .bandwidth(let isBidirectional):
      let share = isBidirectional ? 0.5 : 1
      if isBidirectional { note("both directions ran at once; half of the sum is each one's") }
      if let last = rows.last, last.size < TooSmall.leastPipelinedBytes {
        note(TooSmall.sentence(section.name, bytes: last.size))
      }
      context.place(
        rows.map { .init(messageBytes: $0.size, bytesPerSecond: $0.value * 1e6 * share) }, latencySeconds: nil,
        name: section.name, end: end, isBidirectional: isBidirectional, run: run, into: &findings)
    case .latency:
      context.place(
        [], latencySeconds: rows[0].value / 1e6, name: section.name, end: end, isBidirectional: false, run: run,
        into: &findings)
    case .collective(let kind):
      guard let rankCount = context.rankCount, rankCount > 1 else {
        throw text.error("\"\(title.oneLine)\" does not say how many ranks took part; give --ranks")
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
      note("times are averages over the ranks")
      if let sentence = TooSmall.note(collective.points, what: kind.rawValue) { note(sentence) }
    }
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
