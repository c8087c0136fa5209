import Documents

/// The tables of linux-rdma's perftest: `ib_write_bw`, `ib_read_bw`, `ib_send_bw` and their latency tests.
///
/// `MB/sec`, which new versions call `MiB/sec`, is 2^20 bytes a second, `Gb/sec` 10^9 bits (perftest_parameters.c,
/// 00b55b6). A bidirectional test prints the sum of
/// both directions. Server and client may be in one file, lines of both mixed: their tables are of the same traffic,
/// and of two values of a size the mean is taken. Other titles begin other runs. One LID or one GID at both ends is a loop.
enum PerftestReader {
  /// One run, from its title on; where server and client wrote into one file, of both.
  private struct Section {
    let title: String
    let index: Int
    var unit: (bytesPerSecond: Double, column: Int)?
    var values: [Int: [Double]] = [:]
    /// What identifies the queue pairs of each end.
    var local: Set<String> = []
    var remote: Set<String> = []
    /// The ports of each end: GIDs where they are printed, else the numbers that a subnet manager gave.
    var localPorts: Set<String> = []
    var remotePorts: Set<String> = []

    var isLatency: Bool { title.contains("Latency") }
    var isBidirectional: Bool { title.contains("Bidirectional") }
    /// One port at both ends. Server and client in one file name both ports at both ends.
    var isLoop: Bool {
      let kinds = Set(localPorts.map { $0.prefix(3) })
      return !localPorts.isEmpty && localPorts == remotePorts && kinds.count == localPorts.count
    }
    /// Whether the other is what the other end printed of the same traffic.
    func mirrors(_ other: Section) -> Bool {
      !local.isEmpty && title == other.title && local == other.remote && remote == other.local
    }
  }

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    let sections = try sections(of: text)
    guard let first = sections.first else {
      throw text.error("expected a title such as \"RDMA_Write BW Test\"" + text.failureQuotation)
    }
    var findings = Findings(engine: "perftest", source: text.source)
    let filled = sections.filter { !$0.values.isEmpty }
    guard !filled.isEmpty else {
      throw text.error(
        (first.unit == nil
          ? "expected the column names \"#bytes #iterations …\"" : "the table of perftest has no rows")
          + text.failureQuotation)
    }
    for section in sections where section.values.isEmpty {
      findings.notes.append("the run of line \(text.number(section.index)) has no rows" + text.failureQuotation)
    }
    if filled.count > 1 {
      findings.notes.append(
        "holds \(filled.map { "\(name(of: $0)) (line \(text.number($0.index)))" }.joined(separator: ", "))")
    }
    for (index, section) in filled.enumerated() {
      let run = ImportContext.Run(
        index: filled[..<index].count { $0.isLatency == section.isLatency },
        count: filled.count { $0.isLatency == section.isLatency })
      add(section, run: run, context: context, to: &findings)
    }
    return findings
  }

  private static func sections(of text: ToolText) throws(DocumentError) -> [Section] {
    var sections: [Section] = []
    var isLocal = true
    for (index, line) in text.lines.enumerated() {
      let words = line.words
      if isTitle(line) {
        // Server and client that write into one file print both titles before any row.
        if sections.last.map({ $0.values.isEmpty && $0.unit == nil && $0.title == line }) != true {
          sections.append(Section(title: line, index: index))
        }
        continue
      }
      if sections.isEmpty, words.first == "#bytes" { sections.append(Section(title: "", index: index)) }
      guard var section = sections.popLast() else { continue }
      defer { sections.append(section) }
      if words.first == "#bytes" {
        section.unit = try self.unit(ofHeader: line, isLatency: section.isLatency, text: text, index: index)
      } else if words.count > 3, words[1] == "address:", let place = words.firstIndex(of: "LID") {
        isLocal = words[0] == "local"
        let identity = words[place...].prefix(6).joined(separator: " ")
        let port = words[place + 1 < words.count ? place + 1 : place]
        // The number that a subnet manager gave the port: 0 on Ethernet, where it says nothing.
        let saysSomething = port.contains { !"0x".contains($0) }
        if isLocal {
          section.local.insert(identity)
          if saysSomething { section.localPorts.insert("LID \(port)") }
        } else {
          section.remote.insert(identity)
          if saysSomething { section.remotePorts.insert("LID \(port)") }
        }
      } else if words.count == 2, words[0] == "GID:", words[1].contains(where: { !"0:".contains($0) }) {
        if isLocal {
          section.localPorts.insert("GID \(words[1])")
        } else {
          section.remotePorts.insert("GID \(words[1])")
        }
      } else if let unit = section.unit, let size = words.first?.plainCount, words.count > unit.column {
        guard let value = words[unit.column].plainNumber else {
          throw text.error(line: index, expected: "a size and numbers")
        }
        if value > 0 { section.values[size, default: []].append(value * unit.bytesPerSecond) }
      }
    }
    // What the two ends printed of one run, in two files put together, is one measurement.
    var result: [Section] = []
    for section in sections {
      if let place = result.firstIndex(where: { section.mirrors($0) }) {
        result[place].values.merge(section.values) { $0 + $1 }
      } else {
        result.append(section)
      }
    }
    return result
  }

  private static func name(of section: Section) -> String {
    section.title.words.filter { $0 != "Test" && !$0.allSatisfy { $0 == "-" } }.joined(separator: " ").asName
      ?? "perftest"
  }

  private static func add(
    _ section: Section, run: ImportContext.Run, context: ImportContext, to findings: inout Findings
  ) {
    func note(_ sentence: String) { if !findings.notes.contains(sentence) { findings.notes.append(sentence) } }
    let rows = section.values.sorted { $0.key < $1.key }.map {
      (size: $0.key, value: $0.value.reduce(0, +) / Double($0.value.count))
    }
    if section.isLoop {
      note(
        "both ends are the same port, \(section.localPorts.sorted().joined(separator: ", ")): a loop over one card and "
          + "no link between nodes")
    }
    if section.isBidirectional { note("both directions ran at once; half of the printed sum is each one's") }
    if !section.isLatency, let last = rows.last, last.size < TooSmall.leastPipelinedBytes {
      note(TooSmall.sentence(name(of: section), bytes: last.size))
    }
    let share = section.isBidirectional ? 0.5 : 1
    context.place(
      section.isLatency ? [] : rows.map { .init(messageBytes: $0.size, bytesPerSecond: $0.value * share) },
      latencySeconds: section.isLatency ? rows[0].value : nil, name: name(of: section),
      isBidirectional: section.isBidirectional, isLoop: section.isLoop, run: run, into: &findings)
  }

  static func isTitle(_ line: String) -> Bool {
    let words = line.words
    return words.last == "Test" && (words.contains("BW") || words.contains("Latency"))
      && (words.first?.hasPrefix("RDMA_") == true || words.first?.hasPrefix("Send") == true || words.first == "Atomic")
  }

  /// What a value of the interesting column is in SI units, and which column that is.
  private static func unit(
    ofHeader line: String, isLatency: Bool, text: ToolText, index: Int
  ) throws(DocumentError) -> (Double, Int) {
    if isLatency {
      let columns = line.words
      // t_typical is the median; tests by duration print the average only.
      guard
        let column = columns.firstIndex(where: { $0.hasPrefix("t_typical[usec]") })
          ?? columns.firstIndex(where: { $0.hasPrefix("t_avg[usec]") })
      else { throw text.error(line: index, expected: "a column t_typical[usec] or t_avg[usec]") }
      return (1e-6, column)
    }
    // "BW peak[…]" and "BW average[…]" are one column each.
    let columns = line.replacing("BW peak", with: "BW_peak").replacing("BW average", with: "BW_average").words
    guard let column = columns.firstIndex(where: { $0.hasPrefix("BW_average[") }) else {
      throw text.error(line: index, expected: "a column BW average[…]")
    }
    switch columns[column].dropFirst("BW_average".count) {
    case "[MB/sec]", "[MiB/sec]": return (1_048_576, column)
    case "[Gb/sec]": return (125_000_000, column)
    default: throw text.error(line: index, expected: "BW average in MB/sec or Gb/sec")
    }
  }
}
