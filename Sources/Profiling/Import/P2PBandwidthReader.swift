import Documents

/// The matrices of p2pBandwidthLatencyTest, one of NVIDIA's CUDA samples: copies between the devices of a node.
///
/// GB/s is 10^9 bytes a second. With P2P writes and without P2P, row i is the time of copies from device i to device j;
/// with P2P reads, of copies from j to i. A bidirectional matrix holds the sum of both directions. The diagonal is of one
/// device's own memory and no link. Latencies are of the device's clock; those of the CPU, which only queues the copies,
/// are left out (cuda-samples ca37378, p2pBandwidthLatencyTest.cu).
enum P2PBandwidthReader {
  private static let largestDeviceCount = 1_024

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    var findings = Findings(engine: "p2pBandwidthLatencyTest", source: text.source)
    var index = 0
    var seen: Set<String> = []
    while index < text.lines.count {
      let title = text.lines[index]
      index += 1
      guard title.contains("P2P="), title.contains("Matrix ("), let test = test(titled: title) else { continue }
      let titleIndex = index - 1
      let rows = try matrix(in: text, at: &index, title: titleIndex)
      var inside = Findings.Inside(name: test.name, host: context.hosts.first, from: .device, to: .device)
      let links = rows.enumerated().map { row, cells in
        cells.enumerated().map { column, cell -> Double? in
          row == column || cell <= 0 ? nil : test.isLatency ? cell / 1e6 : cell * (test.isBidirectional ? 0.5e9 : 1e9)
        }
      }
      let turned = test.readsRemote ? rows.indices.map { column in links.map { $0[column] } } : links
      guard turned.contains(where: { $0.contains { $0 != nil } }) else { continue }
      inside.isBidirectional = test.isBidirectional
      if test.isLatency { inside.latencySeconds = turned } else { inside.bytesPerSecond = turned }
      findings.inside.append(inside)
      if !seen.insert(test.name).inserted {
        let note = "\(test.name) was measured several times; each is kept"
        if !findings.notes.contains(note) { findings.notes.append(note) }
      }
    }
    guard !findings.inside.isEmpty else {
      throw text.error("expected a matrix of at least two devices of p2pBandwidthLatencyTest" + text.failureQuotation)
    }
    return findings
  }

  private struct Test {
    let name: String
    let isBidirectional: Bool
    let isLatency: Bool
    let readsRemote: Bool
  }

  /// Such as `Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)`.
  private static func test(titled title: String) -> Test? {
    let isLatency = title.contains("Latency")
    guard isLatency ? title.contains("(us)") : title.contains("(GB/s)") else { return nil }
    let isBidirectional = title.contains("Bidirectional")
    let readsRemote = title.contains("P2P Reads")
    let direct = title.contains("P2P=Enabled") ? readsRemote ? "p2p_reads" : "p2p" : "through_host"
    let what = isLatency ? "latency" : isBidirectional ? "bidirectional_bandwidth" : "bandwidth"
    return Test(
      name: "device_to_device_\(what)_\(direct)", isBidirectional: isBidirectional, isLatency: isLatency,
      readsRemote: readsRemote)
  }

  /// The rows below a line `D\D 0 1 …` or `GPU 0 1 …`.
  private static func matrix(in text: ToolText, at index: inout Int, title: Int) throws(DocumentError) -> [[Double]] {
    while index < text.lines.count, text.lines[index].words.isEmpty { index += 1 }
    guard index < text.lines.count else { throw text.error(line: title, expected: "a matrix below this line") }
    let header = text.lines[index].words
    let columnCount = header.count - 1
    guard columnCount >= 1, columnCount <= largestDeviceCount, header[0] == "D\\D" || header[0] == "GPU",
      header.dropFirst().enumerated().allSatisfy({ $1 == "\($0)" })
    else { throw text.error(line: index, expected: "D\\D or GPU, and the devices' numbers") }
    index += 1
    var rows: [[Double]] = []
    while rows.count < columnCount {
      while index < text.lines.count, text.lines[index].words.isEmpty { index += 1 }
      guard index < text.lines.count else {
        throw text.error(
          line: title, expected: "\(columnCount) rows below this line, but the text ends after \(rows.count)")
      }
      let words = text.lines[index].words
      guard words.count == columnCount + 1, words[0] == "\(rows.count)" else {
        throw text.error(line: index, expected: "row \(rows.count) of \(columnCount) entries")
      }
      var row: [Double] = []
      for word in words.dropFirst() {
        guard let number = word.plainNumber else { throw text.error(line: index, expected: "numbers") }
        row.append(number)
      }
      rows.append(row)
      index += 1
    }
    return rows
  }
}
