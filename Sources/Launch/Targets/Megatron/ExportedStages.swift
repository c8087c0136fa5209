import Documents

/// What exported files beside the arguments say of stages and ranks: `rank.sh` gives the ranks of some stages words of
/// their own, and `placement.tsv` has a line for every rank.
struct ExportedStages {
  /// Words of each stage that has some, by its number.
  private(set) var words: [Int: [String]] = [:]
  private(set) var rankCount: Int?

  /// Takes what a file says; false if it is neither of the two.
  mutating func take(_ file: LaunchFile) throws(DocumentError) -> Bool {
    let lines = file.text.split(separator: "\n").map(String.init)
    if lines.first?.hasPrefix("rank\tnode\t") == true {
      rankCount = lines.count - 1
      return true
    }
    guard file.text.hasPrefix("#!"), lines.contains("command=()") else { return false }
    guard let start = lines.firstIndex(of: LaunchFile.stageWordsOpening) else { return true }
    for line in lines[(start + 1)...].prefix(while: { $0 != "esac" }) {
      // `  2) command+=(--flag value) ;;`
      let halves = line.split(separator: ")", maxSplits: 1).map(String.init)
      let opening = " command+=(", closing = ") ;;"
      guard halves.count == 2, let stage = Int(halves[0].filter { $0 != " " }), halves[1].hasPrefix(opening),
        halves[1].hasSuffix(closing)
      else {
        throw DocumentError(
          source: file.name, location: "", expected: "expected the words of a stage", found: "\"\(line.oneLine)\"")
      }
      words[stage] = try parseCommandLine(
        String(halves[1].dropFirst(opening.count).dropLast(closing.count)), source: file.name)
    }
    return true
  }
}

extension LaunchFile {
  /// The line of an exported `rank.sh` below which the words of stages are.
  static let stageWordsOpening = "case \"$stage\" in"

  /// Whether this is an exported `rank.sh` that gives the ranks of some stages words of their own.
  package var givesStagesWords: Bool {
    name.split(separator: "/").last == "rank.sh" && text.contains("\n\(Self.stageWordsOpening)\n")
  }
}
