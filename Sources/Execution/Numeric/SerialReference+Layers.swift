import Documents
import Training

/// Blocks of the serial model, piece after piece, nothing divided.
extension SerialReference {
  func forward(
    _ layer: TransformerLayer, _ input: Matrix, weights: [[Float]], microBatch: MicroBatch,
    saved: inout SavedActivations
  ) -> Matrix {
    let own = weights[place(of: layer)], layer = layer.on(microBatch)
    var stream = input
    for half in TransformerLayer.Half.allCases {
      let normalised = layer.normalise(half, input: stream, weights: own, saved: &saved)
      let sum =
        half == .feedForward && layer.router != nil
        ? expertsForward(layer, normalised, weights: weights, microBatch: microBatch, saved: &saved)
        : layer.product(half, normalised: normalised, weights: own, microBatch: microBatch, saved: &saved)
      stream = layer.finish(half, sum: sum, input: stream, weights: own, microBatch: microBatch, saved: &saved)
    }
    return stream
  }

  func backward(
    _ layer: TransformerLayer, _ outputGradient: Matrix, weights: PassWeights, microBatch: MicroBatch,
    saved: SavedActivations, gradients: inout [[Float]]
  ) -> Matrix {
    let place = place(of: layer), own = weights.backward[place]
    let layer = layer.on(microBatch, forwardWeights: weights.forward[place])
    var stream = outputGradient
    for half in TransformerLayer.Half.allCases.reversed() {
      let sumGradient = layer.finishBackward(
        half, outputGradient: stream, microBatch: microBatch, saved: saved, gradient: &gradients[place])
      let normalised = layer.normalised(half, in: saved)
      let normalisedGradient =
        half == .feedForward && layer.router != nil
        ? expertsBackward(
          layer, sumGradient, normalised, weights: weights, microBatch: microBatch, saved: saved, gradients: &gradients)
        : layer.productBackward(
          half, sumGradient: sumGradient, normalised: normalised, weights: own, microBatch: microBatch, saved: saved,
          gradient: &gradients[place])
      stream = layer.normaliseBackward(
        half, normalisedGradient: normalisedGradient, outputGradient: stream, weights: own, saved: saved,
        gradient: &gradients[place])
    }
    return stream
  }

  // MARK: Experts

  /// Every expert in turn on the tokens that were sent to it: a token's outputs are added up in the order of its experts.
  private func expertsForward(
    _ layer: TransformerLayer, _ normalised: Matrix, weights: [[Float]], microBatch: MicroBatch,
    saved: inout SavedActivations
  ) -> Matrix {
    guard let router = layer.router else { return normalised }
    let place = place(of: layer), own = weights[place]
    let routing = router.route(
      normalised, buffer: own, tokens: shard.tokenNumbers(microBatch), sources: shard.sourceRows(microBatch))
    saved.keep(.routerScores, routing.scores, elementByteCount: 4)
    saved.choices = routing.choices
    saved.taken = routing.taken
    let read = layer.expertsInput(normalised, weights: own)
    var sum = Matrix(rowCount: read.rowCount, columnCount: read.columnCount)
    for (index, expert) in experts[layer.index].enumerated() {
      let (tokens, rowWeights) = Self.sent(to: index, routing.choices, routing.weights, taken: routing.taken)
      let output = casting(expert, tokens, layer.casts, microBatch).forward(
        index, rows: read.rows(tokens), rowWeights: rowWeights, buffer: weights[place + 1 + index]
      ).output
      sum.add(output, toRows: tokens)
    }
    sum = layer.expertsOutput(sum, weights: own, saved: &saved)
    if layer.hasSharedExperts { sum += layer.sharedProduct(normalised: normalised, weights: own, saved: &saved) }
    return shard.rounded(sum)
  }

  private func expertsBackward(
    _ layer: TransformerLayer, _ sumGradient: Matrix, _ normalised: Matrix, weights: PassWeights,
    microBatch: MicroBatch, saved: SavedActivations, gradients: inout [[Float]]
  ) -> Matrix {
    guard let router = layer.router else { return sumGradient }
    let place = place(of: layer), own = weights.backward[place]
    let routing = router.weighed(saved[.routerScores], choices: saved.choices)
    let read = layer.expertsInput(normalised, weights: weights.forward[place])
    let ofOutputs = layer.expertsOutputBackward(sumGradient, weights: own, saved: saved, gradient: &gradients[place])
    var inputGradient = Matrix(rowCount: read.rowCount, columnCount: read.columnCount)
    var ofWeights = routing.map { [Float](repeating: 0, count: $0.count) }
    for (index, expert) in experts[layer.index].enumerated() {
      let (tokens, rowWeights) = Self.sent(to: index, saved.choices, routing, taken: saved.taken)
      let rows = read.rows(tokens), expert = casting(expert, tokens, layer.casts, microBatch)
      let kept = expert.forward(
        index, rows: rows, rowWeights: rowWeights, buffer: weights.forward[place + 1 + index]
      ).kept
      let found = expert.backward(
        index, outputGradient: ofOutputs.rows(tokens), rows: rows, rowWeights: rowWeights, kept: kept,
        addends: [0..<tokens.count], buffer: weights.backward[place + 1 + index],
        gradient: &gradients[place + 1 + index])
      inputGradient.add(found.rows, toRows: tokens)
      for (token, value) in zip(tokens, found.rowWeights) {
        if let position = saved.choices[token].firstIndex(of: index) { ofWeights[token][position] = value }
      }
    }
    inputGradient = layer.expertsInputBackward(
      inputGradient, normalised: normalised, weights: own, gradient: &gradients[place])
    inputGradient += router.backward(
      ofWeights, scores: saved[.routerScores], choices: saved.choices, normalised: normalised, buffer: own,
      gradient: &gradients[place])
    inputGradient = shard.rounded(inputGradient)
    guard layer.hasSharedExperts else { return inputGradient }
    var weightGradients = WeightGradients(isPutOff: false)
    inputGradient += layer.sharedProductBackward(
      sumGradient: sumGradient, normalised: normalised, weights: own, saved: saved, gradient: &gradients[place],
      weightGradients: &weightGradients)
    return inputGradient
  }

  /// An expert as it casts the rows of tokens: those of each rank that routes them by themselves.
  private func casting(
    _ expert: ExpertLayer, _ rows: [Int], _ casts: BlockCasts?, _ microBatch: MicroBatch
  ) -> ExpertLayer {
    guard let casts else { return expert }
    let places = Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1, $0) })
    let groups = shard.sourceRows(microBatch).map { $0.compactMap { places[$0] } }
    return expert.casting(CastRows(numbers: rows.map { casts.all.numbers[$0] }, groups: groups), as: casts)
  }

  /// The tokens that an expert takes, ascending, and what it counts for each.
  private static func sent(
    to expert: Int, _ choices: [[Int]], _ weights: [[Float]], taken: [[Int]]
  ) -> (tokens: [Int], weights: [Float]) {
    var tokens: [Int] = [], ofExpert: [Float] = []
    for (token, chosen) in choices.enumerated() {
      guard taken[token].contains(expert), let position = chosen.firstIndex(of: expert) else { continue }
      tokens.append(token)
      ofExpert.append(weights[token][position])
    }
    return (tokens, ofExpert)
  }
}

/// Weights of all parts as they are multiplied in the two directions.
struct PassWeights: Sendable {
  let forward: [[Float]]
  let backward: [[Float]]

  /// - Parameter casting: nil: both are the weights as they are.
  init(_ weights: [[Float]], _ layouts: [ParameterLayout], _ casting: Casting?, step: Int) {
    guard let casting else {
      forward = weights
      backward = weights
      return
    }
    let both = zip(weights, layouts).map { casting.weights($0, $1, step: step) }
    forward = both.map(\.forward)
    backward = both.map(\.backward)
  }
}

extension Matrix {
  /// Some of the rows, in a given order.
  func rows(_ indices: [Int]) -> Matrix {
    var elements: [Float] = []
    elements.reserveCapacity(indices.count * columnCount)
    for row in indices { elements += self.elements[row * columnCount..<(row + 1) * columnCount] }
    return Matrix(rowCount: indices.count, columnCount: columnCount, elements: elements)
  }

  /// Adds rows to those of given indices, in their order.
  mutating func add(_ rows: Matrix, toRows indices: [Int]) {
    for (index, row) in indices.enumerated() {
      for column in 0..<columnCount {
        elements[row * columnCount + column] += rows.elements[index * columnCount + column]
      }
    }
  }
}
