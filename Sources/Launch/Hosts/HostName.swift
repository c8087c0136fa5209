/// Names of hosts as people write them: short or fully qualified, in any case.
enum HostName {
  /// Whether a text is a name or an address of a host: letters, digits, dots, hyphens, underscores and colons, as far as
  /// host files, Slurm and ssh take them.
  static func isValid(_ text: String) -> Bool {
    guard let first = text.utf8.first, first.isASCIILetterOrDigit || first == UInt8(ascii: ":"), text.utf8.count <= 253
    else { return false }
    return text.utf8.allSatisfy { $0.isASCIILetterOrDigit || "._-:".utf8.contains($0) }
  }

  /// Whether two names mean one host: equal but for case, or one of them short and the other's first part (`node01` and
  /// `node01.cluster`). Scripts compare in the same way, see ``SharedScript``.
  static func areSame(_ left: String, _ right: String) -> Bool {
    let left = left.lowercased(), right = right.lowercased()
    return left == right || left == short(right) || short(left) == right
  }

  /// The part before the first dot.
  static func short(_ name: String) -> String { String(name.prefix { $0 != "." }) }
}
