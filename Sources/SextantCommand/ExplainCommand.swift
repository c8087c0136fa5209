import ArgumentParser
import Sextant

/// `sextant explain`.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what a plan is, where its time and memory go, why others lost, and what would have to change.",
    discussion: """
      Time, memory and what needs no search are computed again, and a plan that states something else is refused (exit \
      3). What it states of other strategies and of its search is printed as the file's own claim: sextant verify asks \
      the question again.
      """)

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Flag(help: "Print the plan itself instead of a summary.")
  var json = false

  func run() throws {
    try reportingErrors {
      let plan = try Plan.file(plan)
      if json { return try emit(plan.json) }
      if let first = try plan.disagreementsWithoutSearch().first {
        throw complaint("\(self.plan): does not hold: \(first)", .disagreement)
      }
      let explanation = try plan.explanation()
      try emit(
        "Other strategies and the search below are the file's own claim; sextant verify asks the question again.\n\n"
          + PlanReport(plan: plan.document).text + SensitivityReport(explanation: explanation).text
          + OrderGainReport(plan: plan.document, gain: explanation.orderGain).text
          + ProofReport(certificate: plan.certificate.document).text)
    }
  }
}
