import Costing
import Documents
import Search
import TestSupport

/// The best score by trying everything: every combination of degrees and methods that breaks no rule, every split of
/// the layers. Shares no code with the search but the cost of one strategy and one split.
struct BruteForce {
  /// The best score of each strategy that fits, ascending.
  let scores: [Double]
  /// Strategies that fit with no split.
  let unfitCount: Int

  /// Everything on the host that can be.
  static let hostings: [Hosting] = [0, 100].flatMap { percent in
    [false, true].flatMap { weights in
      [HostedActivations.onDevice, .allButLast].map {
        Hosting(updatePercent: percent, holdsWeights: weights, activations: $0)
      }
    }
  }

  /// - Parameters:
  ///   - hostings: what may be on the host.
  ///   - outerSteps: what outer steps may be; none leaves gradients of every step.
  ///   - contexts: degrees by which ranks may divide sequences.
  ///   - experts: how experts may be divided.
  ///   - modules: sets of modules that may be recomputed.
  ///   - isTried: which strategies are part of the question.
  init(
    _ model: CostModel, hostings: [Hosting] = [.none], outerSteps: [OuterStep] = [], contexts: [Int] = [1],
    experts: [Strategy.ExpertDivision] = [.none], modules: [Strategy.RecomputeModules] = [],
    where isTried: (Strategy) -> Bool = { _ in true }
  ) {
    var scores: [Double] = []
    var unfitCount = 0
    let nodes = outerSteps.isEmpty ? 1 : model.cluster.nodeCount
    for workers in 1...nodes where nodes % workers == 0 {
      for step in workers == 1 ? [nil] : outerSteps.map(Optional.some) {
        for division in experts {
          Self.addScores(
            model, hostings: hostings, workers: workers, step: step, contexts: contexts, experts: division,
            modules: modules, where: isTried, to: &scores, unfitCount: &unfitCount)
        }
      }
    }
    self.scores = scores.sorted()
    self.unfitCount = unfitCount
  }

  /// Of all strategies of so many workers with the same outer steps.
  private static func addScores(
    _ model: CostModel, hostings: [Hosting], workers: Int, step: OuterStep?, contexts: [Int],
    experts: Strategy.ExpertDivision, modules: [Strategy.RecomputeModules], where isTried: (Strategy) -> Bool,
    to scores: inout [Double], unfitCount: inout Int
  ) {
    let job = model.job, cluster = model.cluster
    let devices = cluster.deviceCount / workers, layers = job.model.layerCount
    var scratch = EvaluationScratch()
    let hasFlash = model.hasFlashAttention
    let recomputed: [(Strategy.Recompute, Strategy.RecomputeModules)] =
      Strategy.Recompute.allCases.filter { !(hasFlash && $0 == .selective) }.map { ($0, []) }
      + modules.map { (.selective, $0) }
    for (division, tensor, pipeline) in Self.degrees(devices, contexts: contexts) {
      let context = division.contextDegree, data = devices / tensor / pipeline / context
      for microBatch in 1...job.globalBatch {
        for chunks in 1...layers + 1 where Self.isSearched(chunks, pipeline: pipeline, of: job.model) {
          for sharding in Self.shardings(replicas: data * context, tensor: tensor, cluster: cluster) {
            for (recompute, modules) in recomputed {
              for (sequenceParallel, hosting) in [false, true].flatMap({ divides in hostings.map { (divides, $0) } }) {
                var strategy = Strategy(
                  mesh: [.tensor: tensor, .pipeline: pipeline, .data: data, .context: context],
                  schedule: .init(chunkCount: chunks),
                  microBatch: microBatch, sharding: sharding, recompute: recompute,
                  usesSequenceParallelism: sequenceParallel, usesFlashAttention: hasFlash,
                  overlapsGradientReduce: model.framework.overlapsGradientReduce)
                // Without it nothing is faster (`TensorOverlapPlanTests`).
                strategy.overlapsTensorExchange =
                  sequenceParallel && model.hidesTensorExchangesWhereAsked && cluster.domainSize % tensor == 0
                strategy.hosting = hosting
                strategy.recomputeModules = modules
                strategy = strategy.with(experts)
                strategy.contextExchange = division.contextExchange
                strategy.contextInnerDegree = division.contextInnerDegree
                if let step {
                  strategy.update = .outer
                  strategy.workerDegree = workers
                  strategy.outer = step
                }
                // Held wherever that breaks no rule: nothing is slower or larger for it, see `narrowWeightsCostNothing`.
                strategy.holdsNarrowWeights = true
                if model.violation(of: strategy) != nil { strategy.holdsNarrowWeights = false }
                guard isTried(strategy), model.violation(of: strategy) == nil, strategy.exclusion == nil,
                  strategy.outerExclusion(model.job.model) == nil
                else { continue }
                let uniform = Self.bestScore(strategy, model: model, scratch: &scratch)
                if let score = uniform.score { scores.append(score) }
                if !uniform.fitsDevices { unfitCount += 1 }
                guard let choices = Self.choices(strategy, model: model) else { continue }
                let free = Self.bestScore(strategy, choosing: choices, model: model, scratch: &scratch)
                if !free.fitsDevices { unfitCount += 1 }
                guard let score = free.score else { continue }
                // What stages choose alike is another strategy of the lattice.
                let alike = [
                  uniform, Self.bestScore(strategy.with(\.recompute, .none), model: model, scratch: &scratch),
                ].compactMap(\.score).min()
                if score < (alike ?? .infinity) * (1 - 1e-12) { scores.append(score) }
              }
            }
          }
        }
      }
    }
  }

  /// The search looks at chunks of one size; where layers or the ends of the model differ also at 2 and 4 that differ.
  private static func isSearched(_ chunks: Int, pipeline: Int, of model: ModelDescription) -> Bool {
    if chunks == 1 || model.layerCount % (pipeline * chunks) == 0 { return true }
    let experts = (0..<model.layerCount).count { model.kind(ofLayer: $0).feedForward == .experts }
    let isAlike = (experts == 0 || experts == model.layerCount) && model.predictionDepth == 0
    return !isAlike && [2, 4].contains(chunks) && pipeline * chunks <= model.layerCount + 2
  }

  /// Every way to divide sequences, with tensor and pipeline degrees.
  private static func degrees(_ devices: Int, contexts: [Int]) -> [(division: Strategy, tensor: Int, pipeline: Int)] {
    contexts.filter { devices % $0 == 0 }.flatMap { context -> [Strategy] in
      let whole = Strategy(mesh: [.context: context])
      guard context > 1 else { return [whole] }
      return Strategy.ContextExchange.allCases.flatMap { exchange in
        (exchange == .allToAllRing ? Array(2..<context) : [1]).map {
          whole.with(\.contextExchange, exchange).with(\.contextInnerDegree, $0)
        }
      }
    }.flatMap { division in
      (1...devices).flatMap { tensor in
        (1...devices).compactMap { pipeline in
          devices % (tensor * pipeline * division.contextDegree) == 0 ? (division, tensor, pipeline) : nil
        }
      }
    }
  }

  /// Every nesting of 1, the replicas in an instance of some level, and all, with and without a secondary partition.
  static func shardings(replicas: Int, tensor: Int, cluster: ClusterDescription) -> [Sharding] {
    let degrees = (1...replicas).filter { degree in
      degree == 1 || degree == replicas || cluster.levels.contains { $0.span == degree * tensor }
    }
    var shardings: [Sharding] = []
    for w in degrees {
      for g in degrees {
        for o in degrees where g % w == 0 && o % g == 0 && replicas % o == 0 {
          for s in degrees where s == 1 || s < w && w % s == 0 {
            shardings.append(
              Sharding(
                weightDegree: w, gradientDegree: g, optimizerDegree: o, secondaryDegree: s > 1 ? s : nil))
          }
        }
      }
    }
    return shardings
  }

  /// What every stage of a strategy may choose, from the layers of a chunk; nil where stages have no choice.
  private static func choices(
    _ strategy: Strategy, model: CostModel
  ) -> ((_ chunkLayers: Int) -> [StageChoice])? {
    let offloads =
      model.cluster.host != nil && strategy.hosting.updatePercent == 0
      && strategy.canOffloadOptimizer(model.job.optimizer)
    switch strategy.recompute {
    case .none: return nil
    case .selective:
      return offloads
        ? { _ in [false, true].map { StageChoice(recomputedLayerCount: 0, offloadsOptimizer: $0) } } : nil
    case .full:
      return { layers in
        (offloads ? [false, true] : [false]).flatMap { offload in
          (0...layers).map { StageChoice(recomputedLayerCount: $0, offloadsOptimizer: offload) }
        }
      }
    }
  }

  /// The best score of all splits and, with choices, of all combinations of what stages choose.
  ///
  /// With equal chunks all stages that gain from it offload, or only those that have to.
  private static func bestScore(
    _ strategy: Strategy, choosing choices: ((_ chunkLayers: Int) -> [StageChoice])? = nil, model: CostModel,
    scratch: inout EvaluationScratch
  ) -> (score: Double?, fitsDevices: Bool) {
    let cost = model.cost(of: strategy)
    let layers = model.job.model.layerCount
    var best: Double?
    var fitsDevices = false
    let virtualStages = strategy.pipelineDegree * strategy.virtualStageCount
    let splits =
      !strategy.schedule.isInterleaved
      ? compositions(of: layers, into: strategy.pipelineDegree)
      : cost.laysOutChunks
        ? layouts(of: layers, into: virtualStages)
        : [[Int](repeating: layers / virtualStages, count: virtualStages)]
    let p = strategy.pipelineDegree
    for split in splits {
      let stages = (0..<p).map { StageLayers(of: Split(split, stageCount: p), stage: $0, cost.kinds) }
      let longest = (0..<p).map { stage in stride(from: stage, to: virtualStages, by: p).map { split[$0] }.max() ?? 0 }
      for verdict in [Prediction.Verdict.fits, .risky] {
        let limit = MemoryLimit(verdict)
        // By stage, what keeps the limit.
        let fitting = stages.indices.map { stage -> [StageChoice?] in
          let all: [StageChoice?] = choices.map { $0(longest[stage]) } ?? [nil]
          return all.filter { choice in
            let memory = cost.memory.stageMemory(stage: stage, stages[stage].content(choice))
            return cost.memory.holds(memory, stage: stage, within: limit)
          }
        }
        var combinations: [[StageChoice?]] = [[]]
        for options in fitting {
          var kept = options
          // Recomputing more than needed only adds time.
          if choices != nil {
            kept = [false, true].compactMap { offload in
              options.filter { $0?.offloadsOptimizer == offload }
                .min { ($0?.recomputedLayerCount ?? 0) < ($1?.recomputedLayerCount ?? 0) }
            }
          }
          combinations = combinations.flatMap { before in kept.map { before + [$0] } }
        }
        if strategy.schedule.isInterleaved, choices != nil {
          let must = fitting.map {
            $0.min { Self.order($0, offloadsFirst: false) < Self.order($1, offloadsFirst: false) }
          }
          let gains = fitting.map {
            $0.min { Self.order($0, offloadsFirst: true) < Self.order($1, offloadsFirst: true) }
          }
          combinations = [must, gains].map { $0.compactMap { $0 } }.filter { $0.count == p }
        }
        for combination in combinations where combination.count == p {
          let whole = Split(split, stageCount: p, choices: choices == nil ? nil : combination.compactMap { $0 })
          let memory = cost.memory.stageMemory(of: whole)
          fitsDevices = true
          guard cost.memory.hostHolds(memory) else { continue }
          let isRisky = cost.memory.verdict(of: memory) == .risky
          let seconds = cost.iterationSeconds(of: whole, scratch: &scratch)
          best = min(best ?? .infinity, isRisky ? seconds * PlanSearch.headroomSurcharge : seconds)
        }
      }
    }
    return (best, fitsDevices)
  }

  /// Fewer recomputed layers first or offload last, in that order or the other.
  private static func order(_ choice: StageChoice?, offloadsFirst: Bool) -> (Int, Int) {
    let count = choice?.recomputedLayerCount ?? 0, offload = choice?.offloadsOptimizer == true ? 1 : 0
    return offloadsFirst ? (count, offload) : (offload, count)
  }

  /// All ways in which virtual stages have k or k + 1 layers, k at least 1, but the first, which may have one fewer or one more
  /// than that, and the last, which may have none or one more.
  static func layouts(of layers: Int, into count: Int) -> [[Int]] {
    (0...layers).flatMap { first in
      (0...layers - first).flatMap { last in
        compositions(of: layers - first - last, into: count - 2).compactMap { inner -> [Int]? in
          guard let least = inner.min(), let most = inner.max(), most <= least + 1, first >= least - 1,
            max(first, last) <= least + 2
          else { return nil }
          return [first] + inner + [last]
        }
      }
    }
  }

  /// All ways to write `total` as an ordered sum of `count` positive parts.
  static func compositions(of total: Int, into count: Int) -> [[Int]] {
    guard count > 1 else { return total >= 1 ? [[total]] : [] }
    guard total >= count else { return [] }
    return (1...(total - count + 1)).flatMap { first in
      compositions(of: total - first, into: count - 1).map { [first] + $0 }
    }
  }
}
