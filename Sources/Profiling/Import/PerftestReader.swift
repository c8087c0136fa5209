import Documents

/// The tables of linux-rdma's perftest: `ib_write_bw`, `ib_read_bw`, `ib_send_bw` and their latency tests.
///
/// `MB/sec` is 2^20 bytes a second, `Gb/sec` 10^9 bits (perftest_parameters.c). A bidirectional test prints the sum of
/// both directions. Server and client may be in one file, lines of both mixed: their tables are of the same traffic,
/// and of two values of a size the mean is taken.
enum PerftestReader {
  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    guard let title = text.lines.first(where: { isTitle($0) }) else {
      throw text.error("expected a title such as \"RDMA_Write BW Test\"")
    }
    let isBidirectional = title.contains("Bidirectional"), isLatency = title.contains("Latency")
    var unit: (bytesPerSecond: Double, column: Int)?
    var values: [Int: [Double]] = [:]
    var addresses: (local: Set<String>, remote: Set<String>) = ([], [])
    for (index, line) in text.lines.enumerated() {
      let words = line.words
      if words.first == "#bytes" {
        unit = try self.unit(ofHeader: line, isLatency: isLatency, text: text, index: index)
      } else if words.count > 3, words[1] == "address:", let place = words.firstIndex(of: "LID") {
        // The number that a subnet manager gave the port: 0 on Ethernet, where it says nothing.
        let identifier = words[place + 1 < words.count ? place + 1 : place]
        if identifier.contains(where: { !"0x".contains($0) }) {
          if words[0] == "local" { addresses.local.insert(identifier) } else { addresses.remote.insert(identifier) }
        }
      } else if let unit, let size = words.first?.plainCount, words.count > unit.column {
        guard let value = words[unit.column].plainNumber else {
          throw text.error(line: index, expected: "a size and numbers")
        }
        if value > 0 { values[size, default: []].append(value * unit.bytesPerSecond) }
      }
    }
    let rows = values.sorted { $0.key < $1.key }.map {
      (size: $0.key, value: $0.value.reduce(0, +) / Double($0.value.count))
    }
    guard unit != nil else { throw text.error("expected the column names \"#bytes #iterations …\"") }
    guard let first = rows.first else { throw text.error("the table of perftest has no rows") }
    var findings = Findings(engine: "perftest", source: text.source)
    var context = context
    if context.hosts.count != 2, !addresses.local.isEmpty, addresses.local == addresses.remote {
      findings.notes.append("both ends are the same port, LID \(addresses.local.sorted().joined(separator: ", "))")
      context.hosts = ["node-0", "node-0"]
    }
    if isBidirectional { findings.notes.append("both directions ran at once; half of the printed sum is each one's") }
    let name =
      title.words.filter { $0 != "Test" && !$0.allSatisfy { $0 == "-" } }.joined(separator: " ").asName ?? "perftest"
    context.place(
      isLatency
        ? [] : rows.map { .init(messageBytes: $0.size, bytesPerSecond: $0.value * (isBidirectional ? 0.5 : 1)) },
      latencySeconds: isLatency ? first.value : nil, name: name.asName ?? "perftest", isBidirectional: isBidirectional,
      into: &findings)
    return findings
  }

  static func isTitle(_ line: String) -> Bool {
    let words = line.words
    return words.last == "Test" && (words.contains("BW") || words.contains("Latency"))
      && (words.first?.hasPrefix("RDMA_") == true || words.first == "Send" || words.first == "Atomic")
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
