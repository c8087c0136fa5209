import Documents
import Training

/// Gradients, weights and the optimizer's step.
extension RankState {
  /// Makes room for a micro-batch's gradient where none is kept whole.
  mutating func openGradient(of part: ModelPart) {
    let index = index(of: part)
    guard parts[index].gradient.isEmpty, parts[index].shardsGradients else { return }
    parts[index].gradient = [Float](repeating: 0, count: parts[index].layout.count)
    memory.add(parts[index].gradient.count * setting.job.precision.byteCount, .workspace)
  }

  /// Adds this rank's shard of a reduced gradient to what it accumulates, and gives the whole back.
  mutating func accumulate(_ shard: some Collection<Float>, of index: Int) {
    for (element, addend) in zip(parts[index].gradientShard.indices, shard) {
      parts[index].gradientShard[element] += addend
    }
    sendReducedGradient(index)
    memory.add(-parts[index].layout.count * setting.job.precision.byteCount, .workspace)
  }

  mutating func dropWeights(_ part: ModelPart) {
    let index = index(of: part)
    memory.add(-parts[index].weights.count * setting.job.precision.byteCount, .workspace)
    parts[index].weights = []
  }

  // MARK: The secondary copy

  mutating func keepSecondary(_ part: ModelPart) {
    let index = index(of: part)
    parts[index].secondary = Array(parts[index].weights[parts[index].ranges.secondary])
    memory.add(parts[index].secondary.count * setting.job.precision.byteCount, .weights)
  }

  mutating func dropSecondary() {
    for index in parts.indices {
      memory.add(-parts[index].secondary.count * setting.job.precision.byteCount, .weights)
      parts[index].secondary = []
    }
  }

  // MARK: Once an iteration

  mutating func averageGradients(replicaCount: Int) {
    let count = Float(replicaCount)
    for index in parts.indices {
      for element in parts[index].gradient.indices { parts[index].gradient[element] /= count }
      for element in parts[index].gradientShard.indices { parts[index].gradientShard[element] /= count }
    }
  }

  /// The accumulated gradient of what this rank updates of a part.
  private func ownedGradient(_ index: Int) -> ArraySlice<Float> {
    parts[index].shardsGradients
      ? parts[index].gradientShard[parts[index].ownedInGradientShard] : parts[index].gradient(parts[index].owned)
  }

  /// Sum of squares of numbers of the elements that this rank updates, each parameter of the model on exactly one rank.
  ///
  /// - Parameter values: by index of the part, of all its owned elements.
  func ownedSquares(_ values: (Int) -> ArraySlice<Float>) -> Double {
    var squares = 0.0
    // Replicas that hold the same gradient count it once.
    for index in parts.indices where parts[index].replica < parts[index].sharding.optimizerDegree {
      let part = parts[index]
      let gradient = values(index)
      // The embedding's stage answers for a matrix that two stages hold.
      let copy = part.layout.tokenTableCopy ?? 0..<0
      var next = gradient.startIndex
      for run in part.order?.runs(of: part.owned) ?? [part.owned] {
        for range in run.without(copy) where !range.isEmpty {
          let first = next + range.lowerBound - run.lowerBound
          squares += part.layout.sumOfSquares(gradient: gradient[first..<first + range.count], range: range)
        }
        next += run.count
      }
    }
    return squares
  }

  mutating func sumScalars() {
    let squares = ownedSquares(ownedGradient)
    let sequences = setting.strategy.workerBatch(globalBatch: setting.job.globalBatch)
    let tokens = Double(sequences) * Double(setting.job.sequenceLength)
    let scale = Double(shard.lossScale)
    scalars = [Float(squares / (scale * scale)), Float(lossSum / tokens)]
    lossSum = 0
  }

  mutating func updateParameters() {
    // Offloaded states are on the device for the step only.
    if offloadsOptimizer { memory.add(optimizerBytes, .optimizer) }
    defer { if offloadsOptimizer { memory.add(-optimizerBytes, .optimizer) } }
    for index in parts.indices {
      exchangeUpdate(index)
      parts[index].optimizer.update(
        gradient: ownedGradient(index), scale: clippingScale / shard.lossScale, step: step, settings: setting.optimizer)
      let updated = parts[index].optimizer.masters.map(setting.arithmetic.rounded)
      keepWeights(updated, index, parts[index].owned)
      for element in parts[index].gradient.indices { parts[index].gradient[element] = 0 }
      for element in parts[index].gradientShard.indices { parts[index].gradientShard[element] = 0 }
    }
    step += 1
    for index in parts.indices where parts[index].narrow != nil {
      parts[index].narrow?.isCast = false
      // Nobody has another part of them, and nobody gathers them.
      if parts[index].sharding.optimizerDegree == 1 { castShard(index, largest: ownLargest(index)) }
    }
    if isOuter { rounds.scalars.append(scalars) }
  }
}

extension RankState.Part {
  /// The gradient of some elements of shards.
  func gradient(_ places: Range<Int>) -> ArraySlice<Float> {
    order.map { $0.elements[places].map { gradient[$0] }[...] } ?? gradient[places]
  }

  /// The elements that this rank updates, counted from the first of its shard of the gradient.
  var ownedInGradientShard: Range<Int> {
    owned.lowerBound - ranges.gradients.lowerBound..<owned.upperBound - ranges.gradients.lowerBound
  }
}

extension Range<Int> {
  /// The one or two ranges that remain of this one when another is cut out.
  fileprivate func without(_ hole: Range<Int>) -> [Range<Int>] {
    let hole = hole.clamped(to: self)
    return hole.isEmpty ? [self] : [lowerBound..<hole.lowerBound, hole.upperBound..<upperBound]
  }
}
