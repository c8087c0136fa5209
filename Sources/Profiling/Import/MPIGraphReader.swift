import Documents

/// The report of LLNL's mpiGraph: every process sends to one and receives from another at once, for all pairs.
///
/// "MBsec" is 2^20 bytes a second (mpiGraph.c divides by 1024 · 1024). A row of the Send table is a sender; a row of
/// the Recv table is a receiver, so Send[i][j] and Recv[j][i] are two measurements of one direction, whose mean is
/// taken. What processes of one host reach among each other is not a link between nodes and is left out.
enum MPIGraphReader {
  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    let separator = text.lines.first { $0.contains("mpiGraph") }
    guard let start = text.lines.firstIndex(where: { $0.hasPrefix("START mpiGraph") }) else {
      throw text.error("expected a line \"START mpiGraph\"\(separator == nil ? "" : "; the report is not complete")")
    }
    var messageBytes: Int?
    var sums: [Key: [Double]] = [:]
    var hosts: [String] = []
    var tableCount = 0
    var index = start + 1
    while index < text.lines.count, !text.lines[index].hasPrefix("END mpiGraph") {
      let cells = text.lines[index].split(separator: "\t").map(String.init)
      if cells.count == 2, cells[0] == "MsgSize" { messageBytes = cells[1].plainCount }
      guard cells.count >= 2, cells[0] == "Send" || cells[0] == "Recv" else {
        index += 1
        continue
      }
      let sends = cells[0] == "Send"
      var columns: [String] = []
      for cell in cells.dropFirst() {
        guard let host = host(cell) else { throw text.error(line: index, expected: "columns HOST:RANK") }
        columns.append(host)
        if !hosts.contains(host) { hosts.append(host) }
      }
      for row in columns.indices {
        index += 1
        guard index < text.lines.count else { throw text.error("the \(cells[0]) table ends after \(row) rows") }
        let values = text.lines[index].split(separator: "\t").map(String.init)
        let words = values.first?.words ?? []
        guard words.count == 2, words[1] == (sends ? "to" : "from"), Self.host(words[0]) == columns[row],
          values.count == columns.count + 1
        else {
          throw text.error(
            line: index, expected: "\(columns[row]):\(row) \(sends ? "to" : "from") and \(columns.count) rates")
        }
        for (column, value) in values.dropFirst().enumerated() {
          guard let rate = value.words.first?.plainNumber else { throw text.error(line: index, expected: "rates") }
          guard columns[row] != columns[column], rate > 0 else { continue }
          let key = sends ? Key(columns[row], columns[column]) : Key(columns[column], columns[row])
          sums[key, default: []].append(rate * 1_048_576)
        }
      }
      tableCount += 1
      index += 1
    }
    guard tableCount > 0 else { throw text.error("the report of mpiGraph has neither a Send nor a Recv table") }
    var findings = Findings(engine: "mpigraph", source: text.source)
    if index >= text.lines.count { findings.notes.append("the report does not end with END mpiGraph") }
    if hosts.count == 1 { findings.notes.append("all processes are on one host: there is no link between nodes") }
    for from in hosts {
      for to in hosts {
        guard let values = sums[Key(from, to)]?.sorted(), let low = values.first, let high = values.last else {
          continue
        }
        let mean = values.reduce(0, +) / Double(values.count)
        var pair = Findings.Pair(
          from: from, to: to, points: [.init(messageBytes: messageBytes ?? 0, bytesPerSecond: mean)], trust: .loaded)
        pair.sampleCount = values.count
        pair.spread = (high - low) / mean
        findings.pairs.append(pair)
      }
    }
    return findings
  }

  private struct Key: Hashable {
    let from: String
    let to: String
    init(_ from: String, _ to: String) {
      self.from = from
      self.to = to
    }
  }

  /// The host of `host:rank`.
  private static func host(_ cell: String) -> String? {
    guard let colon = cell.lastIndex(of: ":"), cell[cell.index(after: colon)...].allSatisfy(\.isNumber) else {
      return nil
    }
    return String(cell[..<colon]).asName
  }
}
