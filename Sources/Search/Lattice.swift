import Costing
import Documents

/// The strategies that a job could be run with on a cluster: every way to factor the devices, every micro-batch, and
/// every combination of the methods that do not change what is computed.
///
/// | axis | values |
/// |---|---|
/// | tensor, pipeline, data | every triple whose product is the device count |
/// | context | 1, and where sequences are long every divisor of the device count that leaves a rank enough of one, see ``leastSearchedTokenCount``; with each kind of exchange |
/// | micro-batch | every divisor of global batch / data |
/// | virtual stages | 1, and every divisor of layers / pipeline where interleaving is possible |
/// | schedule | 1F1B; with split backward passes those that the framework has, where chunks are of one size |
/// | shard degrees | ZeRO 0 to 3, and every nesting of the cluster's own levels, see ``ShardingChoices`` |
/// | recompute | none, full; selective where attention is not fused, or selective is by operation; and sets of modules, see ``searchedModules(of:)`` |
/// | sequence parallelism | on and off with tensor parallelism |
/// | overlap of tensor exchanges | wherever it can be asked for and hides anything, since nothing takes longer with it |
/// | stages | all alike, or each with its own number of recomputed layers and its own offload of the optimizer |
/// | narrow weights | held wherever device and framework have them, unless fixed: less is kept and gathered, and nothing takes longer |
/// | on the host | nothing; where that is asked for, or nothing fits without, the update, or quarters of it, weights, activations |
/// | FlashAttention, overlap of gradient reduction | what device and framework have, unless fixed |
///
/// Where they are allowed, zeroth-order training and outer steps of workers have points of their own, see
/// ``zerothOrderPoints(_:keys:rejections:)`` and ``outerPoints(_:of:keys:rejections:)``.
///
/// Of these, what the framework that is to run the plan does not offer is left out, see ``Capabilities``.
struct Lattice {
  /// The strategies of one mesh; each names what it shares with others.
  struct Point: Sendable {
    let strategy: Strategy
    /// What its stages may decide for themselves.
    let freedom: StageFreedom
    /// Index into the mesh's list of micro-batch costs.
    let microBatchCostIndex: Int
  }

  /// One mesh, with all its points.
  struct Branch: Sendable {
    let mesh: Mesh
    let microBatchKeys: [MicroBatchKey]
    let points: [Point]
  }

  let meshes: [Mesh]
  /// Where enumeration was cut, by rule; each count is of cuts, whatever would have been below them.
  let rejections: [String: Int]

  let model: CostModel
  private let job: TrainingJob
  let pattern: StrategyPattern
  /// Whether weights may move by gradients in every step, and by losses alone.
  private let searchesFirstOrder: Bool
  let searchesZerothOrder: Bool
  /// What outer steps of workers may be; nil where none are searched.
  private let outer: OuterChoices?
  private let shardingChoices: ShardingChoices
  /// What the framework offers; nil for all that can be priced.
  let capabilities: Capabilities?
  /// The parts that are not walked, as they are fixed or as device and framework have them.
  let base: Strategy
  let hasFlashAttention: Bool
  let hasHost: Bool
  let interleavesLargerGroups: Bool
  private let recomputations: [Strategy.Recompute]
  /// What selective recomputation computes again; the empty set is what the framework selects by itself.
  private let moduleSets: [Strategy.RecomputeModules]
  /// Whether hosts could hold optimizer states, and nobody says that they are not to.
  private let mayOffload: Bool
  /// What may lie on the host and not on the devices, the least first.
  private let hostings: [Hosting]
  /// Those beside a pipeline or recomputation, where no framework has activations of some layers on the host.
  private let hostingsOfAllLayers: [Hosting]
  /// Whether tensor groups' exchanges beside products, asked for, hide anything.
  let hidesTensorExchanges: Bool
  /// Whether nobody says how weights of products lie that may lie in a narrow format.
  private let searchesNarrowWeights: Bool

  /// - Parameters:
  ///   - pattern: what is fixed; strategies that do not match are not part of the lattice.
  ///   - allowance: what may change values.
  ///   - capabilities: what the framework offers; nil for all that can be priced.
  ///   - concessions: what is given up where it is not fixed.
  init(
    model: CostModel, pattern: StrategyPattern, allowance: Allowance = .exact, capabilities: Capabilities? = nil,
    concessions: Concessions = Concessions()
  ) {
    self.capabilities = capabilities
    self.model = model
    job = model.job
    searchesNarrowWeights = pattern.holdsNarrowWeights == nil && model.job.precision.products != nil
    self.pattern = pattern
    let update = pattern.update, isOneWorker = OuterChoices.areNone(in: pattern)
    searchesZerothOrder = allowance.admitsZerothOrder && update ?? .zerothOrder == .zerothOrder && isOneWorker
    let refusal = capabilities?.refusal(of: model.job)
    searchesFirstOrder = update ?? .firstOrder == .firstOrder && isOneWorker && refusal == nil
    let outer =
      update ?? .outer == .outer && refusal == nil
      ? OuterChoices(model: model, pattern: pattern, allowance: allowance, searchesHosting: concessions.searchesHosting)
      : nil
    self.outer = outer
    shardingChoices = ShardingChoices(cluster: model.cluster, pattern: pattern, allowance: allowance)
    hasFlashAttention = model.hasFlashAttention
    hidesTensorExchanges = model.hidesTensorExchangesWhereAsked && !concessions.exchangesAlone
    hasHost = model.cluster.host != nil
    interleavesLargerGroups = model.framework.interleavesLargerGroups
    mayOffload =
      model.cluster.host != nil && pattern.offloadsOptimizer != false
      && capabilities?.movesOptimizerStates(of: model.job) != false
    hostings = Self.hostings(
      pattern, model: model, capabilities: capabilities,
      searched: concessions.searchesHosting && model.cluster.host != nil)
    hostingsOfAllLayers =
      pattern[dynamicMember: \.hosting.activations] == nil
      ? hostings.filter { !$0.activations.isOfSomeLayers } : hostings
    var base = pattern.completed(
      deviceCount: model.deviceCount, flashAttention: hasFlashAttention,
      overlap: model.framework.overlapsGradientReduce)
    // Outer steps come on top of what a worker does by itself.
    if base.update == .outer { base.update = .firstOrder }
    base.outer = OuterStep()
    self.base = base
    // A fused attention core keeps nothing that dropping the core could save; modules are worth a look of their own.
    let isSelective = !base.usesFlashAttention || model.framework.memory.selective == .everySecondProduct
    let searchedModules =
      pattern.recomputeModules.map { [$0] } ?? Self.searchedModules(model, capabilities, pattern: pattern)
    let namesModules = pattern.recomputeModules?.isEmpty == false
    recomputations =
      pattern.recompute.map { [$0] } ?? (namesModules ? [.selective] : nil)
      ?? (isSelective || !searchedModules.isEmpty ? [.none, .selective, .full] : [.none, .full])
    moduleSets =
      namesModules
      ? searchedModules : isSelective || pattern.recompute != nil ? [[]] + searchedModules : searchedModules
    var meshes: [Mesh] = []
    var rejections: [String: Int] = [:]
    let deviceCount = model.deviceCount
    if let refusal {
      rejections["\(refusal)"] = 1
      guard searchesZerothOrder else {
        self.meshes = []
        self.rejections = rejections
        return
      }
    }
    let isWhole = searchesFirstOrder || searchesZerothOrder
    let contexts = Self.contextDegrees(model, pattern: pattern, capabilities: capabilities)
    func factorisations(of rankCount: Int) -> [Mesh] {
      contexts.filter { rankCount % $0 == 0 }.flatMap { context in
        Self.factorisations(
          of: rankCount / context, along: Mesh.searchedAxes[...], of: [.context: context], pattern: pattern)
      }
    }
    // Fused attention as the mesh's strategies have it, since without they hold more.
    let fuses = base.usesFlashAttention && hasFlashAttention
    func plainest(_ mesh: Mesh) -> Strategy {
      Strategy(mesh: mesh).with(\.usesFlashAttention, fuses).with(
        \.usesSequenceParallelism, Strategy.needsSequenceParallelism(model.job.model, on: mesh)
      ).withPlainestExchange(
        job: model.job, pattern: pattern, capabilities: capabilities)
    }
    for mesh in factorisations(of: deviceCount) where isWhole {
      let plainest = plainest(mesh)
      if searchesZerothOrder, Self.admitsZerothOrder(mesh, model) {
        meshes.append(mesh)
      } else if !searchesFirstOrder {
        rejections["no zeroth-order training on these degrees", default: 0] += 1
      } else if let violation = plainest.violation(
        job: job, deviceCount: deviceCount, hasFlashAttention: hasFlashAttention)
      {
        rejections[violation.rule, default: 0] += 1
      } else if let refusal = capabilities?.refusal(of: mesh) {
        rejections[refusal.rule, default: 0] += 1
      } else {
        meshes.append(mesh)
      }
    }
    let hasFlash = hasFlashAttention
    for workers in outer?.workerDegrees ?? [] {
      for worker in factorisations(of: deviceCount / workers) {
        let plainest = plainest(worker)
        if let violation = plainest.of(workers: workers, step: OuterStep()).violation(
          job: model.job, deviceCount: deviceCount, hasFlashAttention: hasFlash)
        {
          rejections[violation.rule, default: 0] += 1
        } else if let refusal = capabilities?.refusal(of: worker) {
          rejections[refusal.rule, default: 0] += 1
        } else {
          meshes.append(worker.with(.worker, degree: workers))
        }
      }
    }
    if meshes.isEmpty, rejections.isEmpty, !isWhole, refusal == nil {
      rejections["outer steps as they are fixed are not allowed, or no number of whole nodes is a worker"] = 1
    }
    if meshes.isEmpty, rejections.isEmpty { rejections["the fixed degrees do not multiply to the device count"] = 1 }
    self.meshes = meshes
    self.rejections = rejections
  }

  /// Every way to factor a number of ranks along axes, where the pattern leaves a choice; the last axis takes what the
  /// others leave.
  static func factorisations(
    of rankCount: Int, along axes: ArraySlice<Mesh.Axis>, of mesh: Mesh = [:], pattern: StrategyPattern
  ) -> [Mesh] {
    guard let axis = axes.first else { return [mesh] }
    let degrees = axes.count == 1 ? [rankCount] : divisors(of: rankCount)
    return degrees.filter { pattern.degree(of: axis) ?? $0 == $0 }.flatMap {
      factorisations(
        of: rankCount / $0, along: axes.dropFirst(), of: mesh.with(axis, degree: $0), pattern: pattern)
    }
  }

  /// All points of one mesh, and where enumeration was cut below it.
  func branch(_ mesh: Mesh) -> (branch: Branch, rejections: [String: Int]) {
    var keys: [MicroBatchKey] = []
    var points: [Point] = []
    var rejections: [String: Int] = [:]
    if let outer, mesh.degree(of: .worker) > 1 {
      points = outerPoints(mesh, of: outer, keys: &keys, rejections: &rejections)
      return (Branch(mesh: mesh, microBatchKeys: keys, points: points), rejections)
    }
    if searchesZerothOrder, mesh.degree(of: .context) == 1 {
      points = zerothOrderPoints(mesh, keys: &keys, rejections: &rejections)
    }
    if searchesFirstOrder, job.globalBatch % mesh.degree(of: .data) == 0 {
      // A mesh may be there for the other kind of training alone.
      if searchesZerothOrder, let refusal = capabilities?.refusal(of: mesh) {
        rejections[refusal.rule, default: 0] += 1
      } else {
        points += firstOrderPoints(mesh, job: job, keys: &keys, rejections: &rejections)
      }
    }
    return (Branch(mesh: mesh, microBatchKeys: keys, points: points), rejections)
  }

  /// All points of a mesh that train by gradients in every step.
  ///
  /// - Parameters:
  ///   - job: whose batch is that of the mesh.
  ///   - keys: what the cost of a micro-batch depends on, to which new ones are appended.
  ///   - rejections: by rule, to which cuts are added.
  /// - Precondition: replicas divide the batch.
  func firstOrderPoints(
    _ mesh: Mesh, job: TrainingJob, keys: inout [MicroBatchKey], rejections: inout [String: Int]
  ) -> [Point] {
    var keyIndex: [MicroBatchKey: Int] = [:]
    var points: [Point] = []
    for (index, key) in keys.enumerated() { keyIndex[key] = index }
    let perReplica = job.globalBatch / mesh.degree(of: .data)
    let fixed = pattern.microBatch
    let microBatches = divisors(of: perReplica).filter { fixed ?? $0 == $0 }
    if microBatches.isEmpty {
      rejections["the fixed micro-batch does not divide a replica's batch"] = 1
    }
    let choices = shardingChoices.choices(mesh)
    if let violation = choices.violation { rejections[violation.rule, default: 0] += 1 }
    // What the framework does not offer is cut here, once for all that would have it.
    func offered<Value>(_ values: [Value], _ refusal: (Capabilities, Value) -> Capabilities.Refusal?) -> [Value] {
      guard let capabilities else { return values }
      return values.filter { value in
        guard let refusal = refusal(capabilities, value) else { return true }
        rejections[refusal.rule, default: 0] += 1
        return false
      }
    }
    let schedules = offered(schedules(mesh)) { $0.refusal(of: $1) }
    var sequenceParallelisms = offered(sequenceParallelisms(mesh)) { $0.refusal(ofSequenceParallelism: $1, on: mesh) }
    sequenceParallelisms.removeAll { isUsed in
      guard Strategy.needsSequenceParallelism(job.model, on: mesh), !isUsed else { return false }
      rejections[ExpertViolation.tensorWithoutSequenceParallelism.rule, default: 0] += 1
      return true
    }
    let recomputations = offered(recomputations) { $0.refusal(of: $1) }
    let divisions = expertDivisions(mesh)
    let exchanges = contextExchanges(mesh).flatMap { exchange in divisions.map { exchange.with($0) } }
    let shardings = offered(choices.all) { $0.refusal(of: $1.sharding ?? Sharding(.none, replicaCount: 1), on: mesh) }
    let recomputed = recomputations.flatMap { recompute in
      (recompute == .selective ? moduleSets : [[]]).map { (recompute, $0) }
    }
    for microBatch in microBatches {
      for (recompute, modules) in recomputed {
        for sequenceParallel in sequenceParallelisms {
          let overlapsTensor = overlapsTensorExchange(
            Strategy(mesh: mesh, microBatch: microBatch, usesSequenceParallelism: sequenceParallel))
          for exchange in exchanges {
            let key = MicroBatchKey(
              microBatch: microBatch, recompute: recompute, sequenceParallel: sequenceParallel,
              flashAttention: base.usesFlashAttention, context: exchange.contextDivision,
              experts: exchange.expertDivision, modules: modules, overlapsTensorExchange: overlapsTensor)
            for choice in shardings {
              for schedule in schedules {
                var strategy = base.on(mesh, zeroStage: choice.zeroStage, sharding: choice.sharding)
                strategy.schedule = schedule
                strategy.microBatch = microBatch
                strategy.recompute = recompute
                strategy.recomputeModules = modules
                strategy.usesSequenceParallelism = sequenceParallel
                strategy.overlapsTensorExchange = overlapsTensor
                strategy.contextExchange = exchange.contextExchange
                strategy.contextInnerDegree = exchange.contextInnerDegree
                strategy = strategy.with(exchange.expertDivision)
                let hasSomeOnHost = mesh.degree(of: .pipeline) == 1 && recompute == .none
                for hosting in hasSomeOnHost ? hostings : hostingsOfAllLayers {
                  strategy.hosting = hosting
                  strategy = withNarrowWeights(strategy)
                  if let violation = strategy.violation(
                    job: job, deviceCount: mesh.worldSize, hasFlashAttention: hasFlashAttention,
                    interleavesLargerGroups: interleavesLargerGroups, hasHost: hasHost) ?? strategy.exclusion
                    ?? model.tensorOverlapViolation(strategy)
                  {
                    rejections[violation.rule, default: 0] += 1
                    continue
                  }
                  if let refusal = capabilities?.refusal(ofContext: strategy) ?? capabilities?.refusal(
                    ofExperts: strategy)
                    ?? capabilities?.refusal(ofTensorOverlap: strategy)
                    ?? capabilities?.refusal(of: strategy, job: job)
                  {
                    rejections[refusal.rule, default: 0] += 1
                    continue
                  }
                  let index = keyIndex[key] ?? keys.count
                  if index == keys.count {
                    keyIndex[key] = index
                    keys.append(key)
                  }
                  points.append(Point(strategy: strategy, freedom: .none, microBatchCostIndex: index))
                  let freedom = freedom(of: strategy)
                  if freedom != .none {
                    points.append(Point(strategy: strategy, freedom: freedom, microBatchCostIndex: index))
                  }
                }
              }
            }
          }
        }
      }
    }
    return points
  }

  /// A strategy with weights of products in the format that they are multiplied in, where that is not fixed and can be had.
  private func withNarrowWeights(_ strategy: Strategy) -> Strategy {
    guard searchesNarrowWeights else { return strategy }
    let narrow = strategy.with(\.holdsNarrowWeights, false).withNarrowWeights(job)
    return capabilities?.refusal(ofNarrowWeights: narrow, job: job) == nil
      ? narrow : strategy.with(\.holdsNarrowWeights, false)
  }

  /// What stages of a strategy may decide for themselves, beside all doing as it says.
  ///
  /// Those that choose how much to recompute are found once, from full recomputation down to none.
  private func freedom(of strategy: Strategy) -> StageFreedom {
    // What waits for weight gradients would have to be looked at beside what is recomputed.
    if strategy.schedule.splitsBackward { return .none }
    let offloads =
      mayOffload && strategy.hosting.updatePercent == 0 && strategy.canOffloadOptimizer(job.optimizer)
    guard capabilities?.recomputesSomeLayers != false else {
      return offloads ? StageFreedom(choosesRecomputation: false, choosesOffload: true) : .none
    }
    let recomputeIsFixed = recomputations.count == 1
    if strategy.recompute == .full, !recomputeIsFixed {
      return StageFreedom(choosesRecomputation: true, choosesOffload: offloads)
    }
    let isCovered = strategy.recompute == .none && !recomputeIsFixed
    return offloads && !isCovered ? StageFreedom(choosesRecomputation: false, choosesOffload: true) : .none
  }

  private func sequenceParallelisms(_ mesh: Mesh) -> [Bool] {
    if let fixed = pattern.usesSequenceParallelism { return [fixed] }
    return mesh.degree(of: .tensor) > 1 ? [false, true] : [false]
  }
}

/// All divisors, ascending.
/// - Complexity: O(√number).
func divisors(of number: Int) -> [Int] {
  var small: [Int] = [], large: [Int] = []
  var candidate = 1
  while candidate * candidate <= number {
    if number % candidate == 0 {
      small.append(candidate)
      if candidate * candidate != number { large.append(number / candidate) }
    }
    candidate += 1
  }
  return small + large.reversed()
}
