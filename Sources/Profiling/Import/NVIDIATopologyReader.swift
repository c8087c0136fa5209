import Documents

/// The matrix of `nvidia-smi topo -m`, or the one of link types of AMD's `rocm-smi --showtopo`.
///
/// The header may be underlined by terminal sequences; what follows the matrix (affinities) varies by driver. Old
/// drivers name a network card in the header, new ones number it and give names in a legend.
/// AMD's tool prints other matrices with the same header before that of types, and 0 where a device meets itself.
enum NVIDIATopologyReader {
  static func isHeader(_ line: String) -> Bool {
    let words = line.words
    guard let first = words.first, first.hasPrefix("GPU"), words.count >= 2 else { return false }
    return first.dropFirst(3).allSatisfy(\.isNumber) && words[1] != "X" && NodeStructure.Path(word: words[1]) == nil
      && (words[1].hasPrefix("GPU") || words[1].hasPrefix("NIC") || words[1] == "CPU" || words[1].hasPrefix("mlx"))
  }

  static func findings(of text: ToolText) throws(DocumentError) -> Findings {
    let amdTitle = text.lines.firstIndex { $0.contains("Link Type between two GPUs") }
    if amdTitle == nil, let other = text.lines.first(where: { $0.contains("between two GPUs") }) {
      throw text.error(
        "recognised as rocm-smi's \"\(other.words.filter { !$0.hasPrefix("=") }.joined(separator: " ").oneLine)\"; "
          + "expected its link types, rocm-smi --showtopotype")
    }
    guard let headerIndex = text.lines.indices.dropFirst(amdTitle ?? 0).first(where: { isHeader(text.lines[$0]) })
    else {
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
        if !words.isEmpty, words[0] == "Legend:" || words[0].hasPrefix("===") { break }
        continue
      }
      guard words.count > names.count else { throw text.error(line: index, expected: "\(names.count) cells") }
      var row: [NodeStructure.Path?] = []
      for (column, cell) in words[1...names.count].enumerated() {
        let path = NodeStructure.Path(word: cell)
        guard path != nil || cell == (amdTitle == nil ? "X" : "0") && names[column] == first else {
          throw text.error(
            line: index, expected: "X, NV#, XGMI, PIX, PXB, PHB, NODE or SYS in the column of \(names[column])")
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
    var findings = Findings(engine: amdTitle == nil ? "nvidia-smi topo" : "rocm-smi", source: text.source)
    if paths.values.contains(where: { $0.contains(.pcie) }) {
      findings.notes.append("rocm-smi does not say whether a PCIe path crosses NUMA nodes")
    }
    findings.structure = .node(
      NodeStructure(
        devices: devices.map { names[$0] }, networkCards: cards.map { legend[names[$0]] ?? names[$0] },
        deviceToDevice: rows.map { row in devices.map { row[$0] } },
        deviceToCard: rows.map { row in cards.map { row[$0] } }))
    return findings
  }
}
