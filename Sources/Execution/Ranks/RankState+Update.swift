import Documents
import Schedules

/// Gradients, weights and the optimizer's step.
extension RankState {
  /// Makes room for a micro-batch's gradient where none is kept whole.
  mutating func openGradient(of part: ModelPart) {
    let index = index(of: part)
    guard parts[index].gradient.isEmpty, shardsGradients else { return }
    parts[index].gradient = [Float](repeating: 0, count: parts[index].layout.count)
    memory.add(parts[index].gradient.count * setting.job.precision.byteCount, .workspace)
  }

  /// Adds this rank's shard of a reduced gradient to what it accumulates, and gives the whole back.
  mutating func accumulate(_ reduced: [Float], of index: Int) {
    let owned = parts[index].owned
    for (position, element) in owned.enumerated() { parts[index].gradientShard[position] += reduced[element] }
    memory.add(-parts[index].layout.count * setting.job.precision.byteCount, .workspace)
  }

  mutating func dropWeights(_ part: ModelPart) {
    let index = index(of: part)
    memory.add(-parts[index].weights.count * setting.job.precision.byteCount, .workspace)
    parts[index].weights = []
  }

  mutating func averageGradients(replicaCount: Int) {
    let count = Float(replicaCount)
    for index in parts.indices {
      for element in parts[index].gradient.indices { parts[index].gradient[element] /= count }
      for element in parts[index].gradientShard.indices { parts[index].gradientShard[element] /= count }
    }
  }

  /// The accumulated gradient of what this rank updates of a part.
  private func ownedGradient(_ index: Int) -> ArraySlice<Float> {
    shardsGradients ? parts[index].gradientShard[...] : parts[index].gradient[parts[index].owned]
  }

  mutating func sumScalars() {
    var squares = 0.0
    // Replicas that hold the same gradient count it once.
    if zeroStage >= .optimizer || place.data == 0 {
      for index in parts.indices {
        let part = parts[index]
        let gradient = ownedGradient(index)
        // The embedding's stage answers for a matrix that two stages hold.
        let copy =
          part.part == .head && setting.shape.copiesTiedMatrix ? part.layout.range(of: .outputMatrix) ?? 0..<0 : 0..<0
        for range in part.owned.without(copy) where !range.isEmpty {
          let first = gradient.startIndex + range.lowerBound - part.owned.lowerBound
          squares += part.layout.sumOfSquares(gradient: gradient[first..<first + range.count], range: range)
        }
      }
    }
    let tokens = Double(setting.job.globalBatch) * Double(setting.job.sequenceLength)
    let scale = Double(shard.lossScale)
    scalars = [Float(squares / (scale * scale)), Float(lossSum / tokens)]
    lossSum = 0
  }

  mutating func updateParameters() {
    // Offloaded states are on the device for the step only.
    if offloadsOptimizer { memory.add(optimizerBytes, .optimizer) }
    defer { if offloadsOptimizer { memory.add(-optimizerBytes, .optimizer) } }
    for index in parts.indices {
      parts[index].optimizer.update(
        gradient: ownedGradient(index), scale: clippingScale / shard.lossScale, step: step, settings: setting.optimizer)
      let updated = parts[index].optimizer.masters.map(setting.arithmetic.rounded)
      if shardsWeights {
        parts[index].weightShard = updated
      } else {
        parts[index].weights.replaceSubrange(parts[index].owned, with: updated)
      }
      for element in parts[index].gradient.indices { parts[index].gradient[element] = 0 }
      for element in parts[index].gradientShard.indices { parts[index].gradientShard[element] = 0 }
    }
    step += 1
  }
}

extension Range<Int> {
  /// The one or two ranges that remain of this one when another is cut out.
  fileprivate func without(_ hole: Range<Int>) -> [Range<Int>] {
    let hole = hole.clamped(to: self)
    return hole.isEmpty ? [self] : [lowerBound..<hole.lowerBound, hole.upperBound..<upperBound]
  }
}
