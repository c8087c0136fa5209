/// `settings.sh`: the one file of a launch folder that the user fills in.
enum SettingsFile {
  static let name = "settings.sh"

  /// How ranks meet, which every launcher needs.
  static let common = [
    LauncherSetting(
      name: "MASTER_ADDR", value: .word(""),
      comment: "Name or address at which the first node is reached; empty takes the first host of the plan."),
    LauncherSetting(name: "MASTER_PORT", value: .word("29500"), comment: "A port that is free on the first node."),
  ]

  static func file(of command: RankCommand, launcher: JobLauncher, job: LaunchJob) -> LaunchFile {
    var text = """
      # The settings of this launch, read by all its scripts on every node.
      #
      # Fill in what is empty; what may stay empty says so. Values are words of a shell: '…' holds anything, but a single
      # quote in it is written '\\''. Relative paths are relative to this folder, in which every rank runs.

      """
    for setting in command.settings {
      text += "\n\(Shell.comment(setting.comment + (setting.isOptional ? " May stay empty." : "")))\n"
      text += "\(setting.name)=\(Shell.quoted(setting.value))\n"
    }
    let own = Set(command.settings.map(\.name))
    for setting in common + launcher.settings(of: job) where !own.contains(setting.name) {
      text += "\n\(Shell.comment(setting.comment))\n"
      switch setting.value {
      case .word(let value): text += "\(setting.name)=\(Shell.quoted(value))\n"
      case .words: text += "\(setting.name)=()\n"
      }
    }
    text += """

      # What every rank needs before it starts goes below this line: module load, source …/bin/activate, export NCCL_….

      """
    return LaunchFile(name: name, text: text)
  }

  /// The settings without which nothing starts.
  static func required(of command: RankCommand) -> [String] {
    command.settings.filter { $0.value.isEmpty && !$0.isOptional }.map(\.name)
  }

  /// The variables that a text assigns at the beginning of a line.
  package static func variables(in text: String) -> Set<String> {
    var names: Set<String> = []
    for line in text.split(whereSeparator: \.isNewline) {
      if let equals = line.firstIndex(of: "="), Shell.isVariable(String(line[..<equals])) {
        names.insert(String(line[..<equals]))
      }
    }
    return names
  }
}
