import Documents
import JSONText

/// What a file states of Megatron-LM's flags: an argument file, a command line, a script of one, or the `MODEL_ARGS` of Megatron-LM's own
/// test cases.
///
/// As `argparse` has it, a flag's values are the words up to the next flag, and the last of several statements holds. A
/// flag without values is true.
struct MegatronFlags {
  /// For complaints about the file as a whole.
  let whole: Field
  private var fields: [String: Field]

  /// Reads a file of any of the three kinds.
  init(_ file: LaunchFile) throws(DocumentError) {
    let isYAML = file.name.hasSuffix(".yaml") || file.name.hasSuffix(".yml")
    guard !isYAML else {
      let document = try parseYAML(file.text, source: file.name)
      var fields: [String: Field] = [:]
      var members = try document.fields()
      let arguments = try members.required("MODEL_ARGS")
      guard case .object(let flags) = arguments.value else { throw arguments.error(expected: "an object") }
      for flag in flags where flag.value != .null && flag.value != .boolean(false) {
        fields[flag.key] = Field(flag.value, source: file.name, pointer: "/MODEL_ARGS/\(flag.key)")
      }
      self.init(whole: Field(.null, source: file.name), fields: fields)
      return
    }
    let words = try parseCommandLine(file.text, source: file.name)
    self.init(words: ShellVariables.expanded(words), source: file.name)
  }

  init(words: [String], source: String) {
    var fields: [String: Field] = [:]
    var flag: String?
    var values: [String] = []
    func field(_ flag: String) -> Field {
      let scalars = values.map(Self.scalar)
      return Field(
        scalars.isEmpty ? .boolean(true) : scalars.count == 1 ? scalars[0] : .array(scalars), source: source,
        pointer: flag)
    }
    for word in words {
      if word.hasPrefix("--"), word.count > 2 {
        if let flag { fields[flag] = field(flag) }
        let halves = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        flag = halves[0]
        values = Array(halves.dropFirst())
      } else if Self.endsValues(word) {
        if let flag { fields[flag] = field(flag) }
        flag = nil
        values = []
      } else {
        values.append(word)
      }
    }
    if let flag { fields[flag] = field(flag) }
    self.init(whole: Field(.null, source: source), fields: fields)
  }

  private init(whole: Field, fields: [String: Field]) {
    self.whole = whole
    self.fields = fields
  }

  /// The flags with others beside or over them.
  func adding(_ others: MegatronFlags) -> MegatronFlags {
    var copy = self
    copy.fields.merge(others.fields) { $1 }
    return copy
  }

  /// Whether a word belongs to the shell: the end of a command, of an array, or the beginning of one.
  private static func endsValues(_ word: String) -> Bool {
    ["|", "||", "&&", "&", ";", ")", ">", ">>", "<", "2>&1"].contains(word) || word.hasSuffix("=(")
  }

  private static func scalar(_ word: String) -> JSON {
    if let integer = Int(word) { return .integer(integer) }
    let isNumber = !word.isEmpty && word.allSatisfy { "0123456789+-.eE".contains($0) }
    if isNumber, let number = Double(word), number.isFinite { return .number(number) }
    return .string(word)
  }

  /// A flag's value and where it stands; nil where it is not stated.
  subscript(flag: String) -> Field? { fields[flag] }

  /// Whether no flag is stated.
  var isEmpty: Bool { fields.isEmpty }

  /// Whether a flag is stated.
  func has(_ flag: String) -> Bool { fields[flag] != nil }

  /// The value of a flag that must be there.
  func required(_ flag: String) throws(DocumentError) -> Field {
    guard let field = fields[flag] else {
      throw DocumentError(source: whole.source, location: "", expected: "expected the flag \(flag)", found: "none")
    }
    return field
  }

  func integer(_ flag: String, in range: ClosedRange<Int>) throws(DocumentError) -> Int? {
    try fields[flag]?.integer(in: range)
  }

  func number(_ flag: String, in range: ClosedRange<Double>) throws(DocumentError) -> Double? {
    try fields[flag]?.number(in: range, expected: "a number from \(range.lowerBound) to \(range.upperBound)")
  }

  /// One of a closed list of words.
  func word(_ flag: String, of words: [String]) throws(DocumentError) -> String? {
    guard let field = fields[flag] else { return nil }
    _ = try field.place(among: words.map(JSON.string))
    return try field.string()
  }
}
