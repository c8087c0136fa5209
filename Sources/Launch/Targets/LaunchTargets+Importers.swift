extension LaunchTargets {
  /// A framework whose files are read, by the word of `--from`.
  package struct Importer: Sendable {
    package let name: String
    package let target: any LaunchTarget.Type
  }

  /// One for each framework, the reader of all its dialects.
  package static let importers: [Importer] = [
    ("megatron", "megatron-lm"), ("deepspeed", "deepspeed"), ("torchtitan", "torchtitan"), ("nanotron", "nanotron"),
  ].compactMap { word, name in named(name).map { Importer(name: word, target: $0) } }

  /// The reader of a name: a framework's, or a target's own.
  package static func importer(named name: String) -> (any LaunchTarget.Type)? {
    importers.first { $0.name == name.lowercased() }?.target ?? named(name)
  }
}
