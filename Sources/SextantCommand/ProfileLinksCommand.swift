import ArgumentParser
import Documents
import JSONText
import Sextant

/// `sextant profile links`.
struct ProfileLinksCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "links",
    abstract: "Measure what the links between nodes deliver.",
    discussion: """
      Run the same command on every node, one process each, under srun or mpirun, or on one machine with --hosts, which \
      starts the others over ssh. Rank 0 coordinates, prints and writes; all pairs are measured in rounds of disjoint \
      pairs. The processes prove to each other that they know the run's token, from SEXTANT_TOKEN or --token-file.
      Example: srun --ntasks-per-node=1 sextant profile links --output links.json
      A node that does not come, dies or stalls costs its own row: the rest is written, and the exit code is 4. \
      --resume measures what is missing. A rank that no longer hears rank 0 ends by itself, with exit code 1. A run \
      that is stopped writes what it has measured; before anything was, it leaves --output as it is.
      """)

  /// How links are measured.
  enum Engine: String, ExpressibleByArgument, CaseIterable {
    /// Between the processes of this command.
    case tcp
    /// By the site's own nccl-tests.
    case ncclTests = "nccl-tests"
  }

  /// What else runs while a link is measured.
  enum Mode: String, ExpressibleByArgument, CaseIterable {
    /// All links of a round at once.
    case loaded
    /// One link at a time.
    case idle
  }

  @Option(help: "How to measure: tcp, or nccl-tests, which runs the site's own programs on the hosts of --hosts.")
  var engine = Engine.tcp

  @Option(help: "All links of a round at once, or one at a time.")
  var mode = Mode.loaded

  @OptionGroup(title: "Place") var place: LinkPlaceOptions
  @OptionGroup(title: "Traffic") var probe: LinkProbeOptions
  @OptionGroup(title: "nccl-tests") var nccl: NCCLTestsOptions

  @Flag(inversion: .prefixedNo, exclusivity: .exclusive, help: "Measure the loopback interface inside each node too.")
  var loopback = true

  @Option(
    help: ArgumentHelp(
      "Go through so many of the rounds only, and infer the other pairs from the structure.", valueName: "count"))
  var sampleRounds: Int?

  @Option(
    help: ArgumentHelp(
      "For --sample-rounds: so many consecutive ranks are a rack. Without it, the leaf switches that Slurm tells.",
      valueName: "count"))
  var nodesPerRack: Int?

  @Option(help: ArgumentHelp("Measure what this links document lacks, and add to it.", valueName: "file"))
  var resume: String?

  @Option(help: "What the document is called.")
  var name = "measured"

  @Option(help: ArgumentHelp("Write the links document here.", valueName: "file"))
  var output: String?

  @Flag(help: "Print the document itself instead of a summary.")
  var json = false

  func validate() throws {
    guard (1...16_383).contains(sampleRounds ?? 1) else { throw ValidationError("--sample-rounds is from 1 to 16383") }
    guard (1...16_384).contains(nodesPerRack ?? 1) else { throw ValidationError("--nodes-per-rack is from 1 to 16384") }
    guard !name.isEmpty, name.count <= 200, name == name.oneLine else {
      throw ValidationError("--name is of 1 to 200 printable characters")
    }
    var measurement = LinkMeasurement()
    try probe.set(&measurement)
    do { try measurement.check() } catch { throw ValidationError("\(error)") }
  }

  func run() throws {
    try reportingErrors {
      var measurement = LinkMeasurement()
      if engine == .ncclTests { measurement.engine = nccl.engine }
      measurement.name = name
      measurement.isLoaded = mode == .loaded
      measurement.measuresLoopback = loopback
      measurement.sampledRoundCount = sampleRounds
      measurement.nodesPerRack = nodesPerRack
      measurement.resumedFile = resume
      try place.set(&measurement)
      try probe.set(&measurement)
      if let output, try measurement.coordinatesHere() { try tryWritingFile(at: output) }
      let interruption = Interruption()
      var progress = ProgressLine()
      let unit = engine == .tcp ? "links" : "runs"
      let outcome = try measurement.run(
        isInterrupted: { interruption.isRequested },
        progress: { done, total in progress.show(done: done, of: total, doing: unit) })
      progress.clear()
      guard let outcome else { return }
      if let links = outcome.links {
        if let output { try links.write(to: output) }
        try emit(json ? links.json : LinksReport(links: links.document).text)
      }
      guard let shortfall = outcome.shortfall else { return }
      if outcome.wasInterrupted {
        let rest = outcome.links == nil ? "nothing was measured, and nothing is written" : shortfall
        throw complaint("interrupted; \(rest)", .interrupted)
      }
      throw complaint(shortfall, outcome.links == nil ? .failure : .partial)
    }
  }
}
