import Documents
import JSONText
import TestSupport

@testable import Launch

/// A command line as Megatron-LM's `argparse` takes it, by the shipped table of its flags: a second account of what is
/// written, which knows nothing of the writer.
struct MegatronCommandLine {
  private(set) var values: [String: [String]] = [:]

  /// What is wrong with a command line: a sentence.
  struct Complaint: Error, Equatable {
    let sentence: String
    init(_ sentence: String) { self.sentence = sentence }
  }

  private struct Flag {
    let kind: String
    let choices: [String]
  }

  /// The table of `Inputs/megatron/flags.tsv`.
  private static let table: [String: Flag] = {
    let path = Shipped.root + "/Tests/LaunchTests/Inputs/megatron/flags.tsv"
    let bytes = (try? readFile(at: path, maximumByteCount: 1 << 20)) ?? []
    var table: [String: Flag] = [:]
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
      let cells = line.split(separator: "\t").map(String.init)
      let choices = cells.count > 2 ? cells[2].split(separator: ",").map(String.init) : []
      table[cells[0]] = Flag(kind: cells[1], choices: choices)
    }
    return table
  }()

  init(_ words: [String]) throws(Complaint) {
    var open: (name: String, values: [String])?
    func close() throws(Complaint) {
      guard let open, let flag = Self.table[open.name] else { return }
      let count = open.values.count
      switch flag.kind {
      case "switch" where count != 0: throw Complaint("\(open.name) takes no value, and has \(open.values)")
      case "int" where count != 1 || Int(open.values[0]) == nil,
        "float" where count != 1 || Double(open.values[0]) == nil:
        throw Complaint("\(open.name) takes one \(flag.kind), not \(open.values)")
      case "text" where count != 1: throw Complaint("\(open.name) takes one value, not \(open.values)")
      default: break
      }
      for value in open.values where !flag.choices.isEmpty && !flag.choices.contains(value) {
        throw Complaint("\(open.name) is one of \(flag.choices), not \(value)")
      }
    }
    for word in words {
      guard word.hasPrefix("--") else {
        guard open != nil else { throw Complaint("\(word) belongs to no flag") }
        open?.values.append(word)
        continue
      }
      try close()
      if let name = open?.name { values[name] = open?.values }
      let halves = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard Self.table[halves[0]] != nil else { throw Complaint("there is no flag \(halves[0])") }
      open = (halves[0], Array(halves.dropFirst()))
    }
    try close()
    if let name = open?.name { values[name] = open?.values }
  }

  func has(_ flag: String) -> Bool { values[flag] != nil }

  func text(_ flag: String) -> String? { values[flag]?.first }

  func integer(_ flag: String) -> Int? { text(flag).flatMap { Int($0) } }

  func number(_ flag: String) -> Double? { text(flag).flatMap { Double($0) } }
}
