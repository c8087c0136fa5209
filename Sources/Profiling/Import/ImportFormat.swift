package import Documents
import JSONText

/// The outputs of other tools that can be read.
package enum ImportFormat: String, Sendable, CaseIterable {
  case ncclTests = "nccl-tests"
  case ncclTestsJSON = "nccl-tests-json"
  case mpiGraph = "mpigraph"
  case osu
  case perftest = "ib-write-bw"
  case nvbandwidth
  case nvbandwidthJSON = "nvbandwidth-json"
  case p2pBandwidth = "p2p-bandwidth"
  case nvidiaTopology = "nvidia-smi-topo"
  case ncclTopology = "nccl-topology"
  case slurmTopology = "slurm-topology"
  case topologyYAML = "topology-yaml"
  case ibNetDiscover = "ibnetdiscover"
  case galvatron

  /// Reads a file.
  ///
  /// - Parameters:
  ///   - format: nil finds it out from the content.
  ///   - context: what the tool does not print.
  /// - Throws: `DocumentError` that says what was recognised and what was expected.
  package static func findings(
    of text: ToolText, format: ImportFormat? = nil, context: ImportContext = ImportContext()
  ) throws(DocumentError) -> Findings {
    let chosen: ImportFormat
    if let format { chosen = format } else { chosen = try recognized(text) }
    var findings = try read(text, as: chosen, context: context)
    findings.notes += text.notes
    return findings
  }

  private static func read(
    _ text: ToolText, as format: ImportFormat, context: ImportContext
  ) throws(DocumentError) -> Findings {
    switch format {
    case .ncclTests: return try NCCLTestsReader.findings(of: text, context: context)
    case .ncclTestsJSON:
      return try NCCLTestsJSONReader.findings(of: json(text), source: text.source, context: context)
    case .mpiGraph: return try MPIGraphReader.findings(of: text)
    case .osu: return try OSUReader.findings(of: text, context: context)
    case .perftest: return try PerftestReader.findings(of: text, context: context)
    case .nvbandwidth: return try NVBandwidthReader.findings(of: text, context: context)
    case .nvbandwidthJSON:
      return try NVBandwidthReader.findings(of: json(text), source: text.source, context: context)
    case .p2pBandwidth: return try P2PBandwidthReader.findings(of: text, context: context)
    case .nvidiaTopology: return try NVIDIATopologyReader.findings(of: text)
    case .ncclTopology: return try NCCLTopologyReader.findings(of: text)
    case .slurmTopology: return try SlurmTopologyReader.findings(of: text)
    case .topologyYAML: return try TopologyYAMLReader.findings(of: text)
    case .ibNetDiscover: return try IBNetDiscoverReader.findings(of: text)
    case .galvatron: return try GalvatronReader.findings(of: json(text), source: text.source)
    }
  }

  /// The format of a text, by what only its tool writes.
  static func recognized(_ text: ToolText) throws(DocumentError) -> ImportFormat {
    let first = text.lines.first { !$0.words.isEmpty }
    guard let first else { throw text.error("the file is empty") }
    if first.words[0].hasPrefix("{") || text.lines.contains(where: { $0.hasPrefix("{") }) {
      if let format = try recognizedJSON(text) { return format }
    }
    for line in text.lines { if let format = marked(by: line) { return format } }
    if let index = text.lines.firstIndex(where: { ToolFailure.isFailure($0) }),
      text.lines[index].contains("Test NCCL failure") || text.lines[index].contains("Test CUDA failure")
    {
      return .ncclTests
    }
    throw text.error(UnreadFormat.sentence(of: text, first: first))
  }

  /// The format of whose text a line is by itself a sure sign.
  static func marked(by line: String) -> ImportFormat? {
    if line.hasPrefix("START mpiGraph") || line.hasPrefix("MsgSize\t") { return .mpiGraph }
    if OSUReader.isTitle(line.words) { return .osu }
    if PerftestReader.isTitle(line) || line.words.first == "#bytes" { return .perftest }
    if line.contains("P2P=") && line.contains(" Matrix (") || line.hasPrefix("[P2P (Peer-to-Peer) GPU") {
      return .p2pBandwidth
    }
    if line.hasPrefix("nvbandwidth Version") || line.contains("(row)") && line.contains("(column)") {
      return .nvbandwidth
    }
    if line.contains("algbw") && line.contains("busbw") { return .ncclTests }
    if line.contains("nThread ") && line.contains("nGpus ") || line.contains("nccl-tests version") { return .ncclTests }
    if NVIDIATopologyReader.isHeader(line) { return .nvidiaTopology }
    if line.contains("<system") { return .ncclTopology }
    if line.hasPrefix("Switch"), line.contains("\"S-") { return .ibNetDiscover }
    let lower = line.lowercased()
    if lower.hasPrefix("switchname=") || lower.hasPrefix("blockname=") { return .slurmTopology }
    if line.hasPrefix("- topology:") || line == "switches:" || line == "blocks:" { return .topologyYAML }
    return nil
  }

  private static func recognizedJSON(_ text: ToolText) throws(DocumentError) -> ImportFormat? {
    let json: JSON
    do {
      json = try self.json(text)
    } catch {
      // A table may have a line that begins with a brace; but a text that begins with one is meant to be JSON.
      guard text.lines.first(where: { !$0.words.isEmpty })?.words[0].hasPrefix("{") == true else { return nil }
      if text.lines.contains(where: { $0.words.first == "test_info:" }) {
        throw text.error(
          "recognised as --out_json of an old perftest, which is not valid JSON; expected the table that it prints")
      }
      if NCCLTestsJSONReader.isCutOff(text) {
        throw text.error(
          "recognised as a report of nccl-tests -J that was not finished: the test died, or the file was cut off; expected "
            + "the whole report, or what the test printed" + text.failureQuotation)
      }
      throw error
    }
    guard case .object(let members) = json else { return nil }
    let keys = members.map(\.key)
    if keys.contains("nvbandwidth") { return .nvbandwidthJSON }
    if NCCLTestsJSONReader.isReport(keys: keys) { return .ncclTestsJSON }
    if keys.contains(where: { $0.hasPrefix("allreduce_size_") || $0.hasPrefix("pp_size_") }) { return .galvatron }
    if keys.contains("tp_sizes_enc") {
      throw text.error("recognised as a plan of Galvatron, which measures nothing; expected its bandwidth files")
    }
    if members.first?.value.value(at: "gpus") != nil, members.first?.value.value(at: "bandwidth") != nil {
      throw text.error(
        "recognised as tables made from mpiGraph, which do not say whether rows send or receive; expected mpiGraph's "
          + "own report")
    }
    if keys.contains("test_info") {
      throw text.error(
        "recognised as --out_json of perftest, which does not say whether its rates are in MiB/s or Gb/s; expected the "
          + "table that it prints")
    }
    if let schema = json.value(at: "schema")?.textValue, schema.hasPrefix("sextant.") {
      throw text.error("recognised as a document of Sextant, \(schema.oneLine); expected the output of another tool")
    }
    throw text.error(
      "not recognised: JSON with the keys \(keys.prefix(5).map { JSON.string($0).briefDescription }.joined(separator: ", ")); "
        + "expected that of nccl-tests -J, nvbandwidth -j or Galvatron")
  }

  /// The JSON of a text: the whole, or the object that lies among a program's messages.
  private static func json(_ text: ToolText) throws(DocumentError) -> JSON {
    do {
      return try JSON(parsing: text.bytes)
    } catch {
      if let object = embeddedObject(in: text), let json = try? JSON(parsing: object) { return json }
      throw DocumentError(
        source: text.source, location: "line \(text.number(error.line - 1)), column \(error.column)",
        expected: "\(error.reason)",
        found: nil)
    }
  }
}
