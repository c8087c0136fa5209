/// What launchers, collectors of logs and mail put before every line of a program's output.
///
/// Shapes and where they come from: `N: ` of `srun --label`; `[J,R]<stdout>:` of Open MPI's `--tag-output`; `[N] ` of
/// MPICH's `-prepend-rank` and of MPI operators; `[rankN]:` and `[defaultN]:` of torchrun; `HOST: ` of pdsh and clush;
/// `[pod/NAME/CONTAINER] ` of `kubectl logs --prefix`; `NAME  | ` of Docker Compose; `(NAME pid=N) ` of Ray;
/// `HOST PROGRAM[PID]: ` of journald; RFC 3339 and syslog time stamps; `> ` of quoted text.
enum LinePrefix: CaseIterable {
  case quote
  case time
  case clock
  case journal
  case tagged
  case ranked
  case pod
  case ray
  case bracketed
  case label
  case bar
  case host

  /// Whether no tool whose output is read begins a line so, so that one occurrence is enough.
  var isCertain: Bool {
    switch self {
    case .time, .journal, .tagged, .ranked, .pod, .ray: true
    case .quote, .clock, .bracketed, .label, .bar, .host: false
    }
  }

  /// Whether the prefix names who printed the line.
  var namesSource: Bool {
    switch self {
    case .quote, .time, .clock: false
    case .journal, .tagged, .ranked, .pod, .ray, .bracketed, .label, .bar, .host: true
    }
  }

  /// What is cut off one line, without a space that may follow: how many bytes, and their text.
  struct Match {
    let byteCount: Int
    let tag: Substring
  }

  /// The prefix of a line, if it has this shape.
  func match(_ line: Substring) -> Match? {
    var cursor = Cursor(line.utf8)
    guard take(&cursor) else { return nil }
    let end = cursor.index
    return Match(
      byteCount: line.utf8.distance(from: line.startIndex, to: end), tag: line[line.startIndex..<end])
  }

  private func take(_ cursor: inout Cursor) -> Bool {
    switch self {
    case .quote:
      guard cursor.skip(UInt8(ascii: ">")) else { return false }
      while true {
        if cursor.skip(UInt8(ascii: ">")) { continue }
        guard cursor.peek == UInt8(ascii: " "), cursor.peekNext == UInt8(ascii: ">") else { break }
        cursor.advance()
      }
      cursor.skip(UInt8(ascii: " "))
      return true
    case .time: return cursor.takeDateAndTime() || cursor.takeSyslogTime()
    case .clock:
      let isBracketed = cursor.skip(UInt8(ascii: "["))
      guard cursor.takeClock() else { return false }
      if isBracketed { return cursor.skip(UInt8(ascii: "]")) }
      return cursor.isAtSpace
    case .journal:
      guard cursor.takeName(), cursor.skip(UInt8(ascii: " ")), cursor.takeName(), cursor.skip(UInt8(ascii: "[")),
        cursor.takeDigits(), cursor.skip(UInt8(ascii: "]"))
      else { return false }
      return cursor.skip(UInt8(ascii: ":"))
    case .tagged:
      // `[1,0]<stdout>:`, and `[prterun-HOST-PID@1,0]<stdout>: ` of Open MPI 5.
      guard cursor.skip(UInt8(ascii: "[")) else { return false }
      let start = cursor
      if cursor.takeName(), cursor.skip(UInt8(ascii: "@")) {} else { cursor = start }
      guard cursor.takeDigits(), cursor.skip(UInt8(ascii: ",")), cursor.takeDigits(), cursor.skip(UInt8(ascii: "]"))
      else { return false }
      if cursor.skip(UInt8(ascii: "<")) {
        guard cursor.takeName(), cursor.skip(UInt8(ascii: ">")) else { return false }
      }
      cursor.skip(UInt8(ascii: ":"))
      return true
    case .ranked:
      guard cursor.skip(UInt8(ascii: "[")), cursor.takeWord("rank") || cursor.takeWord("default") else { return false }
      cursor.skip(UInt8(ascii: " "))
      guard cursor.takeDigits(), cursor.skip(UInt8(ascii: "]")) else { return false }
      cursor.skip(UInt8(ascii: ":"))
      return true
    case .pod:
      guard cursor.takeWord("[pod/") else { return false }
      return cursor.takeThrough(UInt8(ascii: "]"), limit: 300)
    case .ray:
      guard cursor.skip(UInt8(ascii: "(")) else { return false }
      let start = cursor
      guard cursor.takeThrough(UInt8(ascii: ")"), limit: 200), start.text(to: cursor).contains("pid=") else {
        return false
      }
      return true
    case .bracketed:
      guard cursor.skip(UInt8(ascii: "[")), cursor.takeDigits(), cursor.skip(UInt8(ascii: "]")) else { return false }
      if cursor.skip(UInt8(ascii: ":")) { return true }
      // Ports of ibnetdiscover are numbered so, and what they lead to follows in quotes.
      var next = cursor
      while next.isAtSpace, !next.isAtEnd { next.advance() }
      return cursor.isAtSpace && next.peek != UInt8(ascii: "\"")
    case .label:
      while cursor.skip(UInt8(ascii: " ")) {}
      return cursor.takeDigits() && cursor.skip(UInt8(ascii: ":")) && cursor.isAtSpace
    case .bar:
      guard cursor.takeName() else { return false }
      while cursor.skip(UInt8(ascii: " ")) {}
      return cursor.skip(UInt8(ascii: "|")) && cursor.isAtSpace
    case .host:
      guard let first = cursor.peek, Cursor.isLetterOrDigit(first), cursor.takeName(), !cursor.sawDigitsOnly,
        cursor.skip(UInt8(ascii: ":"))
      else { return false }
      return cursor.isAtSpace
    }
  }
}

/// A place in a line that moves right.
private struct Cursor {
  private let bytes: Substring.UTF8View
  private let start: Substring.UTF8View.Index
  private(set) var index: Substring.UTF8View.Index
  /// Whether the last name was a number.
  private(set) var sawDigitsOnly = false

  init(_ bytes: Substring.UTF8View) {
    self.bytes = bytes
    start = bytes.startIndex
    index = start
  }

  var isAtEnd: Bool { index == bytes.endIndex }
  var peek: UInt8? { isAtEnd ? nil : bytes[index] }
  var peekNext: UInt8? {
    guard !isAtEnd else { return nil }
    let next = bytes.index(after: index)
    return next == bytes.endIndex ? nil : bytes[next]
  }
  /// A space, a tab or the end.
  var isAtSpace: Bool { peek.map { $0 == 32 || $0 == 9 } ?? true }

  mutating func advance() { if !isAtEnd { index = bytes.index(after: index) } }

  @discardableResult
  mutating func skip(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    advance()
    return true
  }

  func text(to other: Cursor) -> String { String(Substring(bytes[index..<other.index])) }

  static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
  static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || (65...90).contains(byte) || (97...122).contains(byte)
  }

  /// Exactly or, without a count, at least one digit.
  mutating func takeDigits(_ count: Int? = nil) -> Bool {
    var taken = 0
    while let byte = peek, Self.isDigit(byte), taken < count ?? 12 {
      advance()
      taken += 1
    }
    return count.map { taken == $0 } ?? (taken > 0)
  }

  /// Letters, digits, dots, hyphens and underscores: what hosts, pods and programs are called.
  mutating func takeName() -> Bool {
    var taken = 0
    sawDigitsOnly = true
    while let byte = peek, Self.isLetterOrDigit(byte) || byte == 45 || byte == 46 || byte == 95, taken < 253 {
      if !Self.isDigit(byte) { sawDigitsOnly = false }
      advance()
      taken += 1
    }
    return taken > 0
  }

  mutating func takeWord(_ word: String) -> Bool {
    let before = self
    for byte in word.utf8 where !skip(byte) {
      self = before
      return false
    }
    return true
  }

  mutating func takeThrough(_ byte: UInt8, limit: Int) -> Bool {
    for _ in 0..<limit {
      guard let next = peek else { return false }
      advance()
      if next == byte { return true }
    }
    return false
  }

  /// `HH:MM:SS`, with a fraction.
  mutating func takeClock() -> Bool {
    guard takeDigits(2), skip(UInt8(ascii: ":")), takeDigits(2), skip(UInt8(ascii: ":")), takeDigits(2) else {
      return false
    }
    if skip(UInt8(ascii: ".")) || skip(UInt8(ascii: ",")) { return takeDigits() }
    return true
  }

  /// RFC 3339 as containers, Kubernetes and journald print it; `stdout F` follows in files of container runtimes.
  mutating func takeDateAndTime() -> Bool {
    let before = self
    let isBracketed = skip(UInt8(ascii: "["))
    guard takeDigits(4), skip(UInt8(ascii: "-")) || skip(UInt8(ascii: "/")), takeDigits(2),
      skip(UInt8(ascii: "-")) || skip(UInt8(ascii: "/")), takeDigits(2),
      skip(UInt8(ascii: "T")) || skip(UInt8(ascii: " ")) || skip(UInt8(ascii: "_")), takeClock()
    else {
      self = before
      return false
    }
    if !skip(UInt8(ascii: "Z")), skip(UInt8(ascii: "+")) || skip(UInt8(ascii: "-")) {
      _ = takeDigits(2)
      skip(UInt8(ascii: ":"))
      _ = takeDigits(2)
    }
    if isBracketed { skip(UInt8(ascii: "]")) }
    let afterTime = self
    if skip(UInt8(ascii: " ")), takeWord("stdout") || takeWord("stderr"), skip(UInt8(ascii: " ")),
      skip(UInt8(ascii: "F")) || skip(UInt8(ascii: "P"))
    {
      return true
    }
    self = afterTime
    return true
  }

  /// `Feb 11 10:11:12`, also with a weekday before it and a year after it, as `--timestamp-output` and `ts` print it.
  mutating func takeSyslogTime() -> Bool {
    let before = self
    for weekday in ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "] where takeWord(weekday) { break }
    let months = ["Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec "]
    guard months.contains(where: { takeWord($0) }) else {
      self = before
      return false
    }
    skip(UInt8(ascii: " "))
    guard takeDigits(), skip(UInt8(ascii: " ")), takeClock() else {
      self = before
      return false
    }
    let afterTime = self
    if skip(UInt8(ascii: " ")), takeDigits(4), isAtSpace || peek == UInt8(ascii: "[") || peek == UInt8(ascii: "<") {
      return true
    }
    self = afterTime
    return true
  }
}
