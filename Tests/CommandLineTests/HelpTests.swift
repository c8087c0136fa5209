import Testing

@Suite struct HelpTests {
  @Test func everySubcommandExplainsItself() async throws {
    let folder = try Workspace()
    let help = try await folder.sextant("--help").succeeded()
    #expect(try await folder.sextant().succeeded() == help)
    for command in ["plan", "estimate", "explain", "validate", "calibrate", "profile"] {
      #expect(help.contains("  \(command) "))
      let own = try await folder.sextant(command, "--help").succeeded()
      #expect(own.contains("USAGE: sextant \(command)"))
      #expect(try await folder.sextant("help", command).succeeded() == own)
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
    for code in ["1 failure", "2 no feasible plan", "64 usage", "65 bad input", "130 interrupted"] {
      #expect(help.split(whereSeparator: \.isWhitespace).joined(separator: " ").contains(code))
    }
  }
}
