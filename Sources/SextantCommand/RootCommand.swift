import ArgumentParser
import Foundation
import Sextant

/// The command line: one subcommand a file, each parses, calls the front door of ``Sextant`` and prints.
@main
struct RootCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sextant",
    abstract: "Plans the parallel training of large models on a described cluster.",
    discussion: """
      Exit codes: 0 good, 1 failure, 2 no feasible plan, or none that the framework can be told, 3 a plan does not hold, \
      or not in miniature, 4 links measured in part, 64 usage, 65 bad input data, 130 interrupted (with what there is so \
      far written).
      """,
    version: Planner.version,
    subcommands: [
      PlanCommand.self, EstimateCommand.self, ExplainCommand.self, VerifyCommand.self, DryRunCommand.self,
      ExportCommand.self, ImportCommand.self, CalibrateCommand.self, ValidateCommand.self, ProfileCommand.self,
    ])

  /// As ArgumentParser's own, but that every error is one line, and that a closed pipe is an error and not a signal.
  static func main() {
    signal(SIGPIPE, SIG_IGN)
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
      // The parser lists choices a line each.
      let lines = message(for: error).split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      exit(withError: complaint("\(lines.joined(separator: " ")) (see sextant --help)", .usage))
    }
  }
}
