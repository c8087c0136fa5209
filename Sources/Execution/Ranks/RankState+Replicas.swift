import Documents
import Training

/// Weights and gradients on their way between replicas, as they are or quantised.
extension RankState {
  // MARK: Weights

  /// What this rank adds to a gather.
  func gatheredShard(_ exchange: Exchange, of part: ModelPart?) -> [Float] {
    guard let part else { return indices(of: nil, exchange).flatMap { keptWeights($0, parts[$0].owned) } }
    let index = index(of: part), ranges = parts[index].ranges
    switch exchange.family {
    case .weights: return setting.shape.isHosted(part) ? parts[index].uploaded : parts[index].weightShard
    case .secondary: return parts[index].secondary
    case .gradients: return keptWeights(index, ranges.gradients)
    default: return keptWeights(index, ranges.optimizer)
    }
  }

  /// Takes up what was gathered.
  mutating func storeWeights(_ values: [Float], _ exchange: Exchange, of part: ModelPart?) {
    guard let part else {
      var next = 0
      for index in indices(of: nil, exchange) {
        let count = parts[index].layout.count
        parts[index].weights = Array(values[next..<next + count])
        next += count
      }
      return
    }
    let index = index(of: part), ranges = parts[index].ranges
    switch exchange.family {
    case .weights, .secondary:
      memory.add((values.count - parts[index].uploaded.count) * setting.job.precision.byteCount, .workspace)
      parts[index].uploaded = []
      parts[index].weights = values
    case .gradients: keepWeights(values, index, ranges.weights)
    default: keepWeights(values, index, ranges.gradients)
    }
  }

  /// Some of the weights that this rank keeps of a part.
  func keptWeights(_ index: Int, _ range: Range<Int>) -> [Float] {
    guard parts[index].shardsWeights else {
      return parts[index].order?.elements[range].map { parts[index].weights[$0] } ?? Array(parts[index].weights[range])
    }
    let first = range.lowerBound - parts[index].ranges.weights.lowerBound
    return Array(parts[index].weightShard[first..<first + range.count])
  }

  /// Replaces some of the weights that this rank keeps of a part.
  mutating func keepWeights(_ values: [Float], _ index: Int, _ range: Range<Int>) {
    guard parts[index].shardsWeights else {
      if let order = parts[index].order {
        for (element, value) in zip(order.elements[range], values) { parts[index].weights[element] = value }
      } else {
        parts[index].weights.replaceSubrange(range, with: values)
      }
      return
    }
    let first = range.lowerBound - parts[index].ranges.weights.lowerBound
    parts[index].weightShard.replaceSubrange(first..<first + range.count, with: values)
  }

  /// A shard's words, as many as the longest shard's.
  func quantised(_ shard: [Float], _ quantisation: Quantisation, wordCount: Int) -> [Float] {
    var words: [Float] = []
    quantisation.quantise(shard[...], into: &words)
    words.append(contentsOf: repeatElement(0, count: max(0, wordCount - words.count)))
    return words
  }

  /// What was gathered: of quantised shards what every rank, their owner too, dequantises them to, in the format of weights.
  func dequantised(_ buffer: [Float], of collective: Collective) -> [Float] {
    guard let quantisation = collective.quantisation, case .exchanged(let exchange, let part, _) = collective.operand
    else { return buffer }
    let count = elementCount(of: exchange, part), rankCount = collective.group.count
    let slot = buffer.count / rankCount
    return (0..<rankCount).flatMap { place in
      quantisation.dequantise(
        buffer[place * slot..<(place + 1) * slot],
        elementCount: CollectiveSchedule.chunk(place, of: rankCount, elementCount: count).count
      ).map(setting.arithmetic.rounded)
    }
  }

  /// Elements that all ranks of a gather or a reduction over shards have between them.
  private func elementCount(of exchange: Exchange, _ part: ModelPart?) -> Int {
    setting.shape.elementCount(
      of: exchange, rank: number,
      whole: indices(of: part, exchange).reduce(0) { $0 + parts[$1].layout.count })
  }

  /// Of one part, or of all that the rank holds and an exchange is of.
  func indices(of part: ModelPart?, _ exchange: Exchange) -> [Int] {
    guard let part else { return parts.indices.filter { parts[$0].part.isOfExperts == exchange.isOfExperts } }
    return [index(of: part)]
  }

  // MARK: Gradients

  /// Takes what is to be reduced.
  mutating func takeGradient(_ exchange: Exchange, of part: ModelPart?) -> [Float] {
    guard let part else {
      let parts = indices(of: nil, exchange).map { self.parts[$0] }
      guard exchange.divisor == 1 else { return parts.flatMap { $0.gradient($0.owned) } }
      guard let order = parts.lazy.compactMap(\.order).first else { return parts.flatMap(\.gradient) }
      // Shard after shard.
      return (0..<order.shardCount).flatMap { shard in
        parts.flatMap { part in part.gradient(part.order?.places(ofShards: shard..<shard + 1) ?? 0..<0) }
      }
    }
    let index = index(of: part)
    switch exchange.family {
    case .weights, .gradients:
      let gradient =
        exchange.divisor > 1
        ? parts[index].reduced : parts[index].order?.ordered(parts[index].gradient) ?? parts[index].gradient
      parts[index].gradient = []
      parts[index].reduced = []
      return setting.arithmetic == .fp32 ? gradient : gradient.map(setting.arithmetic.rounded)
    case .replicas: return Array(parts[index].gradientShard[parts[index].ownedInGradientShard])
    default: return parts[index].gradientShard
    }
  }

  /// Takes up this rank's chunk of a sum, or all of one that is not scattered.
  mutating func putGradient(_ values: [Float], _ exchange: Exchange, of part: ModelPart?) {
    guard let part else {
      var next = 0
      for index in indices(of: nil, exchange) {
        let range = parts[index].sharding.optimizerDegree == 1 ? 0..<parts[index].layout.count : parts[index].owned
        if let order = parts[index].order {
          for (element, value) in zip(order.elements[range], values[next...]) { parts[index].gradient[element] = value }
        } else {
          parts[index].gradient.replaceSubrange(range, with: values[next..<next + range.count])
        }
        next += range.count
      }
      return
    }
    let index = index(of: part)
    switch exchange.family {
    case .weights, .gradients:
      // The last of a micro-batch's reductions leaves the shard that is kept.
      if exchange.divisor * exchange.rankCount == parts[index].sharding.gradientDegree {
        accumulate(values, of: index)
      } else {
        parts[index].reduced = values
      }
    default: parts[index].gradientShard.replaceSubrange(parts[index].ownedInGradientShard, with: values)
    }
  }

  // MARK: Quantised exchanges

  /// What one hop of a quantised exchange sends: a run of words for every rank of the hop.
  mutating func hopLoad(
    _ exchange: Exchange, of part: ModelPart?, _ hop: Exchange.Hop, of collective: Collective,
    _ quantisation: Quantisation
  ) -> [Float] {
    guard let hops = hops(of: exchange, part) else { return [] }
    let values: [Float]
    if hop == .across, hops.insideCount > 1 {
      values = nodeSum
      nodeSum = []
    } else {
      let gradient = takeGradient(exchange, of: part), length = hops.partitionLength
      guard gradient.count == hops.elementCount else { return [] }
      values = hops.swizzle.flatMap { gradient[$0 * length..<($0 + 1) * length] }
    }
    guard values.count % collective.group.count == 0 else { return [] }
    memory.add(2 * collective.elementCount * Quantisation.wordByteCount, .workspace)
    guard let feedback = setting.errorFeedback else {
      return quantisation.quantiseRuns(values, runCount: collective.group.count)
    }
    var error = owed[collective.operand] ?? OwedValues()
    memory.add(-error.byteCount, .workspace)
    let words = error.quantise(values, runCount: collective.group.count, quantisation, feedback)
    memory.add(error.byteCount, .workspace)
    owed[collective.operand] = error
    return words
  }

  /// Adds up, in the order of ranks, what a hop of a quantised exchange has brought from each.
  mutating func hopStore(
    _ buffer: [Float], _ exchange: Exchange, of part: ModelPart?, _ hop: Exchange.Hop, of collective: Collective,
    _ quantisation: Quantisation
  ) {
    guard let hops = hops(of: exchange, part) else { return }
    memory.add(-2 * collective.elementCount * Quantisation.wordByteCount, .workspace)
    let count = hop == .across ? hops.partitionLength : hops.nodeSumCount
    let run = buffer.count / collective.group.count
    var sum = quantisation.dequantise(buffer[..<run], elementCount: count)
    for place in 1..<collective.group.count {
      let addend = quantisation.dequantise(buffer[place * run..<(place + 1) * run], elementCount: count)
      for index in sum.indices { sum[index] += addend[index] }
    }
    if hop == .across { putGradient(sum, exchange, of: part) } else { nodeSum = sum }
  }

  private func hops(of exchange: Exchange, _ part: ModelPart?) -> QuantisedExchange? {
    let shape = setting.shape
    return exchange.hops(
      of: elementCount(of: exchange, part),
      in: exchange.group(containing: number, sharding: shape.sharding, in: shape.mesh),
      devicesPerNode: shape.devicesPerNode)
  }
}
