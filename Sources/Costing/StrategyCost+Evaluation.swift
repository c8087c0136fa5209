public import Documents
import Schedules

/// Memory for evaluating many strategies one after another without allocating for each.
public struct EvaluationScratch: Sendable {
  var pipeline = PipelineScratch()
  var endSeconds: [Double] = []

  public init() {}
}

/// The exact iteration time of a split: the schedule's own recurrence, and every stage's tail after it.
extension StrategyCost {
  /// Peak bytes of a device of each stage when the layers are split as given.
  public func stageMemory(of split: Split) -> [Prediction.StageMemory] {
    split.stages.enumerated().map { stageMemory(stage: $0, layerCount: $1.layerCount, choice: $1.choice) }
  }

  /// Seconds of an iteration whose layers are split as given.
  ///
  /// - Complexity: O(micro-batches · virtual stages).
  public func iterationSeconds(of split: Split, scratch: inout EvaluationScratch) -> Double {
    runPipeline(split, withTransfers: true, scratch: &scratch)
    return lastStage(split, endSeconds: scratch.endSeconds).iterationSeconds
  }

  /// Paid once an iteration whatever the strategy.
  public var fixedSeconds: Double {
    devices?.costs.map(\.fixedSeconds).max() ?? framework.iterationFixedSeconds
  }

  /// Fills `scratch.endSeconds` with the end of each stage's last backward pass.
  private func runPipeline(_ split: Split, withTransfers: Bool, scratch: inout EvaluationScratch) {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount
    var forward = [Double](repeating: 0, count: p * v), backward = forward
    for virtualStage in 0..<p * v {
      let passes = pace(ofStage: virtualStage % p).passSeconds(
        layerCount: split.layerCounts[virtualStage],
        recomputedCount: strategy.recompute == .full ? split.choices?[virtualStage % p].recomputedLayerCount : nil,
        isFirst: virtualStage == 0, isLast: virtualStage == p * v - 1)
      let index = virtualStage % p * v + virtualStage / p
      forward[index] = passes.forward
      backward[index] = passes.backward
    }
    let times = PipelineTimes(
      stageCount: p, chunkCount: v, forwardSeconds: forward, backwardSeconds: backward,
      transferSeconds: (0..<p - 1).map { withTransfers ? transferSeconds(afterStage: $0) : 0 },
      wrapTransferSeconds: withTransfers && strategy.schedule.isInterleaved ? wrapTransferSeconds : 0)
    _ = times.endSeconds(
      of: strategy.schedule, microBatchCount: microBatchCount, scratch: &scratch.pipeline)
    scratch.endSeconds.removeAll(keepingCapacity: true)
    for stage in 0..<p { scratch.endSeconds.append(scratch.pipeline.endSeconds(ofStage: stage)) }
  }

  /// The stage that ends the iteration, the first of equals.
  ///
  /// Tied embeddings are summed between first and last stage when both have reduced their gradients.
  private func lastStage(
    _ split: Split, endSeconds: [Double]
  ) -> (stage: Int, tail: Tail, waitSeconds: Double, iterationSeconds: Double) {
    let p = strategy.pipelineDegree
    var slowest = (stage: 0, tail: Tail(dataSeconds: 0, optimizerSeconds: 0), waitSeconds: 0.0, iterationSeconds: -1.0)
    // When the gradients of both ends are reduced.
    var bothReduced = 0.0
    if embeddingSumSeconds > 0 {
      for stage in [0, p - 1] {
        let content = split[stage]
        let own = tail(stage: stage, layerCount: content.layerCount, choice: content.choice)
        bothReduced = max(bothReduced, endSeconds[stage] + own.dataSeconds)
      }
    }
    for stage in 0..<p {
      let content = split[stage]
      let own = tail(stage: stage, layerCount: content.layerCount, choice: content.choice)
      var reduced = endSeconds[stage] + own.dataSeconds
      var wait = 0.0
      if embeddingSumSeconds > 0, stage == 0 || stage == p - 1 {
        wait = bothReduced + embeddingSumSeconds - reduced
        reduced += wait
      }
      let end = reduced + own.optimizerSeconds + fixedSeconds
      if end > slowest.iterationSeconds { slowest = (stage, own, wait, end) }
    }
    return slowest
  }

  /// Where the time of an iteration goes, on the stage that ends it.
  func timeSplit(of split: Split, scratch: inout EvaluationScratch) -> Prediction.TimeSplit {
    runPipeline(split, withTransfers: true, scratch: &scratch)
    let last = lastStage(split, endSeconds: scratch.endSeconds)
    let end = scratch.endSeconds[last.stage]
    // Transfers cost what the pipeline would be faster by without them.
    runPipeline(split, withTransfers: false, scratch: &scratch)
    let endWithoutTransfers = scratch.endSeconds[last.stage]

    let own = pace(ofStage: last.stage)
    let m = Double(microBatchCount)
    let stageLayers = split[last.stage].layerCount
    let recomputed = recomputedCount(split[last.stage].choice)
    // n layers as the strategy says, k that keep what the others recompute.
    let n = Double(recomputed ?? stageLayers), k = Double(stageLayers - (recomputed ?? stageLayers))
    let isFirst = last.stage == 0, isLast = last.stage == strategy.pipelineDegree - 1
    func sum(_ part: (MicroBatchCost.Passes) -> Double) -> Double {
      m
        * (n * part(own.microBatch.layer) + k * part(own.microBatch.keptLayer)
          + (isFirst ? part(own.microBatch.embedding) : 0) + (isLast ? part(own.microBatch.head) : 0))
    }
    let compute = sum { $0.forwardComputeSeconds + $0.backwardComputeSeconds }
    let recompute = sum { $0.recomputeSeconds }
    let tensor = sum { $0.forwardTensorSeconds + $0.backwardTensorSeconds }
    let passes = own.passSeconds(
      layerCount: stageLayers, recomputedCount: recomputed, isFirst: isFirst, isLast: isLast)
    let busy = m * (passes.forward + passes.backward)
    // What the data-parallel group adds to every pass; what remains of the passes is waiting for the host.
    func added(_ total: PassSeconds, _ part: MicroBatchCost.Passes) -> Double {
      total.forward - part.forwardSeconds + total.backward - part.backwardSeconds
    }
    let exposedInPasses =
      m
      * (n * added(own.layer, own.microBatch.layer) + k * added(own.keptLayer, own.microBatch.keptLayer)
        + (isFirst ? added(own.embedding, own.microBatch.embedding) : 0)
        + (isLast ? added(own.head, own.microBatch.head) : 0))
    // What rounding leaves is neither waiting nor bubble.
    func beyondRounding(_ seconds: Double) -> Double { seconds > 1e-12 * busy ? seconds : 0 }
    let waiting = busy - compute - recompute - tensor - exposedInPasses
    return Prediction.TimeSplit(
      computeSeconds: compute, recomputeSeconds: recompute,
      launchSeconds: beyondRounding(waiting), tensorSeconds: tensor,
      pipelineSeconds: max(0, end - endWithoutTransfers),
      dataSeconds: exposedInPasses + last.tail.dataSeconds + last.waitSeconds,
      bubbleSeconds: beyondRounding(endWithoutTransfers - busy), optimizerSeconds: last.tail.optimizerSeconds,
      fixedSeconds: fixedSeconds)
  }
}
