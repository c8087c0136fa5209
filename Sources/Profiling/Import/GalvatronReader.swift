import Documents
import JSONText

/// The bandwidth files of Galvatron's hardware profiler: bus bandwidth in GB/s that nccl-tests reported for groups of a
/// size.
///
/// `allreduce_size_8_consec_1` is of 8 consecutive ranks, `…_consec_0` of ranks spread over all devices;
/// `pp_size_4` is `sendrecv_perf` over a pipeline's ranks, one of each stage. How many
/// nodes and devices there were is in the file's name only.
enum GalvatronReader {
  static func findings(of json: JSON, source: String) throws(DocumentError) -> Findings {
    guard case .object(let members) = json else {
      throw DocumentError(source: source, location: "", expected: "expected an object", found: nil)
    }
    var findings = Findings(engine: "galvatron", source: source)
    let shape = shape(ofFile: source)
    for member in members {
      let location = "/\(member.key)"
      guard let (kind, rankCount, order) = group(member.key) else {
        throw DocumentError(
          source: source, location: location,
          expected: "expected keys allreduce_size_N_consec_C or pp_size_N of Galvatron", found: nil)
      }
      guard let rate = member.value.numberValue, rate > 0, rate < 1e9 else {
        throw DocumentError(
          source: source, location: location, expected: "expected a positive number of GB/s",
          found: member.value.briefDescription)
      }
      var collective = Findings.Collective(kind: kind, rankCount: rankCount)
      collective.order = order
      collective.busBytesPerSecond = rate * 1e9
      if let shape, shape.nodes * shape.devices >= rankCount {
        collective.nodeCount =
          order == .consecutive ? (rankCount + shape.devices - 1) / shape.devices : min(shape.nodes, rankCount)
      }
      findings.collectives.append(collective)
    }
    guard !findings.collectives.isEmpty else {
      throw DocumentError(source: source, location: "", expected: "expected at least one bandwidth", found: nil)
    }
    return findings
  }

  private static func group(
    _ key: String
  ) -> (MeasuredLinks.CollectiveTimes.Kind, Int, MeasuredLinks.CollectiveTimes.Order)? {
    let parts = key.split(separator: "_").map(String.init)
    guard parts.count >= 3, parts[1] == "size", let rankCount = parts[2].plainCount, (2...1_000_000).contains(rankCount)
    else { return nil }
    switch (parts[0], parts.count) {
    case ("allreduce", 5) where parts[3] == "consec" && ["0", "1"].contains(parts[4]):
      return (.allReduce, rankCount, parts[4] == "1" ? .consecutive : .strided)
    case ("allreduce", 3): return (.allReduce, rankCount, .consecutive)
    case ("pp", 3): return (.sendReceive, rankCount, .strided)
    default: return nil
    }
  }

  /// `…_2nodes_8gpus_per_node.json`.
  private static func shape(ofFile path: String) -> (nodes: Int, devices: Int)? {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    guard let match = name.firstMatch(of: /_([0-9]{1,6})nodes_([0-9]{1,4})gpus_per_node/), let nodes = Int(match.1),
      let devices = Int(match.2), nodes > 0, devices > 0
    else { return nil }
    return (nodes, devices)
  }
}
