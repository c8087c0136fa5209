import ArgumentParser
import Documents
import JSONText
import Search

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
      let plan = try Plan(contentsOf: plan)
      try emit(
        json
          ? plan.json.text(style: .pretty)
          : PlanReport(plan: plan).text + SensitivityReport(plan: plan, sensitivity: Sensitivity(plan)).text
            + OrderGainReport(plan: plan, gain: OrderGain(plan)).text + ProofReport(certificate: plan.certificate).text)
    }
  }
}
