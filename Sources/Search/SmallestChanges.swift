package import Costing
package import Documents
package import JSONText

/// Where there is no plan: what would leave one if it alone were changed, each by as little as possible.
///
/// Whatever is named was tried: with it some strategy keeps all rules and fits into memory. What memory lacks is
/// ``MemoryShortage``'s.
package struct SmallestChanges: Sendable, Equatable {
  /// Global batches that would do: the nearest below, the nearest above.
  package let globalBatches: [Int]
  /// The most nodes that would do, fewer than there are; nil where none of those tried do.
  package let nodeCount: Int?
  /// Other values of what is fixed.
  package let fixed: [FixedPart]
  /// Frameworks that can be told a strategy; ``Plan/Question/anyFramework`` where none can but something can be priced.
  package let frameworks: [String]
  /// Whether something would do if nothing were fixed, though no single change of it is enough.
  package let isWithoutFixed: Bool

  /// A part of the strategy that is fixed, and the values that would do.
  package struct FixedPart: Sendable, Equatable {
    package let key: String
    /// What is fixed.
    package let value: JSON
    /// What would do: of numbers the nearest below and above.
    package let others: [JSON]

    /// `tensor=2 or tensor=4 instead of tensor=3`.
    package var words: String {
      others.map { "\(key)=\($0.word)" }.joined(separator: " or ") + " instead of \(key)=\(value.word)"
    }
  }

  /// Strategies that are priced in search of changes, at most: a count, so that equal questions have equal answers.
  private static let pointLimit = 400_000
  /// Fewer nodes are tried one by one so far down, and by halves below.
  private static let nodeSteps = 64

  /// - Parameter allowance: what may change values; it counts where the update is fixed, since what nothing else fits
  ///   with fits no better between outer steps.
  /// - Throws: ``Stopped``.
  init(
    model: CostModel, pattern: StrategyPattern, allowance: Allowance = .exact, capabilities: Capabilities?,
    watch: StopWatch = .never
  ) throws(Stopped) {
    var trials = Trials(pointsLeft: Self.pointLimit, allowance: allowance, watch: watch)
    globalBatches = try Self.batches(model, pattern, capabilities, &trials)
    let count = model.nodeOrder.count
    let oneByOne = Array(stride(from: count - 1, through: max(1, count - Self.nodeSteps), by: -1))
    let byHalves = Array(sequence(first: (oneByOne.last ?? 1) / 2) { $0 / 2 }.prefix { $0 >= 1 })
    nodeCount = try (oneByOne + byHalves).firstToFit { (nodes) throws(Stopped) in
      guard let cluster = model.cluster.resized(nodeCount: nodes), let fewer = model.with(cluster: cluster) else {
        return false
      }
      return try trials.fit(fewer, pattern, capabilities)
    }
    let parts = try Self.parts(of: pattern, model: model) { (other) throws(Stopped) in
      try trials.fit(model, other, capabilities)
    }
    fixed = parts
    var able: [String] = []
    if capabilities != nil {
      for other in Capabilities.all where other.name != capabilities?.name {
        if try trials.fit(model, pattern, other) { able.append(other.name) }
      }
      if able.isEmpty, try trials.fit(model, pattern, nil) { able = [Plan.Question.anyFramework] }
    }
    frameworks = able
    let isStuck = parts.isEmpty && !pattern.members.isEmpty
    isWithoutFixed = isStuck ? try trials.fit(model, StrategyPattern(), capabilities) : false
  }

  /// The changes, each as the end of "would work with".
  ///
  /// - Parameters:
  ///   - globalBatch: the present one.
  ///   - presentNodeCount: the nodes that are used.
  ///   - key: a fixed part that somebody else speaks of.
  package func words(globalBatch: Int, presentNodeCount: Int, without key: String? = nil) -> [String] {
    var words: [String] = []
    if !globalBatches.isEmpty {
      words.append(
        "a global batch of \(globalBatches.map(\.grouped).joined(separator: " or ")) instead of \(globalBatch.grouped)")
    }
    if let nodeCount {
      words.append("\(nodeCount.counted("node")) instead of \(presentNodeCount.grouped)")
    }
    words += fixed.filter { $0.key != key }.map(\.words)
    if !frameworks.isEmpty { words.append("--framework \(frameworks.joined(separator: " or "))") }
    if isWithoutFixed { words.append("less of the strategy fixed") }
    return words
  }

  /// Other values of what is stated of a strategy, with which it keeps all rules, whether it fits or not: one part
  /// changed, everything open at its plainest.
  package static func parts(ofStated pattern: StrategyPattern, model: CostModel) -> [FixedPart] {
    let parts = try? parts(of: pattern, model: model) { other in
      let strategy = other.completed(
        deviceCount: model.deviceCount, flashAttention: model.hasFlashAttention,
        overlap: model.framework.overlapsGradientReduce)
      return model.violation(of: strategy) == nil
    }
    return parts ?? []
  }

  /// The stated parts with the nearest other values that do.
  private static func parts(
    of pattern: StrategyPattern, model: CostModel, does: (StrategyPattern) throws(Stopped) -> Bool
  ) throws(Stopped) -> [FixedPart] {
    var parts: [FixedPart] = []
    for member in pattern.members {
      guard let key = Strategy.keys.first(where: { $0.name == member.key }) else { continue }
      var others: [JSON] = []
      for side in candidates(key, besides: member.value, model: model) {
        let nearest = try side.firstToFit { (value) throws(Stopped) in try does(pattern.stating(member.key, value)) }
        if let nearest { others.append(nearest) }
      }
      if !others.isEmpty { parts.append(FixedPart(key: member.key, value: member.value, others: others)) }
    }
    return parts
  }

  /// Batches of whole micro-batches on meshes that the present batch does not divide among, the nearest that fit.
  private static func batches(
    _ model: CostModel, _ pattern: StrategyPattern, _ capabilities: Capabilities?, _ trials: inout Trials
  ) throws(Stopped) -> [Int] {
    let batch = model.job.globalBatch
    var below: [(batch: Int, mesh: Mesh)] = [], above: [(batch: Int, mesh: Mesh)] = []
    let workers = pattern.workerDegree ?? 1, context = pattern.contextDegree ?? 1
    guard model.deviceCount % (workers * context) == 0 else { return [] }
    for mesh in Lattice.factorisations(
      of: model.deviceCount / (workers * context), along: Mesh.searchedAxes[...], of: [.context: context],
      pattern: pattern)
    {
      let unit = workers * mesh.degree(of: .data) * (pattern.microBatch ?? 1)
      // With virtual stages not every number of micro-batches will do: one of as many in a row as there are stages.
      let isInterleaved = (pattern.virtualStageCount ?? 1) > 1
      guard batch % unit != 0 || isInterleaved else { continue }
      for step in 0..<(isInterleaved ? mesh.degree(of: .pipeline) : 1) {
        below.append(((batch - 1) / unit * unit - step * unit, mesh))
        above.append((batch / unit * unit + (step + 1) * unit, mesh))
      }
    }
    below.sort { $0.batch > $1.batch }
    above.sort { $0.batch < $1.batch }
    var nearest: [Int] = []
    for side in [below, above] {
      let found = try side.firstToFit { (candidate) throws(Stopped) in
        guard TrainingJob.Bounds.globalBatch.contains(candidate.batch),
          let other = model.with(globalBatch: candidate.batch)
        else { return false }
        return try trials.fit(other, pattern.on(candidate.mesh), capabilities)
      }
      if let found { nearest.append(found.batch) }
    }
    return nearest
  }

  /// Other values of a key: of numbers the lower and the higher ones, the nearest first; of others all.
  private static func candidates(_ key: StrategyKey, besides stated: JSON, model: CostModel) -> [[JSON]] {
    switch key.values {
    case .booleans, .flagOrCount: return [[.boolean(true), .boolean(false)].filter { $0 != stated }]
    case .choices(let all): return [all.filter { $0 != stated }]
    // Which modules could do is not said one by one; other kinds of recomputation are.
    case .sets: return []
    case .integers(let range):
      guard let number = Int(scalar: stated) else { return [] }
      // A part of a strategy divides devices, layers or the batch; a ZeRO stage is one of four.
      let whole =
        switch key.name {
        case "micro_batch": model.job.globalBatch
        case "virtual_stages": model.job.model.layerCount
        default: model.deviceCount
        }
      let all = range.count <= 4 ? Array(range) : divisors(of: whole)
      return [all.filter { $0 < number }.reversed(), all.filter { $0 > number }].map { $0.map(JSON.integer) }
    }
  }
}

/// Asks of questions beside the one that was asked whether anything fits at all, as long as there are strategies left
/// to price.
struct Trials {
  /// Strategies that may still be priced.
  private(set) var pointsLeft: Int
  /// What may change values, where the update is fixed.
  var allowance = Allowance.exact
  let watch: StopWatch

  /// Whether any strategy that matches keeps all rules and fits; `false` as well where nothing is left to try it with.
  mutating func fit(
    _ model: CostModel, _ pattern: StrategyPattern, _ capabilities: Capabilities?
  ) throws(Stopped) -> Bool {
    try watch.check()
    let statesSharding = pattern.statesSharding
    let lattice = Lattice(
      model: model, pattern: pattern, allowance: pattern.update == nil ? .exact : allowance, capabilities: capabilities)
    for mesh in lattice.meshes {
      let branch = lattice.branch(mesh).branch
      guard !branch.points.isEmpty else { continue }
      let costs = PricedLattice.BranchCosts(branch, model: model)
      for point in branch.points where statesSharding || !point.strategy.hasShardLevels {
        try watch.check()
        guard pointsLeft > 0 else { return false }
        pointsLeft -= 1
        let cost = costs.cost(of: point.strategy, microBatchCostIndex: point.microBatchCostIndex, model: model)
        if cost.memory.layerCapacities(within: MemoryLimit(.risky), freedom: point.freedom) != nil,
          !point.strategy.usesHost || cost.memory.leastHostBytes <= cost.memory.hostLimitBytes ?? 0
        {
          return true
        }
      }
    }
    return false
  }
}

extension CostModel {
  /// The same job on another cluster; nil where it cannot be priced there.
  func with(cluster: ClusterDescription) -> CostModel? {
    try? CostModel(cluster: cluster, job: job, frameworkName: framework.name)
  }

  /// Another batch on the same nodes; nil where sizes cannot be counted.
  fileprivate func with(globalBatch: Int) -> CostModel? {
    let other = try? job.with(globalBatch: globalBatch)
    return other.flatMap { try? CostModel(cluster: cluster, job: $0, frameworkName: framework.name) }?
      .arranged(nodeOrder)
  }
}

extension StrategyPattern {
  /// The pattern with every degree of a mesh fixed.
  fileprivate func on(_ mesh: Mesh) -> StrategyPattern {
    (Mesh.searchedAxes + (mesh.degree(of: .context) > 1 ? [.context] : [])).reduce(self) {
      $0.stating($1.name, .integer(mesh.degree(of: $1)))
    }
  }
}
