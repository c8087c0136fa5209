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
    let tensorDegree = setting.strategy.tensorDegree
    var values: [ModelPart: [Float]] = [:]
    var agree = true
    for full in setting.referenceLayouts {
      // By tensor index: the flat buffer of the rank, brought together from its replicas' shards.
      var shards: [(layout: ParameterLayout, values: [Float])] = []
      for tensor in 0..<tensorDegree {
        var buffer: [Float] = []
        for rank in ranks where rank.machine.state.place[.tensor] == tensor {
          guard let index = rank.machine.state.partIndex[full.part] else { continue }
          let part = rank.machine.state.parts[index]
          if buffer.isEmpty {
            buffer = [Float](repeating: .nan, count: part.layout.count)
            shards.append((part.layout, buffer))
          }
          for (element, value) in zip(part.owned, rank.machine.state.keptParameters(index)) {
            if buffer[element].isNaN { buffer[element] = value }
            // Replicas that do not shard hold the same numbers.
            if buffer[element].bitPattern != value.bitPattern { agree = false }
          }
        }
        if !shards.isEmpty { shards[shards.count - 1].values = buffer }
      }
      guard shards.count == tensorDegree else { continue }
      for shard in shards.dropFirst() {
        let replicated = shard.layout.replicatedRange
        if shard.values[replicated] != shards[0].values[replicated] { agree = false }
      }
      values[full.part] = ParameterComparison.assembled(shards: shards, as: full)
    }
    return (values, agree && tiedMatricesAgree)
  }

  /// Whether the two stages that hold a tied matrix hold the same one: bit for bit, but where
  /// each cuts it into shards of its own, so that its sum among replicas was made in two
  /// orders. (Megatron-LM gives it a buffer of its own for this.)
  private var tiedMatricesAgree: Bool {
    guard setting.shape.copiesTiedMatrix, setting.shape.sharding.weightDegree == 1 else { return true }
    for rank in ranks where rank.machine.state.place[.pipeline] == 0 {
      let stages = setting.shape.mesh.group(along: .pipeline, containing: rank.number)
      let other = ranks[stages.rank(stages.count - 1)]
      guard let here = rank.machine.state.partIndex[.embedding], let there = other.machine.state.partIndex[.head],
        let from = rank.machine.state.parts[here].layout.range(of: .tokenEmbedding),
        let to = other.machine.state.parts[there].layout.range(of: .outputMatrix)
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

/// What is told of losses and of gradients along directions.
extension [Float] {
  /// 0 of none.
  var mean: Double { isEmpty ? 0 : reduce(0) { $0 + Double($1) } / Double(count) }
  var rootMeanSquare: Double { isEmpty ? 0 : (reduce(0) { $0 + Double($1) * Double($1) } / Double(count)).squareRoot() }
}
