/// Options that are given twice with different values, of which the parser would drop all but the last.
enum RepeatedOptions {
  /// What is merged instead, by all commands that have it but those named.
  private static let merged: [Substring: Set<String>] = [
    "--fix": [], "--strategy": [], "--allow": [], "--collectives": [], "--runs": ["estimate"], "--keep": [],
    "--together": [],
  ]

  /// The first option that contradicts itself, as a sentence; nil if none does.
  ///
  /// - Parameter arguments: without the program's name.
  static func complaint(_ arguments: [String]) -> String? {
    var values: [Substring: String] = [:]
    var position = arguments.startIndex
    while position < arguments.endIndex, arguments[position] != "--" {
      let argument = arguments[position]
      position += 1
      guard argument.hasPrefix("--") else { continue }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      var value = parts.count > 1 ? String(parts[1]) : nil
      // The next word is the option's value; after a flag it is an argument, and stays what it is wherever it stands.
      if value == nil, position < arguments.endIndex, !arguments[position].hasPrefix("--") {
        value = arguments[position]
      }
      guard let value, merged[parts[0]]?.contains(arguments[0]) ?? true else { continue }
      if let first = values[parts[0]], first != value {
        return "\(parts[0]) is given twice, as \"\(first)\" and as \"\(value)\""
      }
      values[parts[0]] = value
    }
    return nil
  }
}
