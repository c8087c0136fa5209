import Documents

/// `README.md` of a launch folder: what to fill in, how to start, what was assumed.
enum FolderReadMe {
  static func file(
    of command: RankCommand, plan: Plan, target: any LaunchTarget.Type, launcher: JobLauncher, job: LaunchJob
  ) -> LaunchFile {
    let required = SettingsFile.required(of: command)
    let fill =
      required.isEmpty
      ? "Nothing has to be filled in; `settings.sh` holds what may be changed."
      : "`settings.sh` is the one file to fill in. Nothing starts before these have values: \(required.joined(separator: ", "))."
    var text = """
      # \(plan.job.model.name) by \(target.capabilities.title)

      A launch folder for \(target.name) (\(target.capabilities.version)), started by \(launcher.rawValue): \
      \(count(job.rankCount, "rank")) on \(count(job.nodeCount, "node")). Written by `sextant export` from `plan.json`, \
      which `sextant explain plan.json` explains.

      ## Fill in

      \(fill)

      ## Start

      \(launcher.instructions(for: job))

      Every rank prints `rank R on HOST device D`, and stops the job when that is not where `placement.tsv` has it.

      ## Assumed


      """
    if launcher != .kubernetes {
      text += "- The folder is at the same path on every node, and so is what the settings name.\n"
    } else {
      text += "- Pods see this folder at /launch, and cannot write to it.\n"
    }
    if job.hosts == nil, job.nodeCount > 1 {
      text += "- The cluster's nodes have no names and are alike, so that any host may be any node of the plan.\n"
    }
    for note in command.notes { text += "- \(note)\n" }
    text += "\n## Files\n\n| file | what it is |\n|---|---|\n"
    text += "| `settings.sh` | what the user fills in |\n"
    text += "| `placement.tsv` | rank, node, device and pipeline stage |\n"
    text += "| `hosts` | a host file in the plan's order |\n"
    text += "| `rank.sh` | what every rank runs: the check, then the program |\n"
    text += "| `common.sh` | what the scripts share |\n"
    for file in command.files { text += "| `\(file.name)` | \(target.capabilities.title)'s configuration |\n" }
    for file in launcher.files(of: job) { text += "| `\(file.name)` | \(launcher.rawValue)'s |\n" }
    return LaunchFile(name: "README.md", text: text)
  }

  private static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
