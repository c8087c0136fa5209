import ArgumentParser

/// `sextant profile`: what the links of a cluster really deliver.
struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile",
    abstract: "Measure, read and show what the links of a cluster really deliver.",
    subcommands: [ProfileLinksCommand.self, ProfileImportCommand.self, ProfileShowCommand.self])
}
