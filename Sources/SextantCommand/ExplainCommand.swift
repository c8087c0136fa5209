import ArgumentParser
import Sextant

/// `sextant explain`.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what a plan is, where its time and memory go, why others lost, and what would have to change.")

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Flag(help: "Print the plan itself instead of a summary.")
  var json = false

  func run() throws {
    try reportingErrors {
      let plan = try Plan.file(plan)
      if json { return try emit(plan.json) }
      let explanation = try plan.explanation()
      try emit(
        PlanReport(plan: plan.document).text + SensitivityReport(explanation: explanation).text
          + OrderGainReport(plan: plan.document, gain: explanation.orderGain).text
          + ProofReport(certificate: plan.certificate.document).text)
    }
  }
}
