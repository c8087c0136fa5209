import ArgumentParser
import Documents
import JSONText
import Sextant

/// `sextant profile import`.
struct ProfileImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Read what other tools measured or know of the links.",
    discussion: """
      Reads nccl-tests (text and -J), mpiGraph, the OSU micro-benchmarks, perftest (ib_write_bw and its kin), \
      nvbandwidth (text and JSON), p2pBandwidthLatencyTest, Galvatron's bandwidth files; and of structure nvidia-smi \
      topo -m, rocm-smi --showtopo, NCCL's topology XML, Slurm's topology.conf and topology.yaml, topograph's models and ibnetdiscover. Several files make one \
      document: of several figures of a pair the most trusted is taken, a collective of the very pair before rates \
      under load, those before rates of an idle network. Files of structure give no rates; what they say is printed. \
      Beside a cluster, rates far below what it describes are named, as those of a management network are.
      """)

  @Argument(help: ArgumentHelp("Outputs of other tools.", valueName: "file"))
  var files: [String]

  @Option(
    help: ArgumentHelp(
      "What the files are, where their content does not say: \(LinkImport.formats.joined(separator: ", ")).",
      valueName: "format"))
  var format: String?

  @Option(
    help: ArgumentHelp(
      "Sending and receiving host of each point-to-point test; one name for a test inside a node.",
      valueName: "a,b"))
  var hosts: String?

  @Option(help: "Ranks of a collective, where the tool does not print them.")
  var ranks: Int?

  @Option(help: "Nodes of a collective, where the tool does not print them.")
  var nodes: Int?

  @Option(
    help:
      "The collective of nccl-tests, where it is not printed: \(LinkImport.collectives.joined(separator: ", ")).")
  var collective: String?

  @Option(help: "What the document is called.")
  var name = "imported"

  @Option(help: ArgumentHelp("Write the links document here.", valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Write a cluster document of what files of structure say, with FILL IN where they cannot know.", valueName: "file"
    ))
  var skeleton: String?

  @OptionGroup var cluster: ClusterOptions

  @Flag(help: "Print JSON: the links document, or the structure.")
  var json = false

  func validate() throws {
    guard (2...134_217_728).contains(ranks ?? 2) else { throw ValidationError("--ranks is from 2 to 134217728") }
    guard (1...134_217_728).contains(nodes ?? 1) else { throw ValidationError("--nodes is from 1 to 134217728") }
    guard !name.isEmpty, name.count <= 200, name == name.oneLine else {
      throw ValidationError("--name is of 1 to 200 printable characters")
    }
    guard !cluster.isStated || !json else {
      throw ValidationError("--json prints the document, which --cluster changes nothing of: use profile show")
    }
    guard let hosts else { return }
    let names = Self.names(hosts)
    guard names.count == 1 || (2...1_024).contains(names.count) && names.count.isMultiple(of: 2),
      names.allSatisfy({ $0.count <= 200 && $0 == $0.oneLine })
    else {
      throw ValidationError("--hosts is one name, or two for each run in a file, separated by commas")
    }
  }

  private static func names(_ list: String) -> [String] { list.split(separator: ",").map(String.init) }

  func run() throws {
    try reportingErrors {
      if let output { try tryWritingFile(at: output) }
      if let skeleton { try tryWritingFile(at: skeleton) }
      let cluster = try cluster.isStated ? cluster.stated() : nil
      let imported = try LinkImport(
        files: files, format: format, hosts: hosts.map(Self.names) ?? [], rankCount: ranks, nodeCount: nodes,
        collective: collective, name: name)
      if let output {
        guard let links = imported.links else {
          throw complaint("--output: the files are of structure only and give no rates", .badInput)
        }
        try links.write(to: output)
      }
      if let skeleton {
        try write(try imported.clusterSkeleton(name: name), to: skeleton)
      }
      let report = ImportReport(findings: imported.findings, imported: imported.imported)
      let comparison = imported.links.map { LinksReport.comparison(of: $0, with: cluster) } ?? ""
      try emit(json ? report.json.text(style: .pretty) : report.text + comparison)
    }
  }
}
