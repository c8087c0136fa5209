import ArgumentParser
import Documents
import JSONText

/// `sextant explain`.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say what a plan is, where its time and memory go, and why the best of each other kind lost.")

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Flag(help: "Print the plan itself instead of a summary.")
  var json = false

  func run() throws {
    try reportingErrors {
      let plan = try Plan(contentsOf: plan)
      try emit(json ? plan.json.text(style: .pretty) : PlanReport(plan: plan).text)
    }
  }
}
