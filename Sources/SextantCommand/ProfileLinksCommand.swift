import ArgumentParser
import Documents
import Foundation
import JSONText
import Profiling
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
      --resume measures what is missing.
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

  @Flag(inversion: .prefixedNo, help: "Measure the loopback interface inside each node too.")
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
    _ = try probe.settings()
  }

  func run() throws {
    try reportingErrors {
      if engine == .ncclTests { return try runNCCLTests() }
      let watch = Interruption(heedsTermination: true)
      let isInterrupted = { @Sendable in watch.isRequested }
      if let hosts = try place.hostNames() {
        let run = try place.run(at: Launcher(rank: 0, size: hosts.count), maximumBytesPerSecond: nil)
        let launch = place.launch(hosts: hosts, nodeArguments: probe.arguments)
        try report(nodeCount: hosts.count, names: hosts) { order, progress in
          try run.conduct(order, launching: launch, isInterrupted: isInterrupted, progress: progress)
        }
      } else {
        let place = try self.place.place()
        let run = try self.place.run(at: place, maximumBytesPerSecond: probe.limitRate)
        if place.rank > 0 || !self.place.coordinate { return try run.takePart(isInterrupted: isInterrupted) }
        try report(nodeCount: place.size, names: place.hostNames) { order, progress in
          try run.conduct(order, isInterrupted: isInterrupted, progress: progress)
        }
      }
    }
  }

  /// Measures as rank 0, then prints and writes.
  private func report(
    nodeCount: Int, names: [String],
    conduct: (LinkCoordinator.Order, (Int, Int) -> Void) throws -> LinkSurvey
  ) throws {
    guard nodeCount > 1 else { throw ValidationError("links are between nodes: there is only one") }
    let earlier = try resume.map { (path) throws(DocumentError) in try MeasuredLinks(resuming: path) }
    let order = LinkCoordinator.Order(
      nodeCount: nodeCount, settings: try probe.settings(), isLoaded: mode == .loaded, measuresLoopback: loopback,
      sampledRoundCount: sampleRounds, joinSeconds: place.joinTimeout, expectedNames: names,
      known: earlier.map(LinkCoordinator.known) ?? [])
    let caption = LinkSurvey.Caption(
      name: name, source: "sextant \(Planner.version) profile links, \(order.words)", time: Date.now.ISO8601Format())
    var progress = ProgressLine()
    let survey = try conduct(order) { done, total in progress.show(done: done, of: total, doing: "links") }
    progress.clear()
    if survey.measuredCount == 0, !survey.wasInterrupted, !survey.isComplete {
      throw complaint("nothing was measured: \(survey.shortfall)", .failure)
    }
    let links = survey.document(
      caption, resuming: earlier,
      inferringFromBlocks: sampleRounds == nil ? nil : survey.blocks(nodesPerRack: nodesPerRack))
    try finish(links)
    if survey.wasInterrupted { throw complaint("interrupted; \(survey.shortfall)", .interrupted) }
    if !survey.isComplete { throw complaint(survey.shortfall, .partial) }
  }

  private func finish(_ links: MeasuredLinks) throws {
    let text = links.json.text(style: .pretty)
    if let output { try writeFileAtomically(Array(text.utf8), to: output) }
    try emit(json ? text : LinksReport(links: links).text)
  }

  private func runNCCLTests() throws {
    let hosts = try place.hostNames() ?? Launcher(environment: ProcessInfo.processInfo.environment)?.hostNames ?? []
    guard hosts.count > 1 else { throw ValidationError("--engine nccl-tests needs the hosts: --hosts or --host-file") }
    let watch = Interruption(heedsTermination: true)
    var progress = ProgressLine()
    let outcome = try nccl.run(hosts: hosts, isLoaded: mode == .loaded).outcome(
      name: name, isInterrupted: { watch.isRequested },
      progress: { done, total in progress.show(done: done, of: total, doing: "runs") })
    progress.clear()
    if let links = outcome.links { try finish(links) }
    if outcome.wasInterrupted { throw complaint("interrupted; \(outcome.shortfall)", .interrupted) }
    guard outcome.links != nil else { throw complaint(outcome.shortfall, .failure) }
    if !outcome.failures.isEmpty { throw complaint(outcome.shortfall, .partial) }
  }
}
