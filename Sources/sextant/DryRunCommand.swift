public import ArgumentParser
import Costing
import Documents
public import Execution
import JSONText
import Search

/// `sextant dry-run`.
struct DryRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dry-run",
    abstract: "Execute a plan in miniature, and compare what happens with a serial reference and with the cost model.",
    discussion: """
      A small transformer is trained in one process, by ranks that compute and send what the plan says: its groups, \
      stages, schedule, layer ranges and collectives. Losses, gradient norms and parameters are compared with one rank \
      that trains alone, bytes sent and held with what the cost model counts for the same miniature, idle passes with \
      the schedule. Exit code 3 when anything differs.

      Example: sextant dry-run plan.json --ranks 16
      """)

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Option(help: "The most ranks to execute, 1 to 1024; a plan with more is shrunk.")
  var ranks = 64

  @Option(help: "Optimizer steps, 1 to 100.")
  var steps = 3

  @Option(help: "adam or sgd.")
  var optimizer = DryRun.Options.Optimizer.adam

  @Option(help: "Seed of parameters, tokens and dropout.")
  var seed: UInt64 = 1

  @Flag(help: "Give every rank a thread; the numbers are the same.")
  var threads = false

  @Flag(help: "Round what is kept or sent to the plan's precision; otherwise fp32.")
  var precisionEmulation = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (1...1024).contains(ranks) else { throw ValidationError("--ranks is from 1 to 1024") }
    guard (1...100).contains(steps) else { throw ValidationError("--steps is from 1 to 100") }
  }

  func run() throws {
    try reportingErrors {
      let read = try Plan(contentsOf: plan)
      try refuseUnlessItHolds(read)
      let report: DryRunReport
      do {
        let miniature = try Miniature(of: read, rankLimit: ranks)
        if let sentence = miniature.unsupported { throw complaint("\(plan): \(sentence)", .failure) }
        let run = try DryRun(
          miniature,
          options: DryRun.Options(
            stepCount: steps, optimizer: optimizer, usesThreads: threads, emulatesPrecision: precisionEmulation,
            seed: seed))
        report = DryRunReport(miniature: miniature, run: run)
      } catch let refusal as Miniature.Refusal {
        throw complaint("\(plan): \(refusal)", .badInput)
      } catch let failure as DryRun.Failure {
        throw complaint("\(plan): does not run: \(failure)", .disagreement)
      }
      if json { try emit(report.json.text(style: .pretty)) }
      let disagreements = report.run.disagreements
      if let first = disagreements.first {
        let others = disagreements.count > 1 ? " (and \(disagreements.count - 1) more; --json lists all)" : ""
        throw complaint("\(plan): does not hold in miniature: \(first)\(others)", .disagreement)
      }
      if !json { try emit(report.text) }
    }
  }

  /// A plan whose time or memory is not what its own content says was edited; one that needs more memory than a device
  /// has cannot be run.
  private func refuseUnlessItHolds(_ read: Plan) throws {
    let disagreements = try PlanVerification.predictionDisagreements(of: read)
    if let first = disagreements.first {
      throw complaint(
        "\(plan): was edited after it was written: \(first.path) states \(first.stated), but the model says "
          + "\(first.computed)", .disagreement)
    }
    if let excess = read.memoryExcess {
      throw complaint(
        "\(plan): stage \(excess.stage) needs \(Format.gigabytes(excess.peakBytes)), more than the "
          + "\(Format.gigabytes(excess.limitBytes)) that a device can hold", .disagreement)
    }
  }
}

extension DryRun.Options.Optimizer: ExpressibleByArgument {}
