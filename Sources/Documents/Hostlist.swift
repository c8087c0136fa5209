/// Slurm's hostlists: `a[1-3]`, `a[007-009,12]`, `r[1-2]n[01-02]` (every combination), several separated by commas.
package enum Hostlist {
  /// The most names that a list may stand for.
  package static let largestCount = 131_072

  /// The names in the order of the list; nil for a list that is none, or too long.
  ///
  /// Numbers are as wide as their range's first one is written.
  package static func names(_ text: String) -> [String]? {
    var result: [String] = []
    for part in split(text) {
      guard !part.isEmpty, let names = expanded(part), result.count + names.count <= largestCount else { return nil }
      result += names
    }
    return result.isEmpty || result.contains { !isName($0) } ? nil : result
  }

  private static func isName(_ name: String) -> Bool { !name.isEmpty && name.count <= 200 && name == name.oneLine }

  /// The parts between commas outside of brackets.
  private static func split(_ text: String) -> [String] {
    var parts = [""]
    var isInside = false
    for character in text {
      if character == "[" { isInside = true }
      if character == "]" { isInside = false }
      if character == ",", !isInside {
        parts.append("")
      } else {
        parts[parts.count - 1].append(character)
      }
    }
    return parts
  }

  private static func expanded(_ part: String) -> [String]? {
    var names = [""]
    var rest = part[...]
    while let open = rest.firstIndex(of: "[") {
      guard let close = rest[open...].firstIndex(of: "]") else { return nil }
      let prefix = rest[..<open]
      guard !prefix.contains("]"), let numbers = numbers(rest[rest.index(after: open)..<close]),
        names.count * numbers.count <= largestCount
      else { return nil }
      names = names.flatMap { name in numbers.map { "\(name)\(prefix)\($0)" } }
      rest = rest[rest.index(after: close)...]
    }
    guard !rest.contains("]") else { return nil }
    return names.map { "\($0)\(rest)" }
  }

  private static func numbers(_ ranges: Substring) -> [String]? {
    var result: [String] = []
    for range in ranges.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = range.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
      guard ends.count <= 2, let low = ends.first.flatMap(number), let high = ends.last.flatMap(number), low <= high,
        high - low < largestCount - result.count
      else { return nil }
      let width = ends[0].count
      for number in low...high {
        let digits = "\(number)"
        result.append(String(repeating: "0", count: max(0, width - digits.count)) + digits)
      }
    }
    return result
  }

  private static func number(_ digits: String) -> Int? {
    !digits.isEmpty && digits.utf8.allSatisfy { (48...57).contains($0) } ? Int(digits) : nil
  }
}
