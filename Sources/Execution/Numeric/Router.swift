import Documents
import Glibc

/// Which experts every token is sent to, and how much each of them counts.
///
/// Scores are of fp32 whatever the job's format is. Ties go to the expert, or the group, with the lower number.
struct Router: Sendable {
  let experts: ModelDescription.Experts
  /// Where the matrix, experts × hidden, its bias and the numbers that correct the choice lie in a block's buffer.
  let weight: Range<Int>
  let bias: Range<Int>?
  let correction: Range<Int>?
  /// Whether tokens are dealt out to experts in turn, whatever their scores: token t has experts t·k to t·k + k − 1, counted
  /// round, so that each expert of E has as many of any run of E tokens. How much they count is learned all the same.
  let isBalanced: Bool
  /// How many of a rank's tokens each expert takes.
  let capacity: ExpertCapacity

  /// What a router has made of tokens.
  struct Routing: Sendable {
    /// Products and scores of tokens × experts.
    var logits: Matrix
    var scores: Matrix
    /// By token, its experts, ascending.
    var choices: [[Int]]
    /// By token, what each of these counts.
    var weights: [[Float]]
    /// By token, those of its experts that take it, ascending.
    var taken: [[Int]]

    /// 1 for every expert that a token is sent to, tokens × experts.
    var map: Matrix {
      var map = Matrix(rowCount: logits.rowCount, columnCount: logits.columnCount)
      for (row, experts) in taken.enumerated() {
        for expert in experts { map[row, expert] = 1 }
      }
      return map
    }
  }

  /// - Parameters:
  ///   - tokens: numbers of the tokens in the training data, by which they are dealt out.
  ///   - sources: rows of each rank that tokens are of.
  func route(_ normalised: Matrix, buffer: [Float], tokens: [Int], sources: [[Int]]) -> Routing {
    var logits = normalised.timesTransposed(buffer, weight)
    if let bias { logits.addToRows(buffer, bias) }
    var scores = logits
    for row in 0..<scores.rowCount { score(&scores, row) }
    let choices = (0..<scores.rowCount).map { row in
      isBalanced
        ? (0..<experts.perToken).map { (tokens[row] * experts.perToken + $0) % experts.count }.sorted()
        : chosen(of: Array(scores.elements[row * experts.count..<(row + 1) * experts.count]), buffer)
    }
    let weights = weighed(scores, choices: choices)
    return Routing(
      logits: logits, scores: scores, choices: choices, weights: weights,
      taken: taken(choices, weights: weights, sources: sources))
  }

  /// By token, those of its experts that take it: each expert of each rank's tokens as many as it has room for, those that it
  /// counts most for, and of such as it counts the same for the earlier ones (Megatron Core's
  /// `moe_utils.apply_router_token_dropping` by probabilities, its default). What an expert counts for a token stays as it is
  /// whether or not the token's others take it.
  func taken(_ choices: [[Int]], weights: [[Float]], sources: [[Int]]) -> [[Int]] {
    var taken = [[Int]](repeating: [], count: choices.count)
    for rows in sources {
      guard let room = capacity.rowCount(tokenCount: rows.count, perToken: experts.perToken, expertCount: experts.count)
      else { return choices }
      var asking = [[(row: Int, weight: Float)]](repeating: [], count: experts.count)
      for row in rows {
        for (expert, weight) in zip(choices[row], weights[row]) { asking[expert].append((row, weight)) }
      }
      for (expert, tokens) in asking.enumerated() {
        let sorted = tokens.sorted { $0.weight != $1.weight ? $0.weight > $1.weight : $0.row < $1.row }
        for token in sorted.prefix(room) { taken[token.row].append(expert) }
      }
    }
    return taken
  }

  /// What each of a token's experts counts, of the scores of all.
  func weighed(_ scores: Matrix, choices: [[Int]]) -> [[Float]] {
    choices.enumerated().map { row, chosen in weights(chosen.map { scores[row, $0] }) }
  }

  /// The experts of a token, ascending: the k with the largest scores, the correction added for the choice alone (Wang et al.
  /// 2024); of groups only those few with the largest best score, or with a correction sum of the two best (DeepSeek-AI
  /// 2024, section 2.1.2).
  func chosen(of scores: [Float], _ buffer: [Float]) -> [Int] {
    var values = scores
    if let correction { for expert in values.indices { values[expert] += buffer[correction.lowerBound + expert] } }
    var open = Array(values.indices)
    if let groups = experts.groups {
      let size = experts.count / groups.count
      let best = (0..<groups.count).map { group -> Float in
        let sorted = values[group * size..<(group + 1) * size].sorted(by: >)
        return correction == nil ? sorted[0] : sorted.prefix(2).reduce(0, +)
      }
      let kept = Set(Self.largest(groups.kept, of: Array(best.indices), by: best))
      open = open.filter { kept.contains($0 / size) }
    }
    return Self.largest(experts.perToken, of: open, by: values).sorted()
  }

  private static func largest(_ count: Int, of candidates: [Int], by values: [Float]) -> ArraySlice<Int> {
    candidates.sorted { values[$0] != values[$1] ? values[$0] > values[$1] : $0 < $1 }.prefix(count)
  }

  /// Gradients of the router's parameters and input.
  ///
  /// - Parameter weightGradients: by token, of what each of its experts counts.
  /// - Returns: the gradient of `normalised`.
  func backward(
    _ weightGradients: [[Float]], scores: Matrix, choices: [[Int]], normalised: Matrix, buffer: [Float],
    gradient: inout [Float]
  ) -> Matrix {
    var logits = Matrix(rowCount: scores.rowCount, columnCount: scores.columnCount)
    for (row, chosen) in choices.enumerated() {
      let ofScores = scoreGradients(weightGradients[row], of: chosen.map { scores[row, $0] })
      for (expert, value) in zip(chosen, ofScores) { logits[row, expert] = value }
      logitGradients(&logits, scores, row)
    }
    logits.addTransposedProduct(with: normalised, to: &gradient, weight)
    if let bias { logits.addColumnSums(to: &gradient, bias) }
    return logits.times(buffer, weight)
  }

  // MARK: Scores and weights of a token

  private func score(_ values: inout Matrix, _ row: Int) {
    let range = row * experts.count..<(row + 1) * experts.count
    switch experts.score {
    case .sigmoid: for at in range { values.elements[at] = 1 / (1 + exp(-values.elements[at])) }
    case .softmax:
      let largest = values.elements[range].max() ?? 0
      var sum: Float = 0
      for at in range {
        values.elements[at] = exp(values.elements[at] - largest)
        sum += values.elements[at]
      }
      for at in range { values.elements[at] /= sum }
    }
  }

  /// What the chosen count, of their scores.
  private func weights(_ scores: [Float]) -> [Float] {
    let scale = Float(experts.routedScale)
    guard experts.normalisesWeights else { return scores.map { scale * $0 } }
    let sum = scores.reduce(0, +)
    return scores.map { scale * $0 / sum }
  }

  private func scoreGradients(_ weightGradients: [Float], of scores: [Float]) -> [Float] {
    let scale = Float(experts.routedScale)
    guard experts.normalisesWeights else { return weightGradients.map { scale * $0 } }
    let sum = scores.reduce(0, +)
    let mean = zip(weightGradients, scores).reduce(Float(0)) { $0 + $1.0 * $1.1 } / sum
    return weightGradients.map { scale * ($0 - mean) / sum }
  }

  /// From gradients of a token's scores to those of its logits, in place.
  private func logitGradients(_ gradients: inout Matrix, _ scores: Matrix, _ row: Int) {
    let range = row * experts.count..<(row + 1) * experts.count
    switch experts.score {
    case .sigmoid:
      for at in range { gradients.elements[at] *= scores.elements[at] * (1 - scores.elements[at]) }
    case .softmax:
      var sum: Float = 0
      for at in range { sum += gradients.elements[at] * scores.elements[at] }
      for at in range { gradients.elements[at] = scores.elements[at] * (gradients.elements[at] - sum) }
    }
  }
}
