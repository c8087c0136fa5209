package import Documents
import JSONText

/// Everything that starts a plan with a framework and a launcher: files of one folder, which run as they are once its
/// `settings.sh` is filled in.
package struct LaunchFolder: Sendable, Equatable {
  /// In the order of their names.
  package let files: [LaunchFile]
  /// Settings that the user must fill in, in their order.
  package let requiredSettings: [String]
  /// How to start it, as Markdown.
  package let instructions: String

  /// - Throws: ``LaunchRefusal`` with the nearest that the target can, where it cannot express the plan.
  package init(
    of plan: Plan, for target: any LaunchTarget.Type, by launcher: JobLauncher, on hosts: HostAssignment
  ) throws(LaunchRefusal) {
    let command = try target.program(of: plan)
    precondition(
      (command.settings.map(\.name) + command.environment.map(\.name)).allSatisfy(Shell.isVariable),
      "a setting has the name of a variable")
    let job = LaunchJob(plan, targetName: target.name, hosts: hosts)
    let files =
      [
        SettingsFile.file(of: command, launcher: launcher, job: job),
        PlacementFile.placement(of: plan, hosts: job.hosts), PlacementFile.hosts(of: job),
        SharedScript.file(of: command, job: job), RankScript.file(of: command),
        FolderReadMe.file(of: command, plan: plan, target: target, launcher: launcher, job: job),
        LaunchFile(name: "plan.json", text: plan.json.text(style: .pretty)),
      ] + launcher.files(of: job) + command.files
    precondition(Set(files.map(\.name)).count == files.count, "every file of a launch folder has a name of its own")
    self.files = files.sorted { $0.name < $1.name }
    requiredSettings = SettingsFile.required(of: command)
    instructions = launcher.instructions(for: job)
  }

  /// The name of the file that lists what was written, by which a later export knows its own.
  package static let listName = ".sextant-export"

  /// What to write where a folder of an earlier export may be: its `settings.sh` stays where it has all variables of the
  /// new one, else it is kept as `settings.old.sh`.
  ///
  /// - Parameter settings: the text of the folder's `settings.sh`; nil where there is none.
  package func files(over settings: String?) -> [LaunchFile] {
    guard let settings, let own = files.first(where: { $0.name == SettingsFile.name }), settings != own.text else {
      return files
    }
    if SettingsFile.variables(in: own.text).isSubset(of: SettingsFile.variables(in: settings)) {
      return files.map { $0.name == SettingsFile.name ? LaunchFile(name: $0.name, text: settings) : $0 }
    }
    return files + [LaunchFile(name: "settings.old.sh", text: settings)]
  }
}
