import Documents

/// Lines of a program's output with all that launchers, collectors and people put around them taken away.
///
/// The one place that does so, for every reader and before the format is recognised. Only a shape that the lines share
/// is cut off, see ``accepts(_:_:)``; what a line has beyond it is data and stays. Where prefixes name who printed a
/// line, the lines of each are put together, and of two that printed the same only one is kept.
struct PrintedLines {
  /// A line and where it stood in the file, from 1.
  struct Line {
    var text: String
    let number: Int
    /// Who printed it, as the prefix says; empty without one.
    var tag = ""
  }

  private(set) var lines: [Line]
  /// What was taken away, as sentences.
  private(set) var notes: [String] = []
  /// Whether anything but sequences of terminals was taken away.
  private(set) var isChanged = false

  /// Lines that are looked at to find out which prefixes there are.
  private static let sampleCount = 4_000

  init(_ text: String) {
    lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated().map {
      Line(text: Self.plain(String($1)), number: $0 + 1)
    }
    if lines.first?.text.hasPrefix("\u{FEFF}") == true { lines[0].text.removeFirst() }
    dropFences()
    // A prefix may stand before another one: a quoted container's log of a launcher.
    for _ in 0..<6 {
      guard let shape = LinePrefix.allCases.first(where: accepts) else { break }
      strip(shape)
      dropFences()
    }
    dropIndentation()
    joinByTag()
  }

  /// A line without the sequences that colour, underline and retitle a terminal (ECMA-48: ESC `[`, parameters, a letter;
  /// ESC `]` to BEL), and without backspaces and other controls but tabs.
  private static func plain(_ line: String) -> String {
    guard line.utf8.contains(where: { $0 < 32 && $0 != 9 || $0 == 127 }) else { return line }
    let rest = line.replacing(/\u{1B}\[[0-9;?]*[A-Za-z]/, with: "").replacing(
      /\u{1B}\][^\u{07}\u{1B}]*\u{07}/, with: "")
    return String(rest.unicodeScalars.filter { $0.value == 9 || $0.value >= 32 && $0.value != 127 })
  }

  /// Removes the fences of Markdown: lines of three backquotes or tildes, with a language at most.
  private mutating func dropFences() {
    let count = lines.count
    lines.removeAll { line in
      let words = line.text.words
      guard let first = words.first, words.count == 1, first.hasPrefix("```") || first.hasPrefix("~~~") else {
        return false
      }
      return first.drop { $0 == "`" || $0 == "~" }.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" }
    }
    if lines.count < count {
      isChanged = true
      note("fences of Markdown are left out")
    }
  }

  /// Removes the spaces that all lines begin with, as those of a block of Markdown.
  private mutating func dropIndentation() {
    var least = Int.max
    for line in lines where !line.text.allSatisfy({ $0 == " " || $0 == "\t" }) {
      least = min(least, line.text.utf8.prefix { $0 == UInt8(ascii: " ") }.count)
      if least == 0 { return }
    }
    guard least < Int.max else { return }
    for index in lines.indices { lines[index].text = String(lines[index].text.dropFirst(least)) }
    isChanged = true
  }

  private mutating func note(_ sentence: String) { if !notes.contains(sentence) { notes.append(sentence) } }

  /// Whether lines have a prefix of a shape.
  ///
  /// One that no tool prints counts wherever it occurs. Any other must stand before at least two of three lines from its
  /// first occurrence to its last, more often than there are names in it, and that stretch must be nearly all of the
  /// text or hold a line by which a tool is known.
  private func accepts(_ shape: LinePrefix) -> Bool {
    var first: Int?, last = 0, matched = 0, filled = 0, filledAtLast = 0, filledBeforeFirst = 0
    var tags: Set<Substring> = []
    var isKnown = false
    var rests: [Substring] = []
    for line in lines.prefix(Self.sampleCount) where !line.text.allSatisfy({ $0 == " " || $0 == "\t" }) {
      filled += 1
      guard let match = shape.match(line.text[...]) else { continue }
      if shape.isCertain { return true }
      if first == nil {
        first = filled
        filledBeforeFirst = filled - 1
      }
      last = filled
      filledAtLast = filled
      matched += 1
      tags.insert(match.tag)
      let rest = line.text.utf8.dropFirst(match.byteCount)
      rests.append(Substring(rest))
    }
    guard first != nil, matched >= 2, !shape.namesSource || matched >= 2 * tags.count else { return false }
    let stretch = filledAtLast - filledBeforeFirst
    guard 3 * matched >= 2 * stretch, last > 0 else { return false }
    if 4 * stretch >= 3 * filled { return true }
    for rest in rests {
      isKnown = ImportFormat.marked(by: String(Self.withoutPrefixes(rest))) != nil
      if isKnown { return true }
    }
    return false
  }

  /// A line without any prefixes at all.
  private static func withoutPrefixes(_ line: Substring) -> Substring {
    var line = line
    for _ in 0..<4 {
      guard let match = LinePrefix.allCases.lazy.compactMap({ $0.match(line) }).first else { break }
      line = Substring(line.utf8.dropFirst(match.byteCount)).drop { $0 == " " }
    }
    return line
  }

  private mutating func strip(_ shape: LinePrefix) {
    let matches = lines.map { shape.match($0.text[...]) }
    let rests = zip(lines, matches).map { line, match in
      match.map { String(Substring(line.text.utf8.dropFirst($0.byteCount))) }
    }
    // A space belongs to the prefix where every line has one; else it is the program's.
    let isSpaced = rests.allSatisfy { $0.map { $0.isEmpty || $0.first == " " } ?? true }
    for (index, match) in matches.enumerated() {
      guard let match, var rest = rests[index] else { continue }
      if isSpaced { rest = String(rest.dropFirst()) }
      if shape.namesSource {
        lines[index].tag += match.tag
        // Where two writes of one line were tagged each, the second tag stands in its middle.
        if match.tag.hasPrefix("["), rest.contains(match.tag) { rest = Self.joined(rest, at: match.tag) }
      }
      lines[index].text = rest
    }
    isChanged = true
    let example = matches.lazy.compactMap { $0?.tag }.first ?? ""
    note("\(matches.count { $0 != nil }) lines begin like \"\(String(example).oneLine)\", which is left out")
  }

  /// A line without a tag in its middle, where a space or the end follows it.
  private static func joined(_ line: String, at tag: Substring) -> String {
    var result = ""
    var rest = line[...]
    while let range = rest.firstRange(of: tag) {
      let next = rest[range.upperBound...].first
      result += rest[..<range.lowerBound]
      result += next == nil || next == " " || next == "\t" ? " " : rest[range]
      rest = rest[range.upperBound...]
    }
    return result + rest
  }

  /// Puts the lines of each source together, in the order in which the sources begin. A line without a tag belongs to
  /// the one before it.
  private mutating func joinByTag() {
    var order: [String] = []
    var streams: [String: [Line]] = [:]
    var current = lines.first { !$0.tag.isEmpty }?.tag ?? ""
    guard !current.isEmpty else { return }
    for line in lines {
      if !line.tag.isEmpty { current = line.tag }
      if streams[current] == nil { order.append(current) }
      streams[current, default: []].append(line)
    }
    guard order.count > 1 else { return }
    var result: [Line] = []
    var kept: [[String]] = []
    for tag in order {
      let stream = streams[tag] ?? []
      let texts = stream.map(\.text).filter { !$0.isEmpty }
      if texts.count >= 3, kept.contains(texts) {
        note("\"\(tag.oneLine)\" printed the same as another source and is left out")
        continue
      }
      kept.append(texts)
      result += stream
    }
    lines = result
  }
}
