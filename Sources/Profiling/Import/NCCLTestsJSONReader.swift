import Documents
import JSONText

/// The report that nccl-tests 2.17.3 and later write with `-J`: the same table as the text, and read as that is.
///
/// Only what is needed is looked at: `env`, which holds the whole environment with whatever secrets are in it, is not.
/// `root` is a padded string, booleans are strings, and what is not a number is the string "nan". Devices stand in
/// `config`, and of each process only the first one: the others are on the same host, `nthreads` · `ngpus` in all
/// (`writeDeviceReport` and `parseRankInfo` of `src/util.cu`, nccl-tests a0b82b2). A test that died leaves a report
/// without `out_of_bounds`.
enum NCCLTestsJSONReader {
  static func findings(of json: JSON, source: String, context: ImportContext) throws(DocumentError) -> Findings {
    var findings = Findings(engine: "nccl-tests", source: source)
    let table = try table(of: json, source: source)
    _ = try NCCLTestsReader.add(table, isAlone: true, context: context, to: &findings)
    return findings
  }

  /// Whether an object with these keys is such a report, however it ended.
  static func isReport(keys: [String]) -> Bool {
    keys.contains("results") && (keys.contains("config") || keys.contains("devices"))
      || keys.contains("args") && keys.contains("nccl_version")
  }

  /// Whether a text that is no JSON begins as such a report.
  static func isCutOff(_ text: ToolText) -> Bool {
    text.lines.contains { $0.hasPrefix("{") && $0.contains("\"args\"") && $0.contains("\"start_time\"") }
  }

  private static func table(of json: JSON, source: String) throws(DocumentError) -> NCCLTestsTable {
    func fault(_ sentence: String, _ location: String) -> DocumentError {
      DocumentError(source: source, location: location, expected: sentence, found: nil)
    }
    var table = NCCLTestsTable(place: "")
    for argument in json.values(at: "args").compactMap(\.textValue) { table.take(programIn: argument) }
    takeDevices(of: json, to: &table)
    table.countsWrong = true
    for (index, result) in json.values(at: "results").enumerated() {
      guard let size = result.value(at: "size")?.numberValue, (0...1e15).contains(size) else {
        throw fault("expected a size in bytes", "/results/\(index)/size")
      }
      guard size >= 1 else { continue }
      var halves: [String: NCCLTestsTable.Half] = [:]
      for key in ["out_of_place", "in_place"] {
        guard let half = result.value(at: key), half != .null else { continue }
        if half.value(at: "cpu_time") != nil { table.hasProcessorTimes = true }
        guard let microseconds = half.value(at: "time")?.numberValue, microseconds > 0,
          let algorithm = half.value(at: "alg_bw")?.numberValue, let bus = half.value(at: "bus_bw")?.numberValue,
          algorithm >= 0, bus >= 0
        else {
          table.broken =
            table.broken ?? fault("expected time, alg_bw and bus_bw", "/results/\(index)/\(key)")
          continue
        }
        let wrongCount = half.value(at: "nwrong")?.numberValue
        halves[key] = NCCLTestsTable.Half(
          bytes: Int(size), microseconds: microseconds, roundOff: 0, algorithm: algorithm, bus: bus,
          wrongCount: wrongCount, isChecked: wrongCount != nil)
        if halves[key] == nil {
          table.broken =
            table.broken
            ?? fault("expected alg_bw to be size over time, in GB/s and microseconds", "/results/\(index)/\(key)")
        }
      }
      let reduction = result.value(at: "redop")?.textValue?.asName
      let root = result.value(at: "root")?.textValue?.words.first
      guard let first = halves["out_of_place"] else { continue }
      table.rows.append(
        NCCLTestsTable.Row(
          messageBytes: Int(size),
          variant: [result.value(at: "type")?.textValue?.asName, reduction, root].compactMap { $0 },
          outOfPlace: first, inPlace: halves["in_place"], reduction: reduction, root: root.flatMap { Int($0) }))
    }
    takeEnd(of: json, to: &table)
    return table
  }

  /// The host of each rank.
  private static func takeDevices(of json: JSON, to table: inout NCCLTestsTable) {
    let config = json.value(at: "config")
    func count(_ key: String) -> Int {
      config?.value(at: key)?.numberValue.flatMap { Int(exactly: $0) }.flatMap { (1...4_096).contains($0) ? $0 : nil }
        ?? 1
    }
    let listed = config?.values(at: "devices") ?? []
    var first: [Int: String] = [:]
    for device in listed.isEmpty ? json.values(at: "devices") : listed {
      guard let rank = device.value(at: "rank")?.numberValue.flatMap({ Int(exactly: $0) }),
        (0..<1_000_000).contains(rank), let host = device.value(at: "hostname")?.textValue?.asName
      else { continue }
      if first.updateValue(host, forKey: rank) != nil { table.hasRankTwice = true }
    }
    let perProcess = count("nthreads") * count("ngpus")
    let isFirstOnly = first.count * perProcess <= 1_000_000 && first.keys.allSatisfy { $0 % perProcess == 0 }
    for (rank, host) in first {
      for offset in 0..<(isFirstOnly ? perProcess : 1) { table.hosts[rank + offset] = host }
    }
  }

  /// Whether all results were right, and whether there is an end.
  private static func takeEnd(of json: JSON, to table: inout NCCLTestsTable) {
    if let end = json.value(at: "out_of_bounds") {
      guard end.value(at: "okay")?.textValue == "false" else { return }
      let count = end.value(at: "count")?.numberValue.flatMap { Int(exactly: $0) }
      table.wrongResults = "out_of_bounds of \(count.map { "\($0)" } ?? "unknown") FAILED"
    } else {
      let said = json.values(at: "errors").compactMap(\.textValue).first { !$0.words.isEmpty }
      table.failure =
        said.map { "/errors/0: \($0.words.joined(separator: " ").oneLine.prefix(160))" }
        ?? "the report has no out_of_bounds, which is written last"
    }
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
