import Documents
import Training

/// Zeroth-order training: weights that come and go, perturbed copies, losses, and steps along directions.
extension RankState {
  /// What a rank has in hand between the visits of an iteration.
  struct Visits {
    /// Activations on their way through the model.
    var travelling: [Traveller: Matrix] = [:]
    /// Copies at which the loss under way is evaluated.
    var perturbed: [ModelPart: [Float]] = [:]
    /// Sum over the tokens of the rank's micro-batches so far, by evaluation.
    var lossSums: [Double] = []
    /// Along the directions of this iteration and the last one.
    var gradients: [Int: [Float]] = [:]
    /// The numbers of parts' newest directions. They are made when they are needed, and memory counts none of them; two losses
    /// of one direction and a step need not make the same ones three times here.
    var numbers: [Numbers: (of: Direction, values: [Float])] = [:]
  }

  /// A part, and which of an iteration's directions.
  struct Numbers: Hashable {
    let part: ModelPart
    let direction: Int
  }

  /// The activations of a micro-batch at the weights of an evaluation.
  struct Traveller: Hashable {
    let microBatch: Int
    let evaluation: ZerothOrder.Evaluation
  }

  var isZerothOrder: Bool { setting.shape.isZerothOrder }
  private var settings: ZerothOrder { setting.job.zerothOrder }
  private var evaluations: [ZerothOrder.Evaluation] {
    setting.strategy.evaluations(ofReplica: place[.data], job: setting.job)
  }

  /// Goes on to the next iteration when one is done.
  mutating func beginIteration() {
    rounds.scalars = []
    guard isZerothOrder else { return }
    if visits.gradients[step] != nil { step += 1 }
    visits.lossSums = [Double](repeating: 0, count: settings.evaluationCount)
    visits.gradients = visits.gradients.filter { $0.key >= step - 1 }
  }

  // MARK: Weights

  /// Brings the rank's slice from the host: elements moved.
  mutating func upload(_ part: ModelPart) -> Int {
    let index = index(of: part), slice = parts[index].weightShard
    memory.add(slice.count * setting.job.precision.byteCount, .workspace)
    if parts[index].shardsWeights { parts[index].uploaded = slice } else { parts[index].weights = slice }
    return slice.count
  }

  /// Takes the rank's slice to the host and gives the whole up: elements moved.
  mutating func offload(_ part: ModelPart) -> Int {
    let index = index(of: part), slice = parts[index].ranges.weights
    guard parts[index].weights.count == parts[index].layout.count else { return 0 }
    parts[index].weightShard = Array(parts[index].weights[slice])
    dropWeights(part)
    return slice.count
  }

  private mutating func numbers(_ index: Int, _ iteration: Int, _ direction: Int) -> [Float] {
    let key = Numbers(part: parts[index].part, direction: direction)
    let wanted = Direction(seed: settings.seed, iteration: iteration, index: direction)
    if let known = visits.numbers[key], known.of == wanted { return known.values }
    let values = parts[index].layout.numbers(of: wanted)
    visits.numbers[key] = (wanted, values)
    return values
  }

  mutating func perturb(_ part: ModelPart, _ evaluation: ZerothOrder.Evaluation) {
    let index = index(of: part)
    precondition(parts[index].weights.count == parts[index].layout.count, "the weights of \(part) are not there")
    // A head may need the embedding's matrix beside its own.
    if part != .head { visits.perturbed = [:] }
    let along = numbers(index, step, evaluation.direction)
    visits.perturbed[part] = settings.perturbed(
      parts[index].weights, for: evaluation, along: along, format: setting.arithmetic)
  }

  /// The step of an iteration; none where there was none.
  mutating func update(_ part: ModelPart, with losses: Computation.Losses) {
    let index = index(of: part), iteration = losses == .ofThisIteration ? step : step - 1
    guard let gradients = visits.gradients[iteration] else { return }
    let along = (0..<settings.directionCount).map { numbers(index, iteration, $0) }
    func stepped(_ weights: [Float], from first: Int) -> [Float] {
      settings.stepped(weights, by: gradients, along: along, from: first, format: setting.arithmetic)
    }
    // What was gathered or has come from the host is whole; a slice that stays on the device has its own.
    if setting.shape.isHosted(part) || !parts[index].shardsWeights {
      precondition(parts[index].weights.count == parts[index].layout.count, "the weights of \(part) are not there")
      parts[index].weights = stepped(parts[index].weights, from: 0)
    } else {
      parts[index].weightShard = stepped(parts[index].weightShard, from: parts[index].ranges.weights.lowerBound)
    }
    parts[index].stepCount = iteration + 1
  }

  /// What the rank keeps of a part, with the step that a part on the host has still before it.
  func keptParameters(_ index: Int) -> ArraySlice<Float> {
    guard isZerothOrder else { return parts[index].optimizer.masters[...] }
    let part = parts[index]
    guard setting.shape.isHosted(part.part) else {
      return part.shardsWeights ? part.weightShard[...] : part.weights[part.owned]
    }
    guard part.stepCount <= step, let gradients = visits.gradients[step] else { return part.weightShard[...] }
    let along = (0..<settings.directionCount).map {
      part.layout.numbers(of: Direction(seed: settings.seed, iteration: step, index: $0))
    }
    return settings.stepped(
      part.weightShard, by: gradients, along: along, from: part.ranges.weights.lowerBound, format: setting.arithmetic)[
        ...]
  }

  // MARK: Losses

  mutating func evaluate(
    _ piece: ModelPiece, _ part: ModelPart, _ microBatch: Int, _ evaluation: ZerothOrder.Evaluation
  ) {
    let traveller = Traveller(microBatch: microBatch, evaluation: evaluation)
    if piece.isFirstOfForward, let input = visits.travelling[traveller] { stream = input }
    // Alive while the piece runs.
    var saved = SavedActivations()
    switch part {
    case .embedding: embeddingForward(piece, microBatch, &saved)
    case .layer(let layer): layerForward(piece, layer, microBatch, &saved, keepsCore: true)
    case .experts: preconditionFailure("\(part) are gone through in their block")
    case .prediction: preconditionFailure("\(part) is not executed without gradients")
    case .head:
      if let loss = headForward(piece, Visit(part: part, microBatch: microBatch), &saved), place[.tensor] == 0 {
        visits.lossSums[evaluation.index] += loss
      }
    }
    memory.add(saved.byteCount, .workspace)
    memory.add(-saved.byteCount, .workspace)
    switch piece {
    case .embeddingOutput, .feedForwardOutput: put(stream, for: traveller)
    case .loss: put(nil, for: traveller)
    default: break
    }
  }

  private mutating func put(_ activations: Matrix?, for traveller: Traveller) {
    let before = visits.travelling[traveller]?.elements.count ?? 0
    visits.travelling[traveller] = activations
    memory.add(((activations?.elements.count ?? 0) - before) * setting.job.precision.byteCount, .activations)
  }

  /// Takes up what has come for a pass: the activations of all of the rank's evaluations, one after the other.
  mutating func putTravelling(_ arrived: Matrix, microBatch: Int) {
    let rows = arrived.rowCount / evaluations.count
    for (place, evaluation) in evaluations.enumerated() {
      put(
        arrived.rows(place * rows..<(place + 1) * rows),
        for: Traveller(microBatch: microBatch, evaluation: evaluation))
    }
  }

  /// Gives up what a pass has made, the same way.
  mutating func takeTravelling(microBatch: Int) -> Matrix? {
    let travellers = evaluations.map { Traveller(microBatch: microBatch, evaluation: $0) }
    let all = travellers.compactMap { visits.travelling[$0] }
    for traveller in travellers { put(nil, for: traveller) }
    return all.isEmpty ? nil : Matrix(concatenating: all)
  }

  mutating func sumLosses() {
    let tokens = Double(setting.job.globalBatch) * Double(setting.job.sequenceLength)
    scalars = visits.lossSums.map { Float($0 / tokens) }
  }

  mutating func projectGradient() { visits.gradients[step] = settings.gradients(ofLosses: scalars) }
}

extension ModelPiece {
  /// Whether a part's forward pass begins with it, on what came through the parts before.
  fileprivate var isFirstOfForward: Bool { [.attentionNorm, .finalNorm].contains(self) }
}
