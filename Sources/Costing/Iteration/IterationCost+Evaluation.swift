package import Documents
import Training

/// Memory for evaluating many strategies one after another without allocating for each.
package struct EvaluationScratch: Sendable {
  var pipeline = PipelineScratch()
  var endSeconds: [Double] = []
  var tails: [StageCost.Tail] = []

  package init() {}
}

/// The exact iteration time of a split: the schedule's own recurrence, and every stage's tail after it.
extension IterationCost {
  /// Seconds of an iteration whose layers are split as given.
  ///
  /// - Complexity: O(micro-batches · virtual stages).
  package func iterationSeconds(of split: Split, scratch: inout EvaluationScratch) -> Double {
    scratch.tails.removeAll(keepingCapacity: true)
    for stage in 0...lastStage { scratch.tails.append(tail(stage: stage, content(of: split, stage: stage))) }
    return iterationSeconds(of: split, tails: scratch.tails, scratch: &scratch)
  }

  /// The same, where the stages' tails are known.
  ///
  /// - Parameter tails: by stage, see ``tail(stage:_:)``.
  package func iterationSeconds(
    of split: Split, tails: [StageCost.Tail], scratch: inout EvaluationScratch
  ) -> Double {
    runPipeline(split, withTransfers: true, scratch: &scratch)
    return iterationSeconds(
      of: split, localSeconds: slowestStage(tails: tails, endSeconds: scratch.endSeconds).iterationSeconds)
  }

  /// Micro-batches times stages that an evaluation goes through at most, beside what repeats itself: what it costs.
  package var evaluatedPassCount: Int {
    strategy.pipelineDegree * min(microBatchCount, PipelineTimes.walkedMicroBatchCount)
  }

  /// The end of each stage's last backward pass, seconds from the beginning of the iteration.
  package func passEndSeconds(of split: Split) -> [Double] {
    var scratch = EvaluationScratch()
    runPipeline(split, withTransfers: true, scratch: &scratch)
    return scratch.endSeconds
  }

  /// Fills `scratch.endSeconds` with the end of each stage's last backward pass.
  func runPipeline(_ split: Split, withTransfers: Bool, scratch: inout EvaluationScratch) {
    if strategy.update == .zerothOrder {
      runVisits(split, withTransfers: withTransfers, endSeconds: &scratch.endSeconds)
      return
    }
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount
    let splitsBackward = strategy.schedule.splitsBackward
    var forward = [Double](repeating: 0, count: p * v), backward = forward
    var weights = splitsBackward ? forward : []
    var start = 0
    for virtualStage in 0..<p * v {
      let (stage, chunk) = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: p)
      let range = start..<start + split.layerCounts[virtualStage]
      start = range.upperBound
      let isLast = virtualStage == p * v - 1, layers = kinds.counts(in: range)
      let recomputed =
        strategy.recompute == .full
        ? split.choices.map {
          kinds.counts(in: range.lowerBound..<min(range.upperBound, range.lowerBound + $0[stage].recomputedLayerCount))
        } : nil
      let passes = self[stage].passSeconds(
        layers, recomputed: recomputed, isFirst: virtualStage == 0, isLast: isLast)
      let index = stage * v + chunk
      forward[index] = passes.forward
      backward[index] = passes.backward
      guard splitsBackward else { continue }
      weights[index] = self[stage].weightGradientSeconds(
        of: passes, layers, recomputed: recomputed, isFirst: virtualStage == 0, isLast: isLast)
    }
    let times = PipelineTimes(
      stageCount: p, chunkCount: v, forwardSeconds: forward, backwardSeconds: backward,
      weightSeconds: weights, transferSeconds: (0..<p - 1).map { withTransfers ? transferSeconds(afterStage: $0) : 0 },
      wrapTransferSeconds: withTransfers && strategy.schedule.wraps ? wrapTransferSeconds : 0)
    _ = times.endSeconds(
      of: strategy.schedule, microBatchCount: microBatchCount, scratch: &scratch.pipeline)
    scratch.endSeconds.removeAll(keepingCapacity: true)
    for stage in 0..<p { scratch.endSeconds.append(scratch.pipeline.endSeconds(ofStage: stage)) }
  }

  /// The stage that ends the iteration, the first of equals.
  ///
  /// Tied embeddings are summed between first and last stage when both have reduced their gradients.
  func slowestStage(
    tails: [StageCost.Tail], endSeconds: [Double]
  ) -> (stage: Int, tail: StageCost.Tail, waitSeconds: Double, iterationSeconds: Double) {
    var slowest = (
      stage: 0, tail: StageCost.Tail.none, waitSeconds: 0.0, iterationSeconds: -1.0
    )
    let embeddingSum = embeddingSumSeconds, fixed = fixedSeconds
    // When the gradients of both ends are reduced.
    var bothReduced = 0.0
    if embeddingSum > 0 {
      for stage in [0, lastStage] {
        bothReduced = max(bothReduced, endSeconds[stage] + tails[stage].dataSeconds)
      }
    }
    for stage in 0...lastStage {
      let own = tails[stage]
      var reduced = endSeconds[stage] + own.dataSeconds
      var wait = 0.0
      if embeddingSum > 0, stage == 0 || stage == lastStage {
        wait = bothReduced + embeddingSum - reduced
        reduced += wait
      }
      let end = reduced + own.optimizerSeconds + fixed
      if end > slowest.iterationSeconds { slowest = (stage, own, wait, end) }
    }
    return slowest
  }
}
