import Costing
import Documents

/// How plain a way to train is: what costs people care, most first. Less is plainer.
///
/// | order | what is plainer |
/// |---|---|
/// | 1 | gradients in every step before outer steps of workers, and these before losses alone |
/// | 2 | fewer workers |
/// | 3 | products in the job's own precision, then in the format that changes least of what they multiply |
/// | 4 | exact collectives before quantised ones |
/// | 5 | one copy of the weights before a secondary one |
/// | 6 | a ZeRO stage before shard levels |
/// | 7 | less of the update, no weights, no activations and no outer states on the host |
/// | 8 | optimizer states on the device before offload |
/// | 9 | stages that recompute alike before stages that choose |
/// | 10 | equal layers on all stages before others |
/// | 11 | a lower tensor degree |
/// | 12 | plain 1F1B before interleaving |
/// | 13 | a lower pipeline degree |
/// | 14 | a lower ZeRO stage |
/// | 15 | less recomputation |
/// | 16 | no sequence parallelism |
/// | 17 | losses divided among fewer replicas |
/// | 18 | a lower context degree, then keys and values around a ring before the other exchanges |
/// | 19 | undivided experts' width, a plainer way of tokens, no overlap of it, then a lower expert degree |
///
/// Of what is equally plain the fastest is taken. How late workers hear from each other comes last of all: the answer has the
/// least delay that is within the margin, see ``PlanSearch/withLeastDelay(_:within:)``.
struct Plainness: Hashable, Comparable {
  private let places: [Int]

  /// - Parameters:
  ///   - productError: of what products multiply, see ``Precision/productError``; 0 in the job's own precision.
  ///   - freedom: what the stages choose.
  ///   - hasEqualLayers: whether all virtual stages have as many layers.
  init(_ strategy: Strategy, productError: Double = 0, freedom: StageFreedom, hasEqualLayers: Bool) {
    let sharding = strategy.sharding, hosting = strategy.hosting
    let update =
      switch strategy.update {
      case .firstOrder: 0
      case .outer: 1
      case .zerothOrder: 2
      }
    places = [
      update, strategy.workerDegree, Int((productError * 1e4).rounded()),
      sharding.isQuantised || strategy.outer.format.isRounded ? 1 : 0,
      OuterStep.Format.allCases.firstIndex(of: strategy.outer.format) ?? 0,
      sharding.secondaryDegree == nil ? 0 : 1, strategy.hasShardLevels ? 1 : 0, hosting.updatePercent,
      hosting.holdsWeights ? 1 : 0, hosting.activations == .onDevice ? 0 : 1, strategy.outer.isHosted ? 1 : 0,
      freedom.choosesOffload ? 1 : 0, freedom.choosesRecomputation ? 1 : 0, hasEqualLayers ? 0 : 1,
      strategy.tensorDegree, strategy.schedule.splitsBackward ? 2 : strategy.schedule.isInterleaved ? 1 : 0,
      strategy.pipelineDegree,
      strategy.zeroStage.rawValue, Strategy.Recompute.allCases.firstIndex(of: strategy.recompute) ?? 0,
      Int(strategy.recomputeModules.rawValue),
      strategy.usesSequenceParallelism ? 1 : 0, strategy.perturbationDegree,
      strategy.contextDegree, Strategy.ContextExchange.allCases.firstIndex(of: strategy.contextExchange) ?? 0,
      strategy.contextInnerDegree, strategy.expertTensorDegree,
      Strategy.Dispatcher.allCases.firstIndex(of: strategy.dispatcher) ?? 0, strategy.overlapsExperts ? 1 : 0,
      strategy.expertDegree,
    ]
  }

  static func < (left: Self, right: Self) -> Bool { left.places.lexicographicallyPrecedes(right.places) }
}

extension PlanSearch {
  /// A strategy that may be within the margin, with its own split or with equal layers only.
  private struct Entry {
    let place: Int
    let index: Int
    let evenSplit: Split?
    let boundSeconds: Double
    let plainness: Plainness
  }

  /// The plainest of the strategies that score no more than a limit, and the fastest of these; nil where the search was
  /// stopped, or reached its limit of completions, before one was found.
  ///
  /// Classes of equal plainness are gone through from the plainest on, each by bound.
  func plainest(
    within limitSeconds: Double, among searches: inout [OrderedSearch], steps: inout SearchSteps
  ) -> (answer: (place: Int, Completion)?, lookCount: Int) {
    var lookCount = 0
    let classes = Dictionary(grouping: entries(within: limitSeconds, among: searches), by: \.plainness)
    for plainness in classes.keys.sorted() {
      var answer: (place: Int, Completion)?
      var cutoff = limitSeconds.nextUp
      for entry in (classes[plainness] ?? []).stablySorted(by: \.boundSeconds) {
        if entry.boundSeconds >= cutoff { break }
        guard lookCount < options.completionLimit else { return (nil, lookCount) }
        let looked = steps.take { (watch) throws(Stopped) in
          if let split = entry.evenSplit {
            try searches[entry.place].frontier.completion(
              of: entry.index, split: split, cutoffSeconds: cutoff, watch: watch)
          } else {
            try searches[entry.place].frontier.completion(of: entry.index, cutoffSeconds: cutoff, watch: watch)
          }
        }
        guard let completion = looked else { return (nil, lookCount) }
        lookCount += 1
        if let completion {
          answer = (entry.place, completion)
          cutoff = completion.scoreSeconds
        }
      }
      if let answer { return (answer, lookCount) }
    }
    return (nil, lookCount)
  }

  private func entries(within limitSeconds: Double, among searches: [OrderedSearch]) -> [Entry] {
    let layerCount = model.job.model.layerCount
    return searches.enumerated().flatMap { place, search in
      let precision = search.model.job.precision
      let productError = precision == model.job.precision ? 0 : precision.productError
      return search.priced.order.prefix { search.priced.candidates[$0].boundSeconds <= limitSeconds }.flatMap { index in
        let candidate = search.priced.candidates[index], strategy = candidate.strategy
        func entry(evenSplit: Split?, hasEqualLayers: Bool) -> Entry {
          Entry(
            place: place, index: index, evenSplit: evenSplit, boundSeconds: candidate.boundSeconds,
            plainness: Plainness(
              strategy, productError: productError, freedom: candidate.freedom, hasEqualLayers: hasEqualLayers))
        }
        let laysOutChunks = strategy.laysOutChunks(of: model.job.model)
        if strategy.hasEqualStages, !laysOutChunks { return [entry(evenSplit: nil, hasEqualLayers: true)] }
        if strategy.schedule.splitsBackward {
          let even = Split.ofSplitBackward(layerCount: layerCount, strategy: strategy).first {
            Set($0.layerCounts).count == 1
          }
          return (even.map { [entry(evenSplit: $0, hasEqualLayers: true)] } ?? [])
            + [entry(evenSplit: nil, hasEqualLayers: false)]
        }
        let p = strategy.pipelineDegree, v = strategy.virtualStageCount
        let free = entry(evenSplit: nil, hasEqualLayers: false)
        guard layerCount % (p * v) == 0, candidate.freedom == .none, capabilities?.layerSplit ?? .any == .any else {
          return [free]
        }
        let even = Split.even(layerCount: layerCount, stageCount: p, chunkCount: v)
        return [entry(evenSplit: even, hasEqualLayers: true), free]
      }
    }
  }
}
