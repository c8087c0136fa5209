import Documents

/// One table of nccl-tests among the lines of a log: what stands before it, its rows, and how the test ended.
///
/// A suite writes several into one file, and each is a measurement of its own. It begins with the tool's version, the
/// line `nThread …` or a command, or, where those were cut off, with column names after another table's rows. Signs `#`
/// may be missing, lines may be wrapped or joined, and other programs' messages may stand between rows.
struct NCCLTestsTable {
  typealias Kind = MeasuredLinks.CollectiveTimes.Kind

  /// One half of a row.
  struct Half {
    let seconds: Double
    /// Bus over algorithm bandwidth, with the uncertainty of its decimals.
    let busFactor: (value: Double, error: Double)
    /// Elements that had a wrong value; nil where they were not checked.
    let wrongCount: Double?
    let isChecked: Bool

    /// Nil where size, time and algorithm bandwidth do not agree.
    ///
    /// - Parameters:
    ///   - roundOff: by how much the time may be off for its last digit.
    ///   - algorithm: GB/s, with two decimals.
    ///   - bus: GB/s, with two decimals.
    init?(
      bytes: Int, microseconds: Double, roundOff: Double, algorithm: Double, bus: Double, wrongCount: Double?,
      isChecked: Bool
    ) {
      let computed = Double(bytes) / microseconds / 1e3
      let share = 0.01 + min(roundOff / microseconds, 0.05)
      guard abs(computed - algorithm) <= 0.011 + share * algorithm else { return nil }
      // Each of the two may be off by half a unit of its last decimal.
      let error = 0.0055 * (1 + bus / max(algorithm, 0.01)) / algorithm
      seconds = microseconds / 1e6
      busFactor = algorithm > 0 ? (bus / algorithm, error) : (0, .infinity)
      self.wrongCount = wrongCount
      self.isChecked = isChecked
    }
  }

  /// One row.
  struct Row {
    let messageBytes: Int
    /// Data type, reduction and root: rows with others of them are another measurement.
    let variant: [String]
    let outOfPlace: Half
    let inPlace: Half?
    let reduction: String?
    let root: Int?

    /// Whether there are two halves that are of one collective of as many ranks, and count what is wrong.
    var halvesAgree: Bool {
      guard let inPlace else { return false }
      let difference = abs(outOfPlace.busFactor.value - inPlace.busFactor.value)
      return difference <= outOfPlace.busFactor.error + inPlace.busFactor.error + 0.01
        && (inPlace.wrongCount ?? 0).truncatingRemainder(dividingBy: 1) == 0
    }
  }

  /// Where it stands in the file, such as `line 12`; empty where it is all that the file holds.
  let place: String
  var program: Kind?
  /// A program whose measurements are none of a collective that is read, such as `alltoallv_perf`.
  var unreadProgram: String?
  /// The host of each rank.
  var hosts: [Int: String] = [:]
  /// Whether one rank was listed twice before any row: two processes that did not find each other.
  var hasRankTwice = false
  var headerCount = 0
  var hasProcessorTimes = false
  /// A complaint about the first row that does not agree with itself.
  var broken: DocumentError?
  var rows: [Row] = []
  /// What the tool says of wrong results; nil where all were right.
  var wrongResults: String?
  /// Where and in which words it is said that the test did not end well.
  var failure: String?
  private var isConcluded = false
  /// Columns of a half; nil where the header does not say.
  private var halfWidth: Int?
  /// Whether the fourth column of a half counts wrong elements; old versions print the largest error.
  var countsWrong = false

  init(place: String) { self.place = place }

  private var isEmpty: Bool { headerCount == 0 && hosts.isEmpty && failure == nil }

  // MARK: Reading

  /// All tables of a text, in order; what has neither ranks nor column names is none.
  static func all(in text: ToolText) -> [NCCLTestsTable] {
    var tables: [NCCLTestsTable] = []
    func table(at index: Int) -> NCCLTestsTable { NCCLTestsTable(place: "line \(text.number(index))") }
    var current = table(at: 0)
    func begin(_ index: Int) {
      if !current.isEmpty { tables.append(current) }
      current = table(at: index)
    }
    var taken: Set<Int> = []
    for (index, line) in text.lines.enumerated() where !taken.contains(index) {
      let words = content(line)
      guard let first = words.first else { continue }
      if line.contains("Collective test concluded") {
        current.isConcluded = true
        continue
      }
      if isStart(first, line) {
        // A process that did not find the others starts, too, before there are column names.
        if current.headerCount > 0 || current.failure != nil || current.isConcluded { begin(index) }
        current.take(programIn: line)
      } else if NCCLTestsReader.namesProgram(line), !line.contains("NCCL INFO"), !line.contains("NCCL WARN") {
        if !current.rows.isEmpty || current.isConcluded { begin(index) }
        current.take(programIn: line)
      }
      if ToolFailure.isFailure(line) {
        current.failure = current.failure ?? "line \(text.number(index)): \(text.quotation(index))"
      } else if line.contains("Out of bounds values") {
        if words.last != "OK" { current.wrongResults = words.joined(separator: " ") }
      } else if let (rank, host) = device(words) {
        if !current.rows.isEmpty { begin(index) }
        if current.hosts.updateValue(host, forKey: rank) != nil { current.hasRankTwice = true }
      } else if isHeader(words) {
        if !current.rows.isEmpty {
          let hosts = current.hosts
          begin(index)
          current.hosts = hosts
        }
        current.takeHeader(words, next: index + 1 < text.lines.count ? content(text.lines[index + 1]) : [])
      } else if current.headerCount > 0, isRow(words) {
        current.take(line, words, index: index, text: text, taken: &taken)
      }
    }
    if !current.isEmpty { tables.append(current) }
    return tables
  }

  /// What the name of a program says of the table, in a line that has one.
  mutating func take(programIn line: String) {
    guard program == nil, unreadProgram == nil else { return }
    program = NCCLTestsReader.kind(ofProgramIn: line)
    if program == nil { unreadProgram = NCCLTestsReader.unreadProgram(in: line) }
  }

  /// The words of a line without the sign that begins a remark.
  private static func content(_ line: String) -> [String] {
    var words = line.words
    if let first = words.first, first.hasPrefix("#"), first != "#wrong" {
      words[0] = String(first.drop { $0 == "#" })
      if words[0].isEmpty { words.removeFirst() }
    }
    return words
  }

  private static func isStart(_ first: String, _ line: String) -> Bool {
    first == "nThread" || line.contains("nccl-tests version") || line.contains("Collective test starting")
  }

  static func isHeader(_ words: [String]) -> Bool {
    words.contains("size") && words.contains("type") && (words.contains("count") || words.contains("algbw"))
  }

  /// `Rank  3 Group  0 Pid 1 on HOST device  3 [0x01] NAME`.
  private static func device(_ words: [String]) -> (rank: Int, host: String)? {
    guard let place = words.firstIndex(of: "Rank"), place + 1 < words.count, let rank = words[place + 1].plainCount,
      words.contains("Pid"), rank < 1_000_000, let on = words.firstIndex(of: "on"), on + 1 < words.count,
      let host = words[on + 1].asName
    else { return nil }
    return (rank, host)
  }

  /// Size, count and type.
  private static func isRow(_ words: [String]) -> Bool {
    words.count >= 3 && words[0].plainCount != nil && words[1].plainCount != nil && words[2].first?.isLetter == true
  }

  private mutating func takeHeader(_ words: [String], next: [String]) {
    headerCount += 1
    var words = words
    // A wrapped line goes on in the next one, perhaps in the middle of a word.
    if words.count(where: { $0.hasSuffix("time") }) < 2, next.first != "(B)", !Self.isRow(next), !next.isEmpty {
      let split = words.dropLast() + [(words.last ?? "") + next[0]] + next.dropFirst()
      words = split.count(where: { $0.hasSuffix("time") }) == 2 ? Array(split) : words + next
    }
    if words.contains("cputime") { hasProcessorTimes = true }
    if words.contains(where: { $0.hasSuffix("wrong") }) { countsWrong = true }
    let times = words.indices.filter { words[$0] == "time" || words[$0] == "cputime" }
    halfWidth = times.count == 2 ? times[1] - times[0] : nil
  }

  // MARK: Rows

  private mutating func take(_ line: String, _ words: [String], index: Int, text: ToolText, taken: inout Set<Int>) {
    // The warm-up rows of tiny sizes are printed as size 0.
    guard let size = words[0].plainCount, size > 0 else { return }
    if let row = row(words), row.inPlace != nil {
      rows.append(row)
      // Two rows whose line end was lost.
      var rest = words.dropFirst(6)
      while let start = rest.indices.first(where: { Self.isRow(Array(rest[$0...].prefix(3))) }) {
        rest = rest[start...]
        if let next = self.row(Array(rest)) { rows.append(next) }
        rest = rest.dropFirst(6)
      }
      return
    }
    for next in index + 1..<min(index + 4, text.lines.count) where !Self.isRow(text.lines[next].words) {
      // A terminal breaks lines anywhere, mail where a space was.
      for joint in ["", " "] {
        if let row = row((line + joint + text.lines[next]).words), row.halvesAgree {
          rows.append(row)
          taken.insert(next)
          return
        }
      }
    }
    if let row = row(words) {
      rows.append(row)
    } else if words.count >= 6 {
      broken =
        broken ?? text.error(line: index, expected: "size, count, type, time, algbw and busbw that agree")
    }
  }

  private func row(_ words: [String]) -> Row? {
    guard let size = words[0].plainCount else { return nil }
    // Size, count and type, then perhaps reduction and root.
    for start in 3...5 where start + 2 < words.count {
      guard let half = half(words, at: start, size: size) else { continue }
      let widths = halfWidth.map { [$0] } ?? [4, 3, 5, 6, 7, 8]
      let second = widths.lazy.compactMap { self.half(words, at: start + $0, size: size) }.first
      let between = words[3..<start]
      return Row(
        messageBytes: size, variant: Array(words[2..<start]), outOfPlace: half, inPlace: second,
        reduction: between.first { Int($0) == nil }, root: between.compactMap { Int($0) }.last)
    }
    return nil
  }

  /// Time, algorithm and bus bandwidth at a place, if they agree with the size: bandwidths have two decimals.
  private func half(_ words: [String], at start: Int, size: Int) -> Half? {
    guard start + 2 < words.count, let microseconds = words[start].plainNumber, microseconds > 0,
      let algorithm = words[start + 1].plainNumber, let bus = words[start + 2].plainNumber
    else { return nil }
    let check = start + 3 < words.count ? words[start + 3] : nil
    // A time of two decimals that is short has few digits.
    return Half(
      bytes: size, microseconds: microseconds, roundOff: words[start].contains(".") ? 0.0051 : 0.51,
      algorithm: algorithm, bus: bus, wrongCount: countsWrong ? check?.plainNumber : nil,
      isChecked: check?.plainNumber != nil)
  }
}
