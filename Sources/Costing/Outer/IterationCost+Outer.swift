package import Documents

/// Iterations of workers with outer steps: those of one worker, and their part of a round.
extension IterationCost {
  /// What a round is made of; nil without outer steps.
  func outerRound(of split: Split, localSeconds: Double) -> Prediction.OuterRound? {
    guard let outer else { return nil }
    var shared = 0.0, most = 0
    for stage in 0...lastStage {
      let own = self[stage], content = self.content(of: split, stage: stage)
      if own.links.workers.innerShare > 0 {
        shared = max(shared, own.exposedDataSeconds(stage: stage, content))
      }
      most = max(most, updatedCount(stage: stage, content))
    }
    return outer.round(localSeconds: localSeconds, sharedSeconds: shared, parameterCount: most)
  }

  /// The outer step of the ranks of a stage that update most, and their all-reduce on links of its own, seconds; 0 without.
  package func outerSeconds(ofStage stage: Int, _ content: Split.Stage) -> (step: Double, allReduce: Double) {
    guard let outer else { return (0, 0) }
    let count = updatedCount(stage: stage, content)
    return (outer.stepSeconds(parameterCount: count), outer.allReduceSeconds(parameterCount: count))
  }

  /// Parameters of one device of a stage that it updates, the most of any.
  private func updatedCount(stage: Int, _ content: Split.Stage) -> Int {
    onEachDevice(stage).reduce(0) {
      max($0, $1.memory.updatedCount(stage: stage, content.layers))
    }
  }

  /// Seconds of an iteration whose layers are split as given, where a worker alone takes so long for it.
  func iterationSeconds(of split: Split, localSeconds: Double) -> Double {
    guard let outer, let round = outerRound(of: split, localSeconds: localSeconds) else { return localSeconds }
    return round.roundSeconds / Double(outer.strategy.period)
  }

  /// No split takes less of which one worker alone takes so long for an iteration, seconds: all-reduce and outer step of what
  /// every rank would update if all updated the same.
  package func leastSeconds(localSeconds: Double) -> Double {
    guard let outer else { return localSeconds }
    return outer.round(localSeconds: localSeconds, sharedSeconds: 0, parameterCount: leastUpdatedCount).roundSeconds
      / Double(outer.strategy.period)
  }

  /// What a worker alone may take for an iteration at most if one is to take less than a limit, seconds.
  ///
  /// The inverse of ``leastSeconds(localSeconds:)``: a split that takes a worker as long takes no less than the limit.
  package func localSeconds(within limitSeconds: Double) -> Double {
    guard let outer, limitSeconds.isFinite else { return limitSeconds }
    let added = outer.round(localSeconds: 0, sharedSeconds: 0, parameterCount: leastUpdatedCount)
    let period = Double(outer.strategy.period)
    let exposed = added.stepSeconds + (outer.strategy.staleness > 0 ? 0 : added.allReduceSeconds)
    // The all-reduce alone takes as long.
    if (added.allReduceSeconds + added.stepSeconds) / period >= limitSeconds { return 0 }
    // A little more, so that what rounding takes away is not lost.
    return max(0, limitSeconds - exposed / period) * (1 + 1e-12)
  }

  /// No split leaves the rank that updates most with fewer parameters.
  private var leastUpdatedCount: Int {
    let memory = costs[0].memory
    let sum = memory.parameters.layers.sum(kinds.counts) + memory.parameters.embedding + memory.parameters.head
    return sum / (strategy.pipelineDegree * memory.sharding.optimizerDegree)
  }
}
