/// What every rank starts, whichever launcher starts it: files beside the scripts, what the user fills in, and a command.
package struct RankCommand: Sendable, Equatable {
  /// A variable of `settings.sh`, which the user fills in: data, tokenizer, paths.
  package struct Setting: Sendable, Equatable {
    /// Upper case, such as `DATA_PATH`.
    package let name: String
    /// What it is before the user changes it; empty where only the user knows, and then nothing starts until it is
    /// filled in, unless it ``isOptional``.
    package let value: String
    /// What it is for: a line.
    package let comment: String
    /// Whether the run starts while it is empty.
    package let isOptional: Bool

    package init(_ name: String, value: String, comment: String, isOptional: Bool = false) {
      self.name = name
      self.value = value
      self.comment = comment
      self.isOptional = isOptional
    }
  }

  /// One word, or several, of the command line.
  package enum Word: Sendable, Equatable {
    /// This word, whatever characters are in it.
    case literal(String)
    /// The value of a setting, as one word.
    case setting(String)
    /// A word that begins with a literal and ends with the value of a setting: `--flag=` and its value.
    case prefixed(String, setting: String)
    /// The path of a file of the launch folder.
    case file(String)
    /// The words in a file of the launch folder, one a line.
    case words(inFile: String)
  }

  /// Configuration files.
  package var files: [LaunchFile]
  package var settings: [Setting]
  /// Variables that the framework's own checks demand, in order.
  package var environment: [(name: String, value: String)]
  /// The program and its arguments, such as `python`, `$MEGATRON/pretrain_gpt.py` and what is in a file.
  package var command: [Word]
  /// What the ranks of each pipeline stage get at the end of the command; empty where stages do not differ.
  package var stageArguments: [[String]]
  /// What was assumed, or is left to the user, for the launch folder's README: a sentence each.
  package var notes: [String]

  package init(
    files: [LaunchFile], settings: [Setting], environment: [(name: String, value: String)] = [], command: [Word],
    stageArguments: [[String]] = [], notes: [String] = []
  ) {
    self.files = files
    self.settings = settings
    self.environment = environment
    self.command = command
    self.stageArguments = stageArguments
    self.notes = notes
  }

  package static func == (left: Self, right: Self) -> Bool {
    left.files == right.files && left.settings == right.settings && left.command == right.command
      && left.stageArguments == right.stageArguments && left.notes == right.notes
      && left.environment.elementsEqual(right.environment) { $0.name == $1.name && $0.value == $1.value }
  }
}
