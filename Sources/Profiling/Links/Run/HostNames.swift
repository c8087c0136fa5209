package import Documents
import JSONText

/// The hosts that a list stands for, in its order: `gpu[01-03],login` as Slurm writes it, or names with commas.
///
/// - Throws: ``LinkRunError/launcher(_:)`` for a list that is none, or that names a host twice.
package func hosts(inList text: String) throws(LinkRunError) -> [String] {
  guard let names = Hostlist.names(text) else {
    throw .launcher("expected a list of hosts such as gpu[01-16], found \"\(text)\"")
  }
  try checkHosts(names)
  guard Set(names).count == names.count else { throw .launcher("a host is twice in the list \"\(text)\"") }
  return names
}

/// The hosts in a file, the first word of each line; what follows on a line, empty lines and comments after # do not
/// count, so that host files of MPI do.
///
/// - Throws: `DocumentError` when the file cannot be read, names no host, a host twice, or what is no name.
package func hosts(inFile path: String) throws(DocumentError) -> [String] {
  let text = try ToolText(contentsOf: path)
  var names: [String] = []
  for (index, line) in text.lines.enumerated() {
    guard let word = line.split(separator: "#", omittingEmptySubsequences: false).first?.split(separator: " ").first
    else { continue }
    guard let name = String(word).asName else { throw text.error(line: index, expected: "the name of a host") }
    guard !isOption(name) else { throw text.error(line: index, expected: "a host, whose name does not begin with -") }
    guard !names.contains(name) else { throw text.error(line: index, expected: "every host once") }
    names.append(name)
  }
  guard !names.isEmpty else { throw text.error("expected the names of hosts, a line each") }
  return names
}

/// Refuses names that a program which is given a host, such as ssh or mpirun, would take for an option of its own:
/// `-oProxyCommand=…` runs a command here.
///
/// - Throws: ``LinkRunError/launcher(_:)``.
package func checkHosts(_ names: [String]) throws(LinkRunError) {
  for name in names where isOption(name) {
    throw .launcher("expected a host, whose name does not begin with -, found \"\(name)\"")
  }
}

private func isOption(_ name: String) -> Bool { name.hasPrefix("-") }
