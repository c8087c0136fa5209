import ArgumentParser

/// `sextant profile`: what the links of a cluster really deliver.
struct ProfileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "profile",
    abstract: "Read and show what the links of a cluster really deliver.",
    subcommands: [ProfileImportCommand.self, ProfileShowCommand.self])
}
