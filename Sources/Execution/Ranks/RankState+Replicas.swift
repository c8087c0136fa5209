import Documents
import Training

/// Weights and gradients on their way between replicas, as they are or quantised.
extension RankState {
  // MARK: Weights

  /// What this rank adds to a gather.
  func gatheredShard(_ operand: Operand) -> [Float] {
    switch operand {
    case .weights(let part): return parts[index(of: part)].weightShard
    case .secondaryWeights(let part): return parts[index(of: part)].secondary
    case .updatedWeights(let part, let family):
      let ranges = parts[index(of: part)].ranges
      return keptWeights(index(of: part), family == .optimizer ? ranges.optimizer : ranges.gradients)
    default: return parts.indices.flatMap { keptWeights($0, parts[$0].owned) }
    }
  }

  /// Takes up what was gathered.
  mutating func storeWeights(_ values: [Float], _ operand: Operand) {
    switch operand {
    case .weights(let part), .secondaryWeights(let part):
      memory.add(values.count * setting.job.precision.byteCount, .workspace)
      parts[index(of: part)].weights = values
    case .updatedWeights(let part, let family):
      let index = index(of: part), ranges = parts[index].ranges
      keepWeights(values, index, family == .optimizer ? ranges.gradients : ranges.weights)
    default:
      var next = 0
      for index in parts.indices {
        let count = parts[index].layout.count
        parts[index].weights = Array(values[next..<next + count])
        next += count
      }
    }
  }

  /// Some of the weights that this rank keeps of a part.
  private func keptWeights(_ index: Int, _ range: Range<Int>) -> [Float] {
    guard shardsWeights else { return Array(parts[index].weights[range]) }
    let first = range.lowerBound - parts[index].ranges.weights.lowerBound
    return Array(parts[index].weightShard[first..<first + range.count])
  }

  /// Replaces some of the weights that this rank keeps of a part.
  mutating func keepWeights(_ values: [Float], _ index: Int, _ range: Range<Int>) {
    guard shardsWeights else {
      parts[index].weights.replaceSubrange(range, with: values)
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
    guard let quantisation = collective.quantisation else { return buffer }
    let count = elementCount(of: collective.operand), rankCount = collective.group.count
    let slot = buffer.count / rankCount
    return (0..<rankCount).flatMap { place in
      quantisation.dequantise(
        buffer[place * slot..<(place + 1) * slot],
        elementCount: CollectiveSchedule.chunk(place, of: rankCount, elementCount: count).count
      ).map(setting.arithmetic.rounded)
    }
  }

  /// Elements that all ranks of a gather or a reduction over shards have between them.
  private func elementCount(of operand: Operand) -> Int {
    let shape = setting.shape, rank = shape.mesh.rank(at: place)
    func count(_ part: ModelPart, _ family: Sharding.Family) -> Int {
      shape.elementCount(over: family, rank: rank, of: parts[index(of: part)].layout.count)
    }
    return switch operand {
    case .weights(let part), .secondaryWeights(let part): count(part, .weights)
    case .updatedWeights(let part, let family), .gradient(let part, let family), .nodeGradient(let part, let family):
      count(part, family)
    default: parts.reduce(0) { $0 + $1.layout.count }
    }
  }

  // MARK: Gradients

  /// Takes what is to be reduced.
  mutating func takeGradient(_ operand: Operand) -> [Float] {
    switch operand {
    case .gradient(let part, let family), .nodeGradient(let part, let family):
      let index = index(of: part)
      switch family {
      case .weights, .gradients:
        let isWhole = family == setting.shape.microBatchFamilies[0]
        let gradient = isWhole ? parts[index].gradient : parts[index].reduced
        parts[index].gradient = []
        parts[index].reduced = []
        return setting.arithmetic == .fp32 ? gradient : gradient.map(setting.arithmetic.rounded)
      case .replicas: return Array(parts[index].gradientShard[parts[index].ownedInGradientShard])
      case .optimizer, .secondary: return parts[index].gradientShard
      }
    case .gradientShards: return parts.flatMap { $0.gradient[$0.owned] }
    default: return parts.flatMap(\.gradient)
    }
  }

  /// Takes up this rank's chunk of a sum, or all of one that is not scattered.
  mutating func putGradient(_ values: [Float], _ operand: Operand) {
    switch operand {
    case .gradient(let part, let family), .nodeGradient(let part, let family):
      let index = index(of: part)
      switch family {
      case .weights, .gradients:
        if family == setting.shape.microBatchFamilies.last {
          accumulate(values, of: index)
        } else {
          parts[index].reduced = values
        }
      case .optimizer, .replicas, .secondary:
        parts[index].gradientShard.replaceSubrange(parts[index].ownedInGradientShard, with: values)
      }
    default:
      let isWhole = sharding.optimizerDegree == 1
      var next = 0
      for index in parts.indices {
        let range = isWhole ? 0..<parts[index].layout.count : parts[index].owned
        parts[index].gradient.replaceSubrange(range, with: values[next..<next + range.count])
        next += range.count
      }
    }
  }

  // MARK: Quantised exchanges

  /// What one hop of a quantised exchange sends: a run of words for every rank of the hop.
  mutating func exchangeLoad(_ operand: Operand, of collective: Collective, _ quantisation: Quantisation) -> [Float] {
    guard let exchange = exchange(of: operand) else { return [] }
    let values: [Float]
    if operand.isOfNode, exchange.insideCount > 1 {
      values = nodeSum
      nodeSum = []
    } else {
      let gradient = takeGradient(operand), length = exchange.partitionLength
      guard gradient.count == exchange.elementCount else { return [] }
      values = exchange.swizzle.flatMap { gradient[$0 * length..<($0 + 1) * length] }
    }
    guard values.count % collective.group.count == 0 else { return [] }
    memory.add(2 * collective.elementCount * Quantisation.wordByteCount, .workspace)
    guard let feedback = setting.errorFeedback else {
      return quantisation.quantiseRuns(values, runCount: collective.group.count)
    }
    var error = owed[operand] ?? OwedValues()
    memory.add(-error.byteCount, .workspace)
    let words = error.quantise(values, runCount: collective.group.count, quantisation, feedback)
    memory.add(error.byteCount, .workspace)
    owed[operand] = error
    return words
  }

  /// Adds up, in the order of ranks, what a hop of a quantised exchange has brought from each.
  mutating func exchangeStore(_ buffer: [Float], _ operand: Operand, of collective: Collective) {
    guard let quantisation = collective.quantisation, let exchange = exchange(of: operand) else { return }
    memory.add(-2 * collective.elementCount * Quantisation.wordByteCount, .workspace)
    let count = operand.isOfNode ? exchange.partitionLength : exchange.elementCount / exchange.insideCount
    let run = buffer.count / collective.group.count
    var sum = quantisation.dequantise(buffer[..<run], elementCount: count)
    for place in 1..<collective.group.count {
      let addend = quantisation.dequantise(buffer[place * run..<(place + 1) * run], elementCount: count)
      for index in sum.indices { sum[index] += addend[index] }
    }
    if operand.isOfNode { putGradient(sum, operand) } else { nodeSum = sum }
  }

  private func exchange(of operand: Operand) -> QuantisedExchange? {
    let shape = setting.shape
    let family: Sharding.Family =
      switch operand {
      case .gradient(_, let family), .nodeGradient(_, let family): family
      default: .optimizer
      }
    return shape.exchange(
      over: shape.group(of: family, containing: shape.mesh.rank(at: place)), elementCount: elementCount(of: operand))
  }
}
