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

  /// As ArgumentParser's own, but that every error is one line, that nothing that is given is dropped, and that streams
  /// which cannot be written to are errors and no signals.
  static func main() {
    signal(SIGPIPE, SIG_IGN)
    StandardStreams.occupy()
    do {
      if let sentence = RepeatedOptions.complaint(Array(CommandLine.arguments.dropFirst())) {
        throw ValidationError(sentence)
      }
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Foundation.exit(status(of: error).rawValue)
    }
  }

  /// Says what is to be said of an error, or of help that was asked for; what the process ends with.
  private static func status(of error: any Error) -> ExitCode {
    switch exitCode(for: error) {
    case .validationFailure:
      // The parser lists choices a line each.
      let lines = message(for: error).split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      return complaint("\(lines.joined(separator: " ")) (see sextant --help)", .usage)
    case .success:
      do { try emit(fullMessage(for: error) + "\n") } catch { return exitCode(for: error) }
      return .success
    case let code: return code
    }
  }
}
