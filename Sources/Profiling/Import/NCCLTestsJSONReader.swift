import Documents
import JSONText

/// The report that nccl-tests 2.17 and later write with `-J`.
///
/// Only what is needed is looked at: `env`, which holds the whole environment with whatever secrets are in it, is not.
/// `root` is a padded string, booleans are strings, and what is not a number is the string "nan".
enum NCCLTestsJSONReader {
  static func findings(of json: JSON, source: String, context: ImportContext) throws(DocumentError) -> Findings {
    func fault(_ sentence: String, _ location: String = "") -> DocumentError {
      DocumentError(source: source, location: location, expected: sentence, found: nil)
    }
    var findings = Findings(engine: "nccl-tests", source: source)
    let arguments = json.values(at: "args").compactMap(\.textValue)
    guard
      let kind = arguments.lazy.compactMap({ NCCLTestsReader.kind(ofProgramIn: $0) }).first
        ?? context.collective ?? NCCLTestsReader.kind(ofFile: source)
    else { throw fault("the program is not among args; give --collective", "/args") }
    var hosts: [Int: String] = [:]
    for device in json.values(at: "devices") {
      guard let rank = device.value(at: "rank")?.numberValue.flatMap({ Int(exactly: $0) }),
        (0..<1_000_000).contains(rank),
        let host = device.value(at: "hostname")?.textValue?.asName
      else { continue }
      hosts[rank] = host
    }
    guard let rankCount = hosts.keys.max().map({ $0 + 1 }) ?? context.rankCount, rankCount > 1 else {
      throw fault("expected at least 2 ranks", "/devices")
    }
    let isComplete = hosts.count == rankCount
    var names: [String] = []
    for rank in hosts.keys.sorted() {
      if let host = hosts[rank], !names.contains(host) { names.append(host) }
    }
    for key in ["out_of_place", "in_place"] {
      var collective = Findings.Collective(kind: kind, rankCount: rankCount)
      collective.nodeCount = isComplete ? names.count : context.nodeCount
      collective.hosts = isComplete ? names : nil
      collective.isInPlace = key == "in_place"
      for (index, result) in json.values(at: "results").enumerated() {
        guard let half = result.value(at: key), half != .null else { continue }
        guard let size = result.value(at: "size")?.numberValue, (0...1e15).contains(size),
          let microseconds = half.value(at: "time")?.numberValue
        else { throw fault("expected a size and a time", "/results/\(index)/\(key)") }
        guard size >= 1, microseconds > 0 else { continue }
        if let algorithm = half.value(at: "alg_bw")?.numberValue, algorithm > 0,
          abs(size / microseconds / 1e3 - algorithm) > 0.011 + 0.01 * algorithm
        {
          throw fault("expected alg_bw to be size over time, in GB/s and microseconds", "/results/\(index)/\(key)")
        }
        collective.points.append(.init(messageBytes: Int(size), seconds: microseconds / 1e6))
      }
      if !collective.points.isEmpty { findings.collectives.append(collective) }
    }
    guard let first = findings.collectives.first else { throw fault("expected results with times", "/results") }
    if isComplete, rankCount == 2, names.count == 2 { findings.pairs += NCCLTestsReader.pairs(of: first, hosts: names) }
    return findings
  }
}

extension JSON {
  /// The value of a member; nil for another kind of value or a key that is not there.
  func value(at key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// The elements of an array that is a member; none where there is no such array.
  func values(at key: String) -> [JSON] {
    guard case .array(let values)? = value(at: key) else { return [] }
    return values
  }

  /// A number, or a string that is one: tools write both.
  var numberValue: Double? {
    switch self {
    case .integer(let integer): Double(integer)
    case .number(let number): number
    case .string(let text): text.words.first?.plainNumber
    default: nil
    }
  }

  var textValue: String? { if case .string(let text) = self { text } else { nil } }
}
