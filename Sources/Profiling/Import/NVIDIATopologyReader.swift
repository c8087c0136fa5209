import Documents

/// The matrix of `nvidia-smi topo -m`.
///
/// The header may be underlined by terminal sequences; what follows the matrix (affinities) varies by driver. Old
/// drivers name a network card in the header, new ones number it and give names in a legend.
enum NVIDIATopologyReader {
  static func isHeader(_ line: String) -> Bool {
    let words = line.words
    guard let first = words.first, first.hasPrefix("GPU"), words.count >= 2 else { return false }
    return first.dropFirst(3).allSatisfy(\.isNumber) && words[1] != "X" && NodeStructure.Path(word: words[1]) == nil
      && (words[1].hasPrefix("GPU") || words[1].hasPrefix("NIC") || words[1] == "CPU" || words[1].hasPrefix("mlx"))
  }

  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    guard let headerIndex = text.lines.firstIndex(where: isHeader) else {
      throw text.error("expected the header \"GPU0 GPU1 …\" of nvidia-smi topo -m")
    }
    let names = text.lines[headerIndex].words.prefix { $0 != "CPU" && $0 != "NUMA" }.map { $0 }
    guard Set(names).count == names.count, names.count <= 1_024 else {
      throw text.error(line: headerIndex, expected: "different names, at most 1024")
    }
    var paths: [String: [NodeStructure.Path?]] = [:]
    for (index, line) in text.lines.enumerated().dropFirst(headerIndex + 1) {
      let words = line.words
      guard let first = words.first, names.contains(first) else {
        if !words.isEmpty, words[0] == "Legend:" { break }
        continue
      }
      guard words.count > names.count else { throw text.error(line: index, expected: "\(names.count) cells") }
      var row: [NodeStructure.Path?] = []
      for (column, cell) in words[1...names.count].enumerated() {
        let path = NodeStructure.Path(word: cell)
        guard path != nil || cell == "X" && names[column] == first else {
          throw text.error(
            line: index, expected: "X, NV#, PIX, PXB, PHB, NODE or SYS in the column of \(names[column])")
        }
        row.append(path)
      }
      paths[first] = row
    }
    let devices = names.indices.filter { names[$0].hasPrefix("GPU") }
    let cards = names.indices.filter { !names[$0].hasPrefix("GPU") }
    var legend: [String: String] = [:]
    for line in text.lines {
      let words = line.words
      if words.count == 2, words[0].hasPrefix("NIC"), words[0].hasSuffix(":") {
        legend[String(words[0].dropLast())] = words[1].asName
      }
    }
    var rows: [[NodeStructure.Path?]] = []
    for index in devices {
      guard let row = paths[names[index]] else { throw text.error("the row of \(names[index]) is missing") }
      rows.append(row)
    }
    var findings = Findings(engine: "nvidia-smi topo", source: text.source)
    findings.structure = .node(
      NodeStructure(
        devices: devices.map { names[$0] }, networkCards: cards.map { legend[names[$0]] ?? names[$0] },
        deviceToDevice: rows.map { row in devices.map { row[$0] } },
        deviceToCard: rows.map { row in cards.map { row[$0] } }))
    return findings
  }
}
