import Documents

/// Where the time of an iteration goes.
extension IterationCost {
  /// Where the time of an iteration goes, on the stage that ends it.
  func timeSplit(of split: Split, scratch: inout EvaluationScratch) -> Prediction.TimeSplit {
    if strategy.update == .zerothOrder { return visitTimeSplit(of: split, scratch: &scratch) }
    runPipeline(split, withTransfers: true, scratch: &scratch)
    let last = slowestStage(
      tails: (0...lastStage).map { tail(stage: $0, split[$0]) }, endSeconds: scratch.endSeconds)
    let end = scratch.endSeconds[last.stage]
    // Transfers cost what the pipeline would be faster by without them.
    runPipeline(split, withTransfers: false, scratch: &scratch)
    let endWithoutTransfers = scratch.endSeconds[last.stage]

    let own = self[last.stage]
    let m = Double(microBatchCount)
    let content = split[last.stage]
    let recomputed = own.recomputedCount(content.choice)
    // n layers as the strategy says, k that keep what the others recompute.
    let n = Double(recomputed ?? content.layerCount)
    let k = Double(content.layerCount) - n
    let isFirst = last.stage == 0, isLast = last.stage == strategy.headStage
    func sum(_ part: (MicroBatchCost.Passes) -> Double) -> Double {
      m
        * (n * part(own.microBatch.layer) + k * part(own.microBatch.keptLayer)
          + (isFirst ? part(own.microBatch.embedding) : 0) + (isLast ? part(own.microBatch.head) : 0))
    }
    let compute = sum { $0.forwardComputeSeconds + $0.backwardComputeSeconds }
    let recompute = sum { $0.recomputeSeconds }
    let tensor = sum { $0.forwardTensorSeconds + $0.backwardTensorSeconds }
    let context = sum { $0.forwardContextSeconds + $0.backwardContextSeconds }
    let busy = m * own.passSeconds(stage: last.stage, content).sum
    // What remains of the passes beside what the data-parallel group adds is waiting for the host.
    let exposedInPasses = own.dataSecondsInPasses(stage: last.stage, content)
    // What rounding leaves is neither waiting nor bubble.
    func beyondRounding(_ seconds: Double) -> Double { seconds > 1e-12 * busy ? seconds : 0 }
    let waiting = busy - compute - recompute - tensor - context - exposedInPasses
    let local = last.iterationSeconds
    return Prediction.TimeSplit(
      computeSeconds: compute, recomputeSeconds: recompute,
      launchSeconds: beyondRounding(waiting), tensorSeconds: tensor,
      pipelineSeconds: max(0, end - endWithoutTransfers),
      dataSeconds: exposedInPasses + last.tail.dataSeconds + last.waitSeconds,
      bubbleSeconds: beyondRounding(endWithoutTransfers - busy), optimizerSeconds: last.tail.optimizerSeconds,
      fixedSeconds: fixedSeconds,
      outerSeconds: iterationSeconds(of: split, localSeconds: local) - local, contextSeconds: context)
  }
}

extension StageCost {
  /// What replicas exchange in an iteration's passes, as far as nothing hides it, seconds.
  func dataSecondsInPasses(stage: Int, _ content: Split.Stage) -> Double {
    func added(_ total: PassSeconds, _ part: MicroBatchCost.Passes) -> Double {
      total.forward - part.forwardSeconds + total.backward - part.backwardSeconds
    }
    let n = Double(recomputedCount(content.choice) ?? content.layerCount), k = Double(content.layerCount) - n
    return Double(microBatchCount)
      * (n * added(layer.device, microBatch.layer) + k * added(keptLayer.device, microBatch.keptLayer)
        + (stage == 0 ? added(embedding, microBatch.embedding) : 0)
        + (stage == strategy.headStage ? added(head, microBatch.head) : 0))
  }

  /// All that they exchange in an iteration, as far as nothing hides it, seconds.
  func exposedDataSeconds(stage: Int, _ content: Split.Stage) -> Double {
    dataSecondsInPasses(stage: stage, content) + tail(stage: stage, content).dataSeconds
  }
}
