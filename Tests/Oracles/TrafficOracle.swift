package import Costing
package import Documents
package import Training

/// Bytes that every rank sends in one iteration, counted a second time from model, strategy and split alone: nothing is
/// taken from recipes, programs or schedules of collectives. How a group is routed and which links a message crosses is
/// asked of the cost model.
///
/// Of a tensor group's T tokens, of a part of the sequences where ranks divide them, h hidden, S = T·h elements:
///
/// | kind | what |
/// |---|---|
/// | tensor | each block sums S twice forward and twice backward (Shoeybi et al. 2019); under sequence parallelism each sum is a gather and a scatter, and backward gathers two inputs again (Korthikanti et al. 2022); full recomputation repeats the forward ones; a further prediction is a block, an embedding and a head, and its product of 2h·h is one more column-parallel layer whose outputs are gathered |
/// | pipeline | S/t of each rank, each boundary, each direction, each micro-batch |
/// | context | with heads a and k of size d on a rank, of a layer forward, each of C ranks: (C − 1)·T·2·k·d round or gathered, (C − 1)/C · T·(2·a + 2·k)·d exchanged for heads; backward the same again, and of keys' and values' gradients once more |
/// | data | ZeRO's reductions and gathers (Rajbhandari et al. 2020), between nested shards where the degrees differ (Wang et al. 2023) |
/// | embedding, control | the tied matrix, or the table of further predictions, between the ends; two fp32 numbers over all ranks of a worker |
/// | outer | a round's: what each rank updates, over its like in all workers, as it is or in two hops |
package struct TrafficOracle {
  private let model: CostModel
  private let strategy: Strategy
  private let split: Split
  private let routes: CollectiveRoutes
  private var count: TrafficCount

  /// The whole count.
  ///
  /// - Parameter routes: which way collectives go; nil is the cheapest.
  package static func traffic(
    _ model: CostModel, _ strategy: Strategy, _ split: Split, routes: CollectiveRoutes? = nil
  ) -> TrafficCount {
    var oracle = TrafficOracle(
      model: model, strategy: strategy, split: split, routes: routes ?? model.cheapestRoutes)
    for ranks in oracle.mesh.groups(along: .tensor) where ranks.count > 1 { oracle.countTensor(ranks) }
    oracle.countPipeline()
    for ranks in oracle.copies where ranks.count > 1 { oracle.countData(ranks) }
    oracle.countContext()
    oracle.countEnds()
    oracle.countWorkers()
    return oracle.count
  }

  private init(model: CostModel, strategy: Strategy, split: Split, routes: CollectiveRoutes) {
    (self.model, self.strategy, self.split, self.routes) = (model, strategy, split, routes)
    count = TrafficCount(rankCount: strategy.worldSize, levelCount: model.cluster.levels.count)
  }

  private var mesh: Mesh { strategy.mesh }
  private var job: TrainingJob { model.job }
  private var m: Int { strategy.microBatchCount(globalBatch: job.globalBatch) }
  private var e: Int { job.precision.byteCount }
  /// Layers that predict further tokens.
  private var M: Int { job.model.predictionDepth }
  /// Whether the last stage needs the token table too.
  private var needsTable: Bool { job.model.hasTiedEmbeddings || M > 0 }
  private var isByPart: Bool { strategy.sharding.gradientDegree > 1 }

  // MARK: Parts of a stage

  private struct Part {
    let parameters: Int
    /// Gradients that each rank of a tensor group computes in part.
    let partial: Int
    let copies: Int
    /// Passes of a micro-batch that use it.
    let uses: Int
  }

  /// The stage of each virtual stage, in the model's order: round after round, or down the stages and back up.
  private var homes: [Int] {
    let down = Array(0..<strategy.pipelineDegree)
    return switch strategy.schedule {
    case .zeroBubbleV, .dualPipeV: down + down.reversed()
    default: (0..<strategy.virtualStageCount).flatMap { _ in down }
    }
  }

  private func parts(_ stage: Int) -> [Part] {
    let shape = job.model, t = strategy.tensorDegree, last = homes.last ?? 0
    let rows = shape.paddedVocabularySize(multiple: model.framework.vocabularyMultiple, tensorDegree: t)
    func part(_ count: ParameterCount, copies: Int = 1, uses: Int = 2, more: Int = 0, ofHeads: Int = 0) -> Part {
      let partial = t == 1 ? 0 : strategy.usesSequenceParallelism ? count.replicated : ofHeads
      return Part(
        parameters: count.sharded / t + count.replicated + more, partial: partial, copies: copies, uses: uses)
    }
    var parts = [
      part(
        shape.layerParameters(.dense), copies: split.layerCount(ofStage: stage),
        ofHeads: shape.hasQueryKeyNorm ? 2 * shape.headSize : 0)
    ]
    if stage == 0 {
      parts.append(
        part(
          shape.embeddingParameters(vocabularySize: rows), uses: needsTable && last == 0 ? 4 : 2))
    }
    if stage == last {
      parts.append(
        part(
          shape.headParameters(vocabularySize: rows),
          more: needsTable && last > 0 ? rows / t * shape.hiddenSize : 0))
      if M > 0 {
        let norms = 3 * shape.hiddenSize * (shape.family == .llama ? 1 : 2)
        let projection = ParameterCount(sharded: 2 * shape.hiddenSize * shape.hiddenSize, replicated: norms)
        parts.append(
          part(
            shape.layerParameters(.dense) + projection, copies: M,
            ofHeads: shape.hasQueryKeyNorm ? 2 * shape.headSize : 0))
      }
    }
    return parts
  }

  // MARK: Collectives

  /// The length of chunk k of n elements cut for `of` ranks, longer ones first.
  private func chunk(_ k: Int, of ranks: Int, _ n: Int) -> Int { n / ranks + (k < n % ranks ? 1 : 0) }

  private mutating func send(_ bytes: Int, _ kind: TrafficKind, _ from: Int, _ to: Int) {
    count.add(bytes, kind: kind, fromRank: from, level: model.linkLevel(fromRank: from, toRank: to))
  }

  /// What a collective moves, as far as its route may depend on it.
  private enum Tensor {
    case activations, tokens, parameters, scalars, progress
  }

  private func route(_ kind: CollectiveKind, _ tensor: Tensor, _ ranks: RankGroup, bytes: Int) -> Route {
    let gathers = kind == .allGather
    let exchanges = Moment.allCases.flatMap { strategy.sharding.exchanges(at: $0, in: mesh) }
    func exchange(_ isScalars: Bool) -> Operand? {
      exchanges.first { ($0.content == .scalars) == isScalars }.map { .exchanged($0, nil, nil) }
    }
    let operand: Operand? =
      switch tensor {
      case .activations: .stream
      case .tokens: .tokenSum
      case .parameters: exchange(false)
      case .scalars: exchange(true)
      case .progress: strategy.exchanges(at: .outer).first.map { .exchanged($0, nil, gathers ? .fromOwners : nil) }
      }
    guard let operand else { return .ring }
    return routes.route(of: CollectiveRoutes.Question(kind, of: operand, over: ranks, byteCount: bytes))
  }

  /// A gather or a scatter of n elements, so many bytes each, a number of times.
  private mutating func move(
    _ n: Int, each: Int, times: Int, _ kind: TrafficKind, _ tensor: Tensor, _ ranks: RankGroup, gathers: Bool
  ) {
    let route = route(gathers ? .allGather : .reduceScatter, tensor, ranks, bytes: n * each)
    rings(n, each * times, kind, ranks, route, gathers: gathers)
  }

  /// Rings level by level over n elements, innermost level first: at a level of a ranks, those that agree in every other
  /// place pass round what belongs to their place below. Gathering, a rank sends all of it but its successor's chunk,
  /// scattering all but its own.
  private mutating func rings(
    _ n: Int, _ bytes: Int, _ kind: TrafficKind, _ ranks: RankGroup, _ route: Route, gathers: Bool
  ) {
    var degrees = [ranks.count], below = 1
    if case .hierarchical(let levels) = route { degrees = levels }
    for degree in degrees {
      for rank in 0..<ranks.count {
        let place = rank / below % degree
        let next = rank + ((place + 1) % degree - place) * below
        if next == rank { continue }
        var sent = 0
        for k in 0..<ranks.count where k % below == rank % below {
          let left = gathers ? next : rank
          if k % (below * degree) != left % (below * degree) { sent += chunk(k, of: ranks.count, n) }
        }
        send(sent * bytes, kind, ranks.rank(rank), ranks.rank(next))
      }
      below *= degree
    }
  }

  /// An all-reduce: a scatter and a gather, or a binomial tree, in which every rank but the first sends all to the rank
  /// without its lowest bit, and gets the sum back.
  private mutating func sum(
    _ n: Int, each: Int, times: Int, _ kind: TrafficKind, _ tensor: Tensor, _ ranks: RankGroup
  ) {
    let route = route(.allReduce, tensor, ranks, bytes: n * each)
    guard route == .tree else {
      for gathers in [false, true] { rings(n, each * times, kind, ranks, route, gathers: gathers) }
      return
    }
    for rank in 1..<max(1, ranks.count) {
      let parent = rank & (rank - 1)
      send(n * each * times, kind, ranks.rank(rank), ranks.rank(parent))
      send(n * each * times, kind, ranks.rank(parent), ranks.rank(rank))
    }
  }

  // MARK: Kinds

  private mutating func countTensor(_ ranks: RankGroup) {
    let stage = mesh.coordinate(ofRank: ranks.first, along: .pipeline), homes = homes
    let tokens = T, S = tokens * job.model.hiddenSize
    let isFirst = stage == 0, isLast = stage == homes.last
    let recomputed =
      (split.choices?[stage]).map { $0.recomputedLayerCount * strategy.virtualStageCount }
      ?? (strategy.recompute == .full ? split.layerCount(ofStage: stage) : 0)
    let layers = m * split.layerCount(ofStage: stage), sums = 4 * layers + 2 * m * recomputed
    let ends = m * ((isFirst ? 1 : 0) + (isLast ? 1 : 0))
    if strategy.usesSequenceParallelism {
      let gathers = sums + 2 * layers + ends + (isLast ? m : 0)
      move(S, each: e, times: gathers, .tensor, .activations, ranks, gathers: true)
      move(S, each: e, times: sums + ends, .tensor, .activations, ranks, gathers: false)
    } else {
      sum(S, each: e, times: sums + ends, .tensor, .activations, ranks)
      // What arrives from another stage comes in parts.
      let arrivals = homes.indices.dropFirst().reduce(0) { count, place in
        // Activations to the later of two neighbours, gradients to the earlier.
        let ends = [homes[place - 1], homes[place]]
        return ends[0] == ends[1] ? count : count + ends.count { $0 == stage }
      }
      move(S, each: e, times: m * arrivals, .tensor, .activations, ranks, gathers: true)
    }
    if isLast {
      countPredictions(S, ranks)
      // The largest logit, the target's and the sum of exponentials of each token, fp32.
      sum(tokens, each: 4, times: 3 * m * (1 + M), .tensor, .tokens, ranks)
    }
    if isByPart {
      for part in parts(stage) { sum(part.partial, each: e, times: m * part.copies, .tensor, .parameters, ranks) }
    } else {
      sum(
        parts(stage).reduce(0) { $0 + $1.partial * $1.copies }, each: job.gradientByteCount, times: 1, .tensor,
        .parameters, ranks)
    }
  }

  /// Of each further prediction four sums of a block, or six, one of the embedding and one of the head; the product's outputs,
  /// and of both its inputs the gradient.
  private mutating func countPredictions(_ S: Int, _ ranks: RankGroup) {
    let all = m * M, sums = strategy.recompute == .full ? 8 : 6
    guard strategy.usesSequenceParallelism else {
      sum(S, each: e, times: all * sums, .tensor, .activations, ranks)
      sum(2 * S, each: e, times: all, .tensor, .activations, ranks)
      move(S, each: e, times: all, .tensor, .activations, ranks, gathers: true)
      return
    }
    // Backward, the inputs of three column-parallel layers and the head once more, and the gradient of the block's input.
    move(S, each: e, times: all * (sums + 3 + 1 + 1), .tensor, .activations, ranks, gathers: true)
    move(S, each: e, times: all * sums, .tensor, .activations, ranks, gathers: false)
    move(2 * S, each: e, times: 2 * all, .tensor, .activations, ranks, gathers: true)
    move(2 * S, each: e, times: all, .tensor, .activations, ranks, gathers: false)
  }

  private var T: Int { strategy.microBatch * job.sequenceLength / strategy.contextDegree }

  /// Ranks that hold the same weights.
  private var copies: [RankGroup] {
    let t = strategy.tensorDegree, n = strategy.contextDegree * strategy.dataDegree
    return (0..<mesh.worldSize / (t * n)).flatMap { stage in
      (0..<t).map { RankGroup(first: stage * t * n + $0, stride: t, count: n) }
    }
  }

  /// What attention of divided sequences sends, rank by rank.
  private mutating func countContext() {
    let C = strategy.contextDegree, t = strategy.tensorDegree, shape = job.model
    guard C > 1 else { return }
    let keys = 2 * T * shape.keyValueSize / t, all = T * 2 * (shape.querySize + shape.keyValueSize) / t
    let inner =
      switch strategy.contextExchange {
      case .ring, .allGather: 1
      case .allToAll: C
      case .allToAllRing: strategy.contextInnerDegree
      }
    let outer = C / inner
    for rank in 0..<strategy.worldSize {
      let place = rank / t % C, stage = mesh.coordinate(ofRank: rank, along: .pipeline),
        layers = split.layerCount(ofStage: stage) + (stage == homes.last ? M : 0)
      func neighbour(_ other: Int) -> Int { rank + (other - place) * t }
      let again = strategy.recompute == .full ? (split.choices?[stage].recomputedLayerCount ?? layers) : 0
      let forward = m * (layers + again), backward = m * layers
      for other in 0..<inner where other != place % inner {
        send(all / inner * e * (forward + backward), .context, rank, neighbour(place - place % inner + other))
      }
      guard outer > 1 else { continue }
      let up = neighbour(place % inner + (place / inner + 1) % outer * inner)
      let down = neighbour(place % inner + (place / inner + outer - 1) % outer * inner)
      let bytes = (outer - 1) * keys * e
      if strategy.contextExchange == .allGather {
        // Both passes gather, backward scatters too; the first of each group counts for all.
        guard place == 0 else { continue }
        let group = RankGroup(first: rank, stride: t, count: C)
        move(C * keys, each: e, times: forward + backward, .context, .activations, group, gathers: true)
        move(C * keys, each: e, times: backward, .context, .activations, group, gathers: false)
      } else {
        send(bytes * forward, .context, rank, up)
        send(2 * bytes * backward, .context, rank, down)
      }
    }
  }

  private mutating func countPipeline() {
    let p = strategy.pipelineDegree
    guard p > 1 else { return }
    let bytes =
      T * job.model.hiddenSize / strategy.tensorDegree * e * m
    let homes = homes
    for boundary in homes.indices.dropFirst() where homes[boundary - 1] != homes[boundary] {
      for column in mesh.groups(along: .pipeline) {
        let ends = [column.rank(homes[boundary - 1]), column.rank(homes[boundary])]
        send(bytes, .pipeline, ends[0], ends[1])
        send(bytes, .pipeline, ends[1], ends[0])
      }
    }
  }

  private mutating func countEnds() {
    let p = strategy.pipelineDegree
    // At both ends of a V there is one rank, with one matrix.
    if needsTable, homes.last != 0 {
      let t = strategy.tensorDegree
      let rows = job.model.paddedVocabularySize(multiple: model.framework.vocabularyMultiple, tensorDegree: t)
      for column in mesh.groups(along: .pipeline) {
        sum(
          rows / t * job.model.hiddenSize, each: job.gradientByteCount, times: 1, .embedding, .parameters,
          column.part(fromPlace: 0, step: p - 1, count: 2))
      }
    }
    for worker in workers where worker.count > 1 { sum(2, each: 4, times: 1, .control, .scalars, worker) }
  }

  private var workers: [RankGroup] {
    let count = mesh.worldSize / strategy.workerDegree
    return (0..<strategy.workerDegree).map { RankGroup(first: $0 * count, stride: 1, count: count) }
  }

  /// Once a round: what every rank updates, and where the penalty asks for it how far the anchor has moved.
  private mutating func countWorkers() {
    guard strategy.update == .outer else { return }
    for ranks in mesh.groups(along: .worker) where ranks.count > 1 {
      let place = mesh.coordinates(ofRank: ranks.first), parts = parts(place[.pipeline])
      let replica = place[.data] * strategy.contextDegree + place[.context]
      let n =
        isByPart
        ? parts.reduce(0) { $0 + updated($1.parameters, replica) * $1.copies }
        : updated(parts.reduce(0) { $0 + $1.parameters * $1.copies }, replica)
      let W = ranks.count, words = words((n + W - 1) / W, bits: 8, group: 2048)
      switch strategy.outer.format {
      case .fp32: sum(n, each: 4, times: 1, .outer, .progress, ranks)
      case .bf16, .int8:
        let isCodes = strategy.outer.format == .int8
        for from in 0..<W {
          for to in 0..<W where to != from {
            send(isCodes ? 4 * words : 2 * chunk(to, of: W, n), .outer, ranks.rank(from), ranks.rank(to))
          }
        }
        move(isCodes ? W * words : n, each: isCodes ? 4 : 2, times: 1, .outer, .progress, ranks, gathers: true)
      }
    }
    guard case .gapAware = job.outer.penalty else { return }
    // One number to the first rank, which adds up, and back.
    for worker in workers {
      for place in 1..<max(1, worker.count) {
        send(4, .outer, worker.rank(place), worker.first)
        send(4, .outer, worker.first, worker.rank(place))
      }
    }
  }

  /// Of n elements, those that a replica updates: a chunk of it for its weights, of that one for its gradient, and so on.
  private func updated(_ n: Int, _ replica: Int) -> Int {
    let levels = [
      1, strategy.sharding.weightDegree, strategy.sharding.gradientDegree, strategy.sharding.optimizerDegree,
    ]
    return zip(levels, levels.dropFirst()).reduce(n) { elements, level in
      chunk(replica / level.0 % (level.1 / level.0), of: level.1 / level.0, elements)
    }
  }

  private mutating func countData(_ data: RankGroup) {
    let stage = mesh.coordinate(ofRank: data.first, along: .pipeline)
    let sharding = strategy.sharding, N = data.count, accumulated = job.gradientByteCount
    let w = sharding.weightDegree, g = sharding.gradientDegree, o = sharding.optimizerDegree
    let parts = parts(stage)
    guard isByPart else {
      let all = parts.reduce(0) { $0 + $1.parameters * $1.copies }
      reduce(all, accumulated, data, 1, o)
      replicas(all, accumulated, data, N)
      gather(all, e, data, 1, o)
      return
    }
    for part in parts {
      let n = part.parameters, k = part.copies, uses = m * part.uses
      let far = sharding.secondaryDegree == nil ? uses : 1
      gather(n, e, data, 1, w, times: k * far)
      if let s = sharding.secondaryDegree { gather(n, e, data, 1, s, times: k * (uses - far), isExact: true) }
      reduce(n, e, data, 1, w, times: k * m)
      reduce(n, e, data, w, g, times: k * m)
      reduce(n, accumulated, data, g, o, times: k)
      replicas(n, accumulated, data, N, times: k)
      gather(n, e, data, g, o, times: k)
      gather(n, e, data, w, g, times: k)
    }
  }

  /// Groups of replicas that differ in r / inner mod (outer / inner) alone, and the elements that each has between its
  /// members when `inner` ranks have divided n.
  private func groups(_ n: Int, _ data: RankGroup, _ inner: Int, _ outer: Int) -> [(ranks: RankGroup, n: Int)] {
    let sharding = strategy.sharding
    let levels = [1, sharding.weightDegree, sharding.gradientDegree, sharding.optimizerDegree, data.count]
    return (0..<data.count).filter { $0 / inner % (outer / inner) == 0 }.map { replica in
      var elements = n
      for (below, above) in zip(levels, levels.dropFirst()) where above <= inner {
        elements = chunk(replica / below % (above / below), of: above / below, elements)
      }
      return (data.part(fromPlace: replica, step: inner, count: outer / inner), elements)
    }
  }

  /// From shards of 1/outer to 1/inner.
  private mutating func gather(
    _ n: Int, _ each: Int, _ data: RankGroup, _ inner: Int, _ outer: Int, times: Int = 1, isExact: Bool = false
  ) {
    for (ranks, n) in groups(n, data, inner, outer) where ranks.count > 1 && times > 0 {
      if strategy.sharding.quantisesWeights, !isExact, nodes(ranks) != nil {
        // The longest shard's codes and steps, of every rank.
        let words = ranks.count * words((n + ranks.count - 1) / ranks.count, bits: 8, group: 2048)
        move(words, each: 4, times: times, .data, .parameters, ranks, gathers: true)
      } else {
        move(n, each: each, times: times, .data, .parameters, ranks, gathers: true)
      }
    }
  }

  /// From shards of 1/inner to 1/outer.
  private mutating func reduce(
    _ n: Int, _ each: Int, _ data: RankGroup, _ inner: Int, _ outer: Int, times: Int = 1
  ) {
    for (ranks, n) in groups(n, data, inner, outer) where ranks.count > 1 {
      guard strategy.sharding.quantisesGradients, let (inside, across) = nodes(ranks), n % (2 * ranks.count) == 0 else {
        move(n, each: each, times: times, .data, .parameters, ranks, gathers: false)
        continue
      }
      for from in 0..<ranks.count {
        for to in 0..<ranks.count where to != from {
          // To its node what the node's rank sums for all nodes, to its like on other nodes one partition.
          if from / inside == to / inside {
            let bytes = 4 * words(across * n / ranks.count, bits: 4, group: 256) * times
            send(bytes, .data, ranks.rank(from), ranks.rank(to))
          } else if from % inside == to % inside {
            let bytes = 4 * words(n / ranks.count, bits: 4, group: 256) * times
            send(bytes, .data, ranks.rank(from), ranks.rank(to))
          }
        }
      }
    }
  }

  private mutating func replicas(_ n: Int, _ each: Int, _ data: RankGroup, _ count: Int, times: Int = 1) {
    for (ranks, n) in groups(n, data, strategy.sharding.optimizerDegree, count) where ranks.count > 1 {
      sum(n, each: each, times: times, .data, .parameters, ranks)
    }
  }

  /// Words of 4 bytes of a run of codes, and of one step for each group.
  private func words(_ n: Int, bits: Int, group: Int) -> Int { (n * bits + 31) / 32 + (n + group - 1) / group }

  /// Members of a group on each node, and nodes; nil where the group stays in one or lies unevenly.
  private func nodes(_ ranks: RankGroup) -> (inside: Int, across: Int)? {
    let nodes = ranks.ranks.map { $0 / model.cluster.devicesPerNode }
    let counts = Dictionary(grouping: nodes) { $0 }.values.map(\.count)
    guard counts.count > 1, let inside = counts.first, counts.allSatisfy({ $0 == inside }) else { return nil }
    return (inside, counts.count)
  }
}
