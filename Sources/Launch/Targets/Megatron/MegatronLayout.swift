import Documents

/// The text of `--pipeline-model-parallel-layout`: which layers every stage has, chunk by chunk.
///
/// `E` is the embedding, `t` a transformer layer, `m` a layer of multi-token prediction and `L` the loss; `|` ends a stage,
/// `x*n` is n times x, `(…)*n` n times what is between, and commas are decoration. Entry i is chunk i / p of stage i mod p
/// (Megatron-LM, `core/transformer/pipeline_parallel_layer_layout.py`, d98e8a64).
struct MegatronLayout: Equatable {
  /// Layers of every virtual stage; none of them may be all that a stage has.
  var layerCounts: [Int]
  /// Layers of multi-token prediction.
  var predictionLayerCount = 0
  /// Whether these are in the last stage, with the loss.
  var predictsWithLoss = true

  init(layerCounts: [Int]) { self.layerCounts = layerCounts }

  /// The layout in few letters: runs of alike stages, and of layers, are multiplied.
  var text: String {
    var text = "E"
    var stage = 0
    while stage < layerCounts.count {
      let count = layerCounts[stage]
      var end = stage
      while end < layerCounts.count, layerCounts[end] == count { end += 1 }
      // The last stage ends with the loss, not with a bar.
      let barred = min(end, layerCounts.count - 1) - stage
      let one = Self.layers(count) + "|"
      text += barred > 2 ? "(\(one))*\(barred)" : String(repeating: one, count: barred)
      if end == layerCounts.count { text += Self.layers(count) }
      stage = end
    }
    return text + String(repeating: "m", count: predictionLayerCount) + "L"
  }

  private static func layers(_ count: Int) -> String {
    count > 3 ? "t*\(count)" : String(repeating: "t", count: count)
  }

  /// Reads a layout.
  ///
  /// - Parameter field: the text, and where it stands.
  init(_ field: Field) throws(DocumentError) {
    let letters = try Self.unrolled(field)
    layerCounts = []
    let stages = letters.split(separator: "|", omittingEmptySubsequences: false)
    var predictionLayers = 0
    for stage in stages {
      layerCounts.append(stage.count { $0 == "t" })
      predictionLayers += stage.count { $0 == "m" }
    }
    predictionLayerCount = predictionLayers
    predictsWithLoss = predictionLayers == stages.last?.count { $0 == "m" }
    if let other = letters.first(where: { !"EtmL|".contains($0) }) {
      throw field.conflict("a layout is of the letters E, t, m, L and |, and has \"\(String(other).oneLine)\"")
    }
    let ends = letters.filter { $0 == "E" || $0 == "L" }
    guard letters.first == "E", letters.last == "L", ends == "EL" else {
      throw field.conflict("a layout begins with its one embedding E and ends with its one loss L")
    }
    if let first = letters.firstIndex(of: "m"), letters[first...].contains("t") {
      throw field.conflict("layers of a layout that predict further tokens (m) follow all others (t)")
    }
  }

  /// The letters with everything multiplied out: first what is in parentheses, then single letters.
  private static func unrolled(_ field: Field) throws(DocumentError) -> String {
    var letters = Array(try field.string().filter { $0 != "," })
    while let open = letters.firstIndex(of: "("), let close = letters[open...].firstIndex(of: ")") {
      guard let times = Self.factor(in: letters, at: close + 1) else {
        throw field.conflict("parentheses of a layout are followed by *n")
      }
      let inner = Array(letters[(open + 1)..<close])
      guard !inner.contains("(") else { throw field.conflict("parentheses of a layout are not nested") }
      let repeated = try Self.repeated(inner, times: times.value, at: field)
      letters.replaceSubrange(open..<times.end, with: repeated)
    }
    var result: [Character] = []
    var place = 0
    while place < letters.count {
      if let times = Self.factor(in: letters, at: place + 1) {
        result += try Self.repeated([letters[place]], times: times.value, at: field)
        place = times.end
      } else {
        result.append(letters[place])
        place += 1
      }
    }
    return String(result)
  }

  /// The number behind a star at a place, and where it ends.
  private static func factor(in letters: [Character], at place: Int) -> (value: Int, end: Int)? {
    guard place < letters.count, letters[place] == "*" else { return nil }
    let digits = letters[(place + 1)...].prefix { $0.isASCII && $0.isNumber }
    guard let value = Int(String(digits)) else { return nil }
    return (value, digits.endIndex)
  }

  /// Letters that no model needs more of.
  private static let mostLetters = 1_000_000

  private static func repeated(_ letters: [Character], times: Int, at field: Field) throws(DocumentError) -> [Character]
  {
    guard times <= mostLetters / max(1, letters.count) else {
      throw field.conflict("a layout has at most \(mostLetters) letters")
    }
    return Array(repeatElement(letters, count: times).joined())
  }
}
