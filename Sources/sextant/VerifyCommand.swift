import ArgumentParser
import Costing
import Documents
import Foundation
import JSONText
import Search

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
      let read = try Plan(contentsOf: plan)
      let verification = try PlanVerification(
        read, threadCount: threads ?? ProcessInfo.processInfo.activeProcessorCount)
      let disagreements = verification.disagreements
      if json { try emit(Self.json(of: verification).text(style: .pretty)) }
      if let first = disagreements.first {
        let others = disagreements.count > 1 ? " (and \(disagreements.count - 1) more)" : ""
        throw complaint(
          "\(plan): does not hold: \(first.path) states \(first.stated), but the model says \(first.computed)\(others)",
          .disagreement)
      }
      if !json { try emit(Self.text(of: read, verification)) }
    }
  }

  private static func text(of plan: Plan, _ verification: PlanVerification) -> String {
    let certificate = verification.certificate
    return """
      The plan holds: \(Format.seconds(plan.prediction.iterationSeconds)) an iteration, peak \
      \(Format.gigabytes(plan.prediction.peakBytes)), computed again from the plan alone.
      Searched again: \(Format.count(certificate.enumeratedCount)) strategies, none scores below \
      \(Format.seconds(certificate.lowerBoundSeconds)); the plan scores \(Format.seconds(plan.certificate.scoreSeconds)), \
      gap \(Format.percent(plan.certificate.gap)).

      """
  }

  private static func json(of verification: PlanVerification) -> JSON {
    .object([
      JSONMember("holds", .boolean(verification.disagreements.isEmpty)),
      JSONMember(
        "disagreements",
        .array(
          verification.disagreements.map {
            .object([
              JSONMember("path", .string($0.path)), JSONMember("stated", .string($0.stated)),
              JSONMember("computed", .string($0.computed)),
            ])
          })),
      JSONMember("certificate", verification.certificate.json),
    ])
  }
}
