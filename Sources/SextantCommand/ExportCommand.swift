// A public enum becomes an argument, so its conformance is public.
public import ArgumentParser
import Documents
import JSONText
public import Sextant

/// `sextant export`.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write the files that start a plan with a training framework and a launcher.",
    discussion: """
      Example: sextant export plan.json --for megatron-lm --launcher slurm --output launch

      The folder runs as it is once its settings.sh is filled in (data, tokenizer, paths). At start every rank prints its \
      host and device, and stops the job where they are not the plan's. Exit code 2 when the framework cannot express the \
      plan, with the nearest that it can in the same line.
      """)

  @Argument(help: ArgumentHelp("A plan file.", valueName: "file"))
  var plan: String

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "The framework: one of \(LaunchFolder.launchTargets.joined(separator: ", ")); without it the plan's own.",
      valueName: "target"))
  var target: String?

  @Option(help: "What starts the ranks.")
  var launcher = JobLauncher.torchrun

  @Option(
    help: ArgumentHelp(
      """
      The hosts: a host file (host slots=8, a line each) or a list such as gpu[01-16]. They must be the cluster's nodes \
      where it names them; where it does not, they are its nodes in order.
      """, valueName: "file"))
  var hosts: String?

  @Option(
    help: ArgumentHelp(
      "The folder, written as a whole. One of an earlier export keeps its settings and whatever else lies in it.",
      valueName: "folder"))
  var output: String

  @Flag(help: "Write into a folder that holds other files, and replace those of the same names.")
  var force = false

  @Flag(help: "Print the list of files as JSON.")
  var json = false

  func run() throws {
    try reportingErrors {
      try tryWritingFolder(at: output)
      let plan = try Plan.file(plan)
      switch try plan.launchFolder(for: target, launcher: launcher, hosts: hosts) {
      case .failure(let no): throw complaint("\(self.plan): \(no)", .infeasible)
      case .success(let folder):
        try folder.write(to: output, replacing: force)
        try emit(json ? self.json(folder).text(style: .pretty) : text(folder))
      }
    }
  }

  private func text(_ folder: LaunchFolder) -> String {
    let required = folder.requiredSettings
    return """
      \(output.oneLine): \(folder.fileNames.count) files for \(folder.target), started by \(folder.launcher.rawValue).
      Fill in settings.sh\(required.isEmpty ? " where its values are not yours" : ": \(required.joined(separator: ", "))").
      \(folder.instructions)

      """
  }

  private func json(_ folder: LaunchFolder) -> JSON {
    .object([
      JSONMember("folder", .string(output)), JSONMember("target", .string(folder.target)),
      JSONMember("launcher", .string(folder.launcher.rawValue)),
      JSONMember("required_settings", .array(folder.requiredSettings.map(JSON.string))),
      JSONMember("files", .array(folder.fileNames.map(JSON.string))),
    ])
  }
}

extension JobLauncher: ExpressibleByArgument {}
