import Costing
import Documents

/// The differences of two strategies, tried one by one, then in pairs, then all together.
struct ComparisonSteps {
  private let running: Costing.Estimate
  private let plan: Documents.Plan
  private let capabilities: Capabilities?
  private let parts: [Part]
  /// What prices the plan's precision, where that is another than what runs has.
  private let narrow: CostModel?

  /// A part of a strategy and its split that changes as one. The data degree is what the others leave.
  private enum Part: String, CaseIterable {
    case update, precision, tensor, pipeline, virtualStages = "virtual_stages", microBatch = "micro_batch", sharding =
      "zero_stage"
    case context, recompute, sequenceParallel = "sequence_parallel", tensorOverlap = "overlap_tensor_exchange"
    case flashAttention = "flash_attention", narrowWeights = "narrow_weights", layers
  }

  init(running: Costing.Estimate, plan: Documents.Plan, capabilities: Capabilities?) {
    self.running = running
    self.plan = plan
    self.capabilities = capabilities
    let from = running.strategy, to = plan.strategy
    let narrow =
      plan.job.precision == plan.question.job.precision
      ? nil
      : try? CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
        .arranged(running.model.nodeOrder)
    self.narrow = narrow
    parts = Part.allCases.filter { part in
      switch part {
      // What runs trains by gradients, with workers at most by a change.
      case .update: to.update == .outer
      case .precision: narrow != nil
      case .tensor: from.tensorDegree != to.tensorDegree
      case .pipeline: from.pipelineDegree != to.pipelineDegree
      case .virtualStages: from.schedule != to.schedule
      case .microBatch: from.microBatch != to.microBatch
      case .sharding: Self.words(from.sharding, of: from) != Self.words(to.sharding, of: to)
      case .context: from.contextDegree != to.contextDegree || from.contextDivision != to.contextDivision
      case .recompute: from.recompute != to.recompute || from.recomputeModules != to.recomputeModules
      case .sequenceParallel: from.usesSequenceParallelism != to.usesSequenceParallelism
      case .tensorOverlap: from.overlapsTensorExchange != to.overlapsTensorExchange
      case .flashAttention: from.usesFlashAttention != to.usesFlashAttention
      case .narrowWeights: from.holdsNarrowWeights != to.holdsNarrowWeights
      case .layers:
        running.split != plan.split && running.split.layerCounts.count == plan.split.layerCounts.count
      }
    }
  }

  var changes: [Comparison.Change] {
    let seconds = running.prediction.iterationSeconds
    let tried = parts.map { part -> Comparison.Change in
      let alone = attempt([part])
      if case .success(let own) = alone { return change(part, seconds: own, needs: [], reason: nil) }
      var reason: String?
      if case .failure(let failure) = alone { reason = failure.description }
      let others = parts.filter { $0 != part }
      let pairs = others.compactMap { other in
        (try? attempt([part, other]).get()).map { (other: other, seconds: $0) }
      }
      // Of equals the one that stands first.
      if let best = pairs.min(by: { $0.seconds < $1.seconds }) {
        return change(part, seconds: best.seconds, needs: [best.other], reason: reason)
      }
      return change(part, seconds: try? attempt(parts).get(), needs: others, reason: reason)
    }
    // Sorting keeps the order of equals.
    return tried.enumerated().sorted { left, right in
      let (x, y) = (left.element.iterationSeconds ?? .infinity, right.element.iterationSeconds ?? .infinity)
      return x == y ? left.offset < right.offset : x < y
    }.map(\.element)

    func change(_ part: Part, seconds own: Double?, needs: [Part], reason: String?) -> Comparison.Change {
      Comparison.Change(
        key: part.rawValue, from: words(part, running.strategy, running.split, running.model.job.precision),
        to: words(part, plan.strategy, plan.split, plan.job.precision), iterationSeconds: own,
        gainSeconds: own.map { seconds - $0 },
        needs: needs.map(\.rawValue), reason: reason)
    }
  }

  private struct Failure: Error {
    let description: String
  }

  /// Seconds of what runs with some of its parts as the plan has them, if it can be run and fits.
  private func attempt(_ changed: [Part]) -> Result<Double, Failure> {
    let strategy = strategy(with: changed)
    let model = changed.contains(.precision) ? narrow ?? running.model : running.model
    let estimate: Costing.Estimate
    do {
      estimate = try Costing.Estimate(
        model: model, strategy: strategy, split: split(of: strategy, with: changed))
    } catch {
      return .failure(Failure(description: "\(error)"))
    }
    let refusal =
      capabilities?.refusal(of: estimate.strategy.ofOneWorker)
      ?? capabilities?.refusal(of: estimate.strategy.ofOneWorker, job: model.job)
      ?? (changed.contains(.precision) ? capabilities?.refusal(of: model.job) : nil)
    if let refusal {
      return .failure(Failure(description: "\(refusal)"))
    }
    if estimate.prediction.verdict == .unfit { return .failure(Failure(description: "it does not fit")) }
    return .success(estimate.prediction.iterationSeconds)
  }

  private func strategy(with changed: [Part]) -> Documents.Strategy {
    let from = running.strategy, to = plan.strategy
    func taken(_ part: Part) -> Documents.Strategy { changed.contains(part) ? to : from }
    let tensor = taken(.tensor).tensorDegree, pipeline = taken(.pipeline).pipelineDegree
    let workers = taken(.update).workerDegree
    let divided = taken(.context), context = divided.contextDegree
    let data = max(1, running.model.deviceCount / (tensor * pipeline * workers * context)), replicas = data * context
    let source = taken(.sharding)
    // A ZeRO stage is among all replicas, however many there are; levels stay as they are.
    let sharding = source.hasShardLevels && replicas > 1 ? source.sharding : nil
    var strategy = Documents.Strategy(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: data, .worker: workers, .context: context],
      schedule: taken(.virtualStages).schedule,
      microBatch: taken(.microBatch).microBatch, zeroStage: replicas > 1 ? source.zeroStage : .none, sharding: sharding,
      recompute: taken(.recompute).recompute,
      usesSequenceParallelism: taken(.sequenceParallel).usesSequenceParallelism,
      usesFlashAttention: taken(.flashAttention).usesFlashAttention,
      overlapsGradientReduce: from.overlapsGradientReduce)
    strategy.recomputeModules = taken(.recompute).recomputeModules
    // It goes with what it is an overlap of, unless it is what is tried.
    strategy.overlapsTensorExchange =
      changed.contains(.tensorOverlap)
      ? to.overlapsTensorExchange : from.overlapsTensorExchange && strategy.usesSequenceParallelism && tensor > 1
    strategy.holdsNarrowWeights = taken(.narrowWeights).holdsNarrowWeights
    strategy.contextExchange = divided.contextExchange
    strategy.contextInnerDegree = divided.contextInnerDegree
    if changed.contains(.update) {
      strategy.update = .outer
      strategy.outer = to.outer
    }
    return strategy
  }

  /// Layers that a strategy's stages can have: what runs, or the plan's; nil for the framework's own where neither has
  /// so many virtual stages. Choices go with the recomputation that they are choices of.
  private func split(of strategy: Documents.Strategy, with changed: [Part]) -> Split? {
    let count = strategy.pipelineDegree * strategy.virtualStageCount
    let sources = changed.contains(.layers) ? [plan.split, running.split] : [running.split, plan.split]
    guard
      let split = sources.first(where: {
        $0.stageCount == strategy.pipelineDegree && $0.layerCounts.count == count
      })
    else { return nil }
    let keepsChoices = split.choices.map { choices in
      strategy.recompute == .full || choices.allSatisfy { $0.recomputedLayerCount == 0 }
    }
    return (keepsChoices ?? true ? split : split.with(choices: nil)).laid(by: strategy)
  }

  private func words(
    _ part: Part, _ strategy: Documents.Strategy, _ split: Split, _ precision: Documents.Precision
  ) -> String {
    switch part {
    case .update:
      strategy.update == .outer
        ? "outer (\(strategy.workerDegree.counted("worker")), every \(strategy.outer.period.counted("iteration")))"
        : strategy.update.rawValue
    case .precision: precision.rawValue
    case .tensor: "\(strategy.tensorDegree)"
    case .pipeline: "\(strategy.pipelineDegree)"
    case .virtualStages:
      "\(strategy.virtualStageCount)"
        + (strategy.schedule.splitsBackward ? " (schedule \(strategy.schedule.name))" : "")
    case .microBatch: "\(strategy.microBatch)"
    case .sharding: Self.words(strategy.sharding, of: strategy)
    case .context:
      strategy.contextDegree == 1 ? "1" : "\(strategy.contextDegree) (\(strategy.contextExchange.rawValue))"
    case .recompute: strategy.recomputesModules ? strategy.recomputeModules.words : strategy.recompute.rawValue
    case .sequenceParallel: "\(strategy.usesSequenceParallelism)"
    case .tensorOverlap: "\(strategy.overlapsTensorExchange)"
    case .flashAttention: "\(strategy.usesFlashAttention)"
    case .narrowWeights: "\(strategy.holdsNarrowWeights)"
    case .layers:
      split.layerCounts.map(String.init).joined(separator: " ")
        + (split.choices.map { choices in
          ", recomputed \(choices.map { String($0.recomputedLayerCount) }.joined(separator: " "))"
            + (choices.contains(where: \.offloadsOptimizer) ? ", offloaded" : "")
        } ?? "")
    }
  }

  /// The ZeRO stage, or the degrees where they are not all replicas'.
  private static func words(_ sharding: Sharding, of strategy: Documents.Strategy) -> String {
    guard strategy.hasShardLevels else { return "\(strategy.zeroStage.rawValue)" }
    var words =
      "\(sharding.stage.rawValue) (\(sharding.weightDegree)|\(sharding.gradientDegree)|\(sharding.optimizerDegree))"
    if let secondary = sharding.secondaryDegree { words += ", second copy over \(secondary)" }
    if sharding.isQuantised { words += ", quantised" }
    return words
  }
}
