import Documents
import Training

/// What the ranks hold after an iteration.
extension MiniatureRun {
  /// Mean loss of the iteration, as all ranks were told.
  ///
  /// Under zeroth-order training the mean of all that were evaluated; of a round of workers of all its iterations.
  var loss: Double {
    if setting.strategy.update == .outer { return meanOfWorkers { Double($0[1]) } }
    let scalars = ranks[0].machine.state.scalars
    return setting.shape.isZerothOrder ? scalars.mean : Double(scalars[1])
  }

  /// Norm of the gradient before clipping.
  ///
  /// Under zeroth-order training what the directions show of it: the root of the mean square of the gradients along them,
  /// which is that of the gradient's norm where numbers of directions are normally distributed.
  ///
  /// Of a round of workers the mean of all its iterations.
  var gradientNorm: Double {
    if setting.strategy.update == .outer { return meanOfWorkers { Double($0[0]).squareRoot() } }
    let state = ranks[0].machine.state
    guard setting.shape.isZerothOrder else { return Double(state.scalars[0]).squareRoot() }
    return (state.visits.gradients[state.step] ?? []).rootMeanSquare
  }

  /// Over the iterations of a round of all workers, of something of their scalars.
  private func meanOfWorkers(_ value: ([Float]) -> Double) -> Double {
    let all = (0..<setting.strategy.workerDegree).flatMap { worker in
      ranks[setting.shape.mesh.block(worker, below: .worker).lowerBound].machine.state.rounds.scalars.map(value)
    }
    return all.reduce(0, +) / Double(max(1, all.count))
  }

  /// All masters, whole: from the shards of replicas and of tensor groups.
  ///
  /// - Returns: by part, in the layout of tensor degree 1, and whether all copies that should be the same are: those of
  ///   replicas that do not shard, of parameters that a tensor group does not divide, of a matrix on two stages.
  var parameters: (values: [ModelPart: [Float]], replicasAgree: Bool) {
    // By part, and place in the group that divides its matrices: the flat buffer, brought together from replicas' shards.
    var shards: [ModelPart: [Int: (layout: ParameterLayout, values: [Float])]] = [:]
    var agree = true
    for rank in ranks {
      let state = rank.machine.state
      for (index, part) in state.parts.enumerated() {
        let place = part.layout.tensorIndex
        var shard =
          shards[part.part]?[place] ?? (part.layout, [Float](repeating: .nan, count: part.layout.count))
        for (element, value) in zip(
          part.order?.elements[part.owned] ?? Array(part.owned)[...], state.keptParameters(index))
        {
          if shard.values[element].isNaN { shard.values[element] = value }
          // Replicas that do not shard hold the same numbers.
          if shard.values[element].bitPattern != value.bitPattern { agree = false }
        }
        shards[part.part, default: [:]][place] = shard
      }
    }
    var layouts: [ModelPart: ParameterLayout] = [:]
    for full in setting.referenceLayouts { layouts[full.part] = full }
    var values: [ModelPart: [Float]] = [:]
    for (part, byPlace) in shards {
      let all = byPlace.sorted { $0.key < $1.key }.map(\.value)
      guard all.count == setting.shape.mesh(of: part).degree(of: .tensor) else { continue }
      for shard in all.dropFirst() {
        let replicated = shard.layout.replicatedRange
        if shard.values[replicated] != all[0].values[replicated] { agree = false }
      }
      for single in part.singles {
        guard let full = layouts[single] else { continue }
        values[single] = ParameterComparison.assembled(shards: all, as: full)
      }
    }
    return (values, agree && tiedMatricesAgree)
  }

  /// Whether the two stages that hold a token table hold the same one: bit for bit, but where
  /// each cuts it into shards of its own, so that its sum among replicas was made in two
  /// orders. (Megatron-LM gives it a buffer of its own for this.)
  private var tiedMatricesAgree: Bool {
    guard setting.shape.copiesTokenTable, setting.shape.sharding.weightDegree == 1 else { return true }
    for rank in ranks where rank.machine.state.place[.pipeline] == 0 {
      let stages = setting.shape.mesh.group(along: .pipeline, containing: rank.number)
      let other = ranks[stages.rank(stages.count - 1)]
      guard let here = rank.machine.state.partIndex[.embedding], let there = other.machine.state.partIndex[.head],
        let from = rank.machine.state.parts[here].layout.range(of: .tokenEmbedding),
        let to = other.machine.state.parts[there].layout.tokenTableCopy
      else { return false }
      // Neither embedding nor head lies on a host.
      let mine = rank.machine.state.parts[here].weights[from], theirs = other.machine.state.parts[there].weights[to]
      let isExact =
        (setting.shape.sharding.optimizerDegree == 1 || setting.strategy.replicaCount <= 2)
        && (setting.strategy.workerDegree <= 2 || setting.strategy.outer.format == .bf16)
      // Weights are of the order of 1, and an update is at most of that of the learning rate.
      let limit = isExact ? 0 : 0.1 * setting.optimizer.learningRate
      guard zip(mine, theirs).allSatisfy({ abs($0 - $1) <= limit }) else { return false }
    }
    return true
  }
}

extension ModelPart {
  /// Of routed experts each by itself, as the reference has them; of anything else the part.
  fileprivate var singles: [ModelPart] {
    guard case .experts(let layer, let held) = self else { return [self] }
    return held.map { .experts(layer, $0..<$0 + 1) }
  }
}

/// What is told of losses and of gradients along directions.
extension [Float] {
  /// 0 of none.
  var mean: Double { isEmpty ? 0 : reduce(0) { $0 + Double($1) } / Double(count) }
  var rootMeanSquare: Double { isEmpty ? 0 : (reduce(0) { $0 + Double($1) * Double($1) } / Double(count)).squareRoot() }
}
