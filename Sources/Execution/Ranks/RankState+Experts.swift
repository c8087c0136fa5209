import Documents
import Training

/// What a rank has in hand of a block's experts.
struct ExpertsInHand: Sendable {
  /// Which experts the rank's own tokens have chosen.
  var choices: [[Int]] = []
  /// Rows on their way: tokens, what comes out of experts, or gradients of either.
  var rows = RoutedRows(width: 0)
  /// What the experts of each row count, or gradients of that.
  var weights = RoutedRows(width: 0)
  /// Forward what shared experts have given, backward the gradient of the block's norm so far.
  var held: Matrix?
  /// Backward: of what all experts together have given.
  var outputGradient = Matrix(rowCount: 0, columnCount: 0)
}

/// The feed-forward half of a block with experts.
extension RankState {
  // MARK: Forward

  mutating func expertsForward(
    _ piece: ModelPiece, _ layer: TransformerLayer, weights: [Float], microBatch index: Int,
    saved: inout SavedActivations
  ) {
    let microBatch = microBatch(index)
    switch piece {
    case .sharedExperts: branch = layer.sharedProduct(normalised: branch, weights: weights, saved: &saved)
    case .router:
      guard let router = layer.router else { preconditionFailure("a block without experts has no router") }
      let normalised = layer.normalised(.feedForward, in: saved)
      forwardExperts = ExpertsInHand()
      if layer.hasSharedExperts { forwardExperts.held = branch }
      let routing = router.route(
        normalised, buffer: weights, tokens: shard.tokenNumbers(microBatch), sources: shard.sourceRows(microBatch))
      saved.keep(.routerLogits, routing.logits, elementByteCount: 4)
      saved.keep(.routerScores, routing.scores, elementByteCount: 4)
      saved.keep(.routingMap, routing.map, elementByteCount: 1)
      saved.choices = routing.choices
      saved.taken = routing.taken
      forwardExperts.choices = routing.choices
      forwardExperts.rows = sentRows(
        of: layer.expertsInput(normalised, weights: weights), taken: routing.taken)
      forwardExperts.weights = sentWeights(routing)
    case .experts:
      let own = expertLayer(layer.index, forward: true)
      let arrived = ArrivedRows(forwardExperts.rows, for: own.experts)
      let rowWeights = arrived.weights(forwardExperts.weights)
      var outputs: [Float] = []
      var kept: [FeedForward.Inner] = []
      for run in arrived.runs {
        let tags = arrived.tags[run.range]
        let expert = layer.casts.map {
          own.layer.casting(castRows(tags, addends: run.addends, microBatch: index), as: $0)
        }
        let found = (expert ?? own.layer).forward(
          run.expert, rows: arrived.rows.rows(run.range), rowWeights: Array(rowWeights[run.range]), buffer: own.buffer)
        outputs += found.output.elements
        kept.append(found.kept)
      }
      let width = shard.elementByteCount
      saved.routes = arrived.tags
      saved.keep(.expertRows, arrived.rows, elementByteCount: width)
      saved.keep(
        .expertWeights, Matrix(rowCount: rowWeights.count, columnCount: 1, elements: rowWeights), elementByteCount: 4)
      let inner = shard.model.experts.map { $0.feedForwardSize / own.layer.layout.tensorDegree } ?? 0
      func keep(_ name: SavedActivations.Name, _ part: (FeedForward.Inner) -> Matrix?) {
        let elements = kept.flatMap { part($0)?.elements ?? [] }
        saved.keep(
          name, Matrix(rowCount: arrived.tags.count, columnCount: inner, elements: elements), elementByteCount: width)
      }
      keep(.expertInput) { $0.activationInput }
      if shard.model.hasGatedFeedForward { keep(.expertValue) { $0.gatedValue } }
      keep(.expertOutput) { $0.output }
      forwardExperts.rows = returnedRows(arrived.tags, arrived.rows.with(outputs))
    case .expertsOutput:
      branch = layer.expertsOutput(
        sum(of: forwardExperts.rows, tokenCount: forwardExperts.choices.count), weights: weights, saved: &saved)
      if let shared = forwardExperts.held { branch += shared }
      branch = shard.rounded(branch)
      forwardExperts = ExpertsInHand()
    default: preconditionFailure("\(piece) is no piece of experts")
    }
  }

  // MARK: Backward

  mutating func expertsBackward(
    _ piece: ModelPiece, _ layer: TransformerLayer, weights: [Float], microBatch: Int, saved: SavedActivations,
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) {
    switch piece {
    case .expertsOutput:
      backwardExperts = ExpertsInHand()
      backwardExperts.choices = saved.choices
      backwardExperts.outputGradient = branch
      backwardExperts.rows = sentRows(
        of: layer.expertsOutputBackward(branch, weights: weights, saved: saved, gradient: &gradient),
        taken: saved.taken)
    case .experts: backwardThroughExperts(layer, microBatch, saved)
    case .router:
      guard let router = layer.router else { preconditionFailure("a block without experts has no router") }
      let normalised = layer.normalised(.feedForward, in: saved)
      var inputGradient = layer.expertsInputBackward(
        sum(of: backwardExperts.rows, tokenCount: backwardExperts.choices.count), normalised: normalised,
        weights: weights, gradient: &gradient)
      inputGradient += router.backward(
        ofOwnWeights(backwardExperts.weights), scores: saved[.routerScores], choices: saved.choices,
        normalised: normalised,
        buffer: weights, gradient: &gradient)
      inputGradient = shard.rounded(inputGradient)
      if layer.hasSharedExperts {
        backwardExperts.held = inputGradient
        (branch, columnInput) = (backwardExperts.outputGradient, normalised)
      } else {
        branch = inputGradient
      }
    case .sharedExperts:
      branch = layer.sharedProductBackward(
        sumGradient: branch, normalised: columnInput, weights: weights, saved: saved, gradient: &gradient,
        weightGradients: &weightGradients)
    default: preconditionFailure("\(piece) is no piece of experts")
    }
  }

  private mutating func backwardThroughExperts(
    _ layer: TransformerLayer, _ microBatch: Int, _ saved: SavedActivations
  ) {
    let own = expertLayer(layer.index, forward: false), part = index(of: own.part)
    openGradient(of: own.part)
    let come = backwardExperts.rows.tags
    let upstream = ArrivedRows.rows(backwardExperts.rows, inTheOrderOf: saved.routes)
    let arrived = ArrivedRows(tags: saved.routes, rows: saved[.expertRows])
    let rowWeights = saved[.expertWeights].elements
    var ofRows: [Float] = [], ofWeights: [Float] = []
    for run in arrived.runs {
      let tags = arrived.tags[run.range]
      let expert = layer.casts.map {
        own.layer.casting(castRows(tags, addends: run.addends, microBatch: microBatch), as: $0)
      }
      let found = (expert ?? own.layer).backward(
        run.expert, outputGradient: upstream.rows(run.range), rows: arrived.rows.rows(run.range),
        rowWeights: Array(rowWeights[run.range]),
        kept: FeedForward.Inner(
          activationInput: saved[.expertInput].rows(run.range),
          gatedValue: shard.model.hasGatedFeedForward ? saved[.expertValue].rows(run.range) : nil,
          output: saved[.expertOutput].rows(run.range)),
        addends: run.addends, buffer: own.buffer, gradient: &parts[part].gradient)
      ofRows += found.rows.elements
      ofWeights += found.rowWeights
    }
    backwardExperts.rows = returnedRows(saved.routes, upstream.with(ofRows))
    backwardExperts.weights = returnedWeights(saved.routes, ofWeights, come: come)
  }

  /// What the norm of a block gets beside what shared experts have given it.
  mutating func addHeldGradient() {
    guard var sum = backwardExperts.held else { return }
    sum += branch
    branch = sum
    backwardExperts = ExpertsInHand()
  }

  // MARK: The rank's own

  /// The rank's experts of a layer, with their weights.
  private mutating func expertLayer(
    _ index: Int, forward: Bool
  ) -> (part: ModelPart, layer: ExpertLayer, experts: Range<Int>, buffer: [Float]) {
    let block = ModelPart.block(index, of: setting.job.model)
    guard let part = setting.shape.experts(of: block, rank: number), let layer = expertLayers[index] else {
      preconditionFailure("layer \(index) has no experts on this rank")
    }
    return (part, layer, layer.experts, weights(part, forward: forward))
  }

  /// Rows of the rank's own tokens added up, in the order in which they have come: of a token's experts ascending. What
  /// filled experts up is of no token.
  private func sum(of rows: RoutedRows, tokenCount: Int) -> Matrix {
    let model = setting.job.model
    var sum = Matrix(rowCount: tokenCount, columnCount: model.experts?.latentSize ?? model.hiddenSize)
    let own = rows.tags.indices.filter { rows.tags[$0].row < tokenCount }
    sum.add(rows.matrix.rows(own), toRows: own.map { rows.tags[$0].row })
    return sum
  }

  /// By token of the rank's own, gradients of what each of its experts counts.
  private func ofOwnWeights(_ rows: RoutedRows) -> [[Float]] {
    var sums = backwardExperts.choices.map { [Float](repeating: 0, count: $0.count) }
    for (index, tag) in rows.tags.enumerated() where tag.row < sums.count {
      for (expert, value) in zip(tag.experts, rows[index]) {
        if let place = backwardExperts.choices[tag.row].firstIndex(of: expert) { sums[tag.row][place] += value }
      }
    }
    return sums
  }
}

extension Matrix {
  /// A matrix of the same shape.
  fileprivate func with(_ elements: [Float]) -> Matrix {
    Matrix(rowCount: rowCount, columnCount: columnCount, elements: elements)
  }
}
