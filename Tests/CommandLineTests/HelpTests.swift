import Foundation
import Testing

@Suite struct HelpTests {
  /// A command as it describes itself to programs.
  private struct Command: Decodable {
    let commandName: String
    let subcommands: [Command]?

    /// The words of every subcommand, and of theirs.
    var paths: [[String]] {
      (subcommands ?? []).filter { $0.commandName != "help" }.flatMap { one in
        [[one.commandName]] + one.paths.map { [one.commandName] + $0 }
      }
    }
  }

  private struct Dump: Decodable { let command: Command }

  @Test func everySubcommandExplainsItself() async throws {
    let folder = try Workspace()
    let help = try await folder.sextant("--help").succeeded()
    #expect(try await folder.sextant().succeeded() == help)
    let dump = try await folder.sextant("--experimental-dump-help").succeeded()
    let commands = try JSONDecoder().decode(Dump.self, from: Data(dump.utf8)).command.paths
    #expect(commands.count { $0.count == 1 } == 10 && commands.contains(["profile", "links"]), "\(commands)")
    for command in commands {
      if command.count == 1 { #expect(help.contains("  \(command[0]) ")) }
      let own = try await folder.sextant(command + ["--help"]).succeeded()
      #expect(own.contains("USAGE: sextant \(command.joined(separator: " "))"))
      #expect(try await folder.sextant(["help"] + command).succeeded() == own)
    }
  }

  @Test func theVersionIsThatOfThePlansItWrites() async throws {
    let folder = try Workspace()
    let version = try await folder.sextant("--version").succeeded()
    let plan = try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--json"
    ).succeeded()
    #expect(plan.contains("\"tool_version\": \"\(version.dropLast())\""))
  }

  @Test func exitCodesAreInTheHelp() async throws {
    let help = try await Workspace().sextant("--help").succeeded()
    for code in [
      "0 good", "1 failure", "2 no feasible plan", "3 a plan does not hold", "4 links measured in part", "64 usage",
      "65 bad input", "130 interrupted",
    ] {
      #expect(help.split(whereSeparator: \.isWhitespace).joined(separator: " ").contains(code))
    }
  }
}
