import ArgumentParser

/// The command line: one subcommand a file, each parses, loads, calls one function and prints.
@main
struct Sextant: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sextant",
    abstract: "Plans the parallel training of large models on a described cluster.",
    discussion: """
      Exit codes: 0 good, 1 failure, 2 no feasible plan, 64 usage, 65 bad input data, 130 interrupted (with the best \
      plan so far written).
      """,
    version: toolVersion,
    subcommands: [
      PlanCommand.self, EstimateCommand.self, ExplainCommand.self, CalibrateCommand.self, ValidateCommand.self,
    ])
}

/// The version that plans carry.
let toolVersion = "0.1.0"
