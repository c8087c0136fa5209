import Documents
import JSONText

/// NVIDIA's nvbandwidth, text and JSON: copies inside one node, between devices and between host and devices.
///
/// GB/s is 10^9 bytes a second. The arrow in a description says which of row and column is the source; here rows are
/// always sources. Entries of 0 and "N/A" are no measurements. Tests of latency have nanoseconds in the same fields.
enum NVBandwidthReader {
  /// One matrix as printed.
  private struct Matrix {
    let test: String
    let description: String
    var rows: [[Double?]] = []
  }

  // MARK: Text

  static func findings(of text: ToolText, context: ImportContext) throws(DocumentError) -> Findings {
    var findings = Findings(engine: "nvbandwidth", source: text.source)
    var test = ""
    // A matrix without a line "Running …" before it is called after the "SUM …" behind it.
    var matrices: [(matrix: Matrix, line: Int)] = []
    var index = 0
    while index < text.lines.count {
      let line = text.lines[index], words = line.words
      index += 1
      if words.first == "Running", words.count == 2 {
        test = String(words[1].last == "." ? words[1].dropLast() : words[1][...]).asName ?? ""
      } else if words.first == "SUM", words.count >= 3, let sum = words.last?.plainNumber, let last = matrices.last {
        let name = words[1].asName ?? ""
        if last.matrix.test.isEmpty {
          matrices[matrices.count - 1].matrix = Matrix(
            test: name, description: last.matrix.description, rows: last.matrix.rows)
        }
        let entries = last.matrix.rows.flatMap { $0.compactMap { $0 } }
        if abs(entries.reduce(0, +) - sum) > 0.0051 * Double(entries.count + 1) {
          findings.notes.append("\(name): the matrix does not add up to the SUM that is printed")
        }
      } else if line.contains("(column)"), line.contains("(GB/s)") || line.contains("(ns)") {
        var matrix = Matrix(test: test, description: line)
        let titleIndex = index - 1
        guard index < text.lines.count, text.lines[index].words.allSatisfy({ $0.plainCount != nil }),
          !text.lines[index].words.isEmpty
        else { throw text.error(line: titleIndex, expected: "a line of column numbers after the description") }
        let columnCount = text.lines[index].words.count
        index += 1
        while index < text.lines.count, let first = text.lines[index].words.first, first.plainCount != nil {
          let cells = text.lines[index].words.dropFirst()
          guard cells.count == columnCount, columnCount <= 1_024, matrix.rows.count < 1_024 else {
            throw text.error(line: index, expected: "\(columnCount) entries after the row's number")
          }
          var row: [Double?] = []
          for cell in cells {
            guard cell == "N/A" || cell.plainNumber != nil else {
              throw text.error(line: index, expected: "numbers or N/A")
            }
            row.append(cell.plainNumber)
          }
          matrix.rows.append(row)
          index += 1
        }
        guard !matrix.rows.isEmpty else { throw text.error(line: titleIndex, expected: "rows after the description") }
        matrices.append((matrix, titleIndex))
      }
    }
    for (matrix, _) in matrices { append(matrix, host: context.hosts.first, to: &findings) }
    guard !findings.inside.isEmpty else { throw text.error("expected at least one matrix of nvbandwidth") }
    return findings
  }

  // MARK: JSON

  static func findings(of json: JSON, source: String, context: ImportContext) throws(DocumentError) -> Findings {
    var findings = Findings(engine: "nvbandwidth", source: source)
    guard let report = json.value(at: "nvbandwidth") else {
      throw DocumentError(source: source, location: "", expected: "expected the key \"nvbandwidth\"", found: nil)
    }
    var skipped: [String: Int] = [:]
    for (index, entry) in report.values(at: "testcases").enumerated() {
      func fault(_ sentence: String) -> DocumentError {
        DocumentError(source: source, location: "/nvbandwidth/testcases/\(index)", expected: sentence, found: nil)
      }
      guard let name = entry.value(at: "name")?.textValue?.asName else { throw fault("expected a name") }
      let status = entry.value(at: "status")?.textValue ?? "no status"
      guard status == "Passed" else {
        skipped[status.oneLine, default: 0] += 1
        continue
      }
      guard let description = entry.value(at: "bandwidth_description")?.textValue else { continue }
      var matrix = Matrix(test: name, description: description)
      for row in entry.values(at: "bandwidth_matrix") {
        guard case .array(let cells) = row, cells.count <= 1_024, matrix.rows.count < 1_024,
          matrix.rows.first.map({ $0.count == cells.count }) ?? !cells.isEmpty
        else { throw fault("expected rows of equal length, at most 1024") }
        var values: [Double?] = []
        for cell in cells {
          guard cell.textValue == "N/A" || cell.numberValue != nil else { throw fault("expected numbers or \"N/A\"") }
          values.append(cell.numberValue)
        }
        matrix.rows.append(values)
      }
      // Both directions and their sum stand below one another, under the description of the last.
      if description.contains("Total"), matrix.rows.count.isMultiple(of: 3) {
        matrix.rows = Array(matrix.rows.suffix(matrix.rows.count / 3))
      }
      if !matrix.rows.isEmpty { append(matrix, host: context.hosts.first, to: &findings) }
    }
    for (status, count) in skipped.sorted(by: { $0.key < $1.key }) {
      findings.notes.append("\(count) tests with status \(status) left out")
    }
    guard !findings.inside.isEmpty else {
      throw DocumentError(
        source: source, location: "/nvbandwidth/testcases", expected: "expected at least one test that passed",
        found: nil)
    }
    return findings
  }

  // MARK: Meaning

  private static func append(_ matrix: Matrix, host: String?, to findings: inout Findings) {
    let name = matrix.test.isEmpty ? "nvbandwidth" : matrix.test
    if name.hasPrefix("multinode_") {
      findings.notes.append("\(name) is of the devices of several nodes and not of the inside of one; left out")
      return
    }
    guard let match = matrix.description.firstMatch(of: /([CG]PU)\(row\) (<->|->|<-) ([CG]PU)\(column\)/) else {
      findings.notes.append("\(name) is of memory and not of links; left out")
      return
    }
    let row: MeasuredLinks.InsideLinks.End = match.1 == "CPU" ? .host : .device
    let column: MeasuredLinks.InsideLinks.End = match.3 == "CPU" ? .host : .device
    let isLatency = matrix.description.contains("(ns)")
    // In both directions at once, the test's name says which of them the figure is of.
    let isBidirectional = match.2 == "<->" && !isLatency
    let isFromColumn = match.2 == "<-" || isBidirectional && row == .host && name.contains("to_host")
    let isSum = isBidirectional && matrix.description.contains("Total")
    let scale = isLatency ? 1e-9 : isSum ? 0.5e9 : 1e9
    var rows = matrix.rows.map { $0.map { entry in entry.flatMap { $0 > 0 ? $0 * scale : nil } } }
    if isFromColumn {
      rows = rows[0].indices.map { column in rows.map { $0[column] } }
    }
    var inside = Findings.Inside(
      name: name, host: host, from: isFromColumn ? column : row, to: isFromColumn ? row : column)
    inside.isBidirectional = isBidirectional
    if isLatency { inside.latencySeconds = rows } else { inside.bytesPerSecond = rows }
    findings.inside.append(inside)
  }
}

/// The JSON object in a log: from a line that begins with a brace to the brace that closes it.
func embeddedObject(in text: ToolText) -> [UInt8]? {
  let bytes = text.bytes
  var attempts = 0
  var lineStart = 0
  while lineStart < bytes.count, attempts < 16 {
    if bytes[lineStart] == UInt8(ascii: "{"), let end = closingBrace(of: bytes, from: lineStart) {
      attempts += 1
      let object = Array(bytes[lineStart...end])
      if (try? JSON(parsing: object)) != nil { return object }
    }
    guard let next = bytes[lineStart...].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    lineStart = next + 1
  }
  return nil
}

private func closingBrace(of bytes: [UInt8], from start: Int) -> Int? {
  var depth = 0
  var isInString = false, isEscaped = false
  for index in start..<bytes.count {
    let byte = bytes[index]
    if isInString {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte
        == UInt8(ascii: "\"")
      {
        isInString = false
      }
      continue
    }
    switch byte {
    case UInt8(ascii: "\""): isInString = true
    case UInt8(ascii: "{"): depth += 1
    case UInt8(ascii: "}"):
      depth -= 1
      if depth == 0 { return index }
    default: break
    }
  }
  return nil
}
