import ArgumentParser
import JSONText
import Sextant

/// `sextant verify`.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Compute a plan's time, memory and bound again, and refuse a plan that does not hold.",
    discussion: """
      Everything is computed from what is inside the plan: cluster, links, device, job, strategy and split. The search \
      is made again as well. Exit code 3 when anything differs, with the first place in one line; --json lists all.
      """)

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Option(help: "Threads that price strategies; the answer does not depend on it.")
  var threads: Int?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...256).contains(threads ?? 1) else { throw ValidationError("--threads is from 1 to 256") }
  }

  func run() throws {
    try reportingErrors {
      let read = try Plan.file(plan)
      let verification = try read.verification(threads: threads)
      let disagreements = verification.disagreements
      let report = VerificationReport(plan: read.document, verification: verification.document)
      if json { try emit(report.json.text(style: .pretty)) }
      if let first = disagreements.first {
        let others = disagreements.count > 1 ? " (and \(disagreements.count - 1) more)" : ""
        throw complaint(
          "\(plan): does not hold: \(first)\(others)", .disagreement)
      }
      if !json { try emit(report.text) }
    }
  }
}
