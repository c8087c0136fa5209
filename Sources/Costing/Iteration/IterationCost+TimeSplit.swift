import Documents

/// Where the time of an iteration goes.
extension IterationCost {
  /// Where the time of an iteration goes, on the stage that ends it.
  func timeSplit(of split: Split, scratch: inout EvaluationScratch) -> Prediction.TimeSplit {
    if strategy.update == .zerothOrder { return visitTimeSplit(of: split, scratch: &scratch) }
    runPipeline(split, withTransfers: true, scratch: &scratch)
    let last = slowestStage(
      tails: (0...lastStage).map { tail(stage: $0, self.content(of: split, stage: $0)) }, endSeconds: scratch.endSeconds
    )
    let end = scratch.endSeconds[last.stage]
    // Transfers cost what the pipeline would be faster by without them.
    runPipeline(split, withTransfers: false, scratch: &scratch)
    let endWithoutTransfers = scratch.endSeconds[last.stage]

    let own = self[last.stage]
    let m = Double(microBatchCount)
    let content = self.content(of: split, stage: last.stage)
    // n layers as the strategy says, k that keep what the others recompute.
    let n = own.recomputed(content) ?? content.layers, k = content.layers - n
    let isFirst = last.stage == 0, isLast = last.stage == strategy.headStage
    func sum(_ part: (MicroBatchCost.Passes) -> Double) -> Double {
      m
        * (own.microBatch.layers.sum(n, part) + own.microBatch.keptLayers.sum(k, part)
          + (isFirst ? part(own.microBatch.embedding) : 0) + (isLast ? part(own.microBatch.head) : 0))
    }
    let compute = sum { $0.forwardComputeSeconds + $0.backwardComputeSeconds }
    let recompute = sum { $0.recomputeSeconds }
    let tensor = sum { $0.forwardTensorSeconds + $0.backwardTensorSeconds }
    let expert = sum { $0.forwardExpertSeconds + $0.backwardExpertSeconds }
    let context = sum { $0.forwardContextSeconds + $0.backwardContextSeconds }
    let busy = m * own.passSeconds(stage: last.stage, content).sum
    // What remains of the passes beside what the data-parallel group adds is waiting for the host.
    let exposedInPasses = own.dataSecondsInPasses(stage: last.stage, content)
    // What rounding leaves is neither waiting nor bubble.
    func beyondRounding(_ seconds: Double) -> Double { seconds > 1e-12 * busy ? seconds : 0 }
    let waiting = busy - compute - recompute - tensor - context - expert - exposedInPasses
    let local = last.iterationSeconds
    return Prediction.TimeSplit(
      computeSeconds: compute, recomputeSeconds: recompute,
      launchSeconds: beyondRounding(waiting), tensorSeconds: tensor,
      pipelineSeconds: max(0, end - endWithoutTransfers),
      dataSeconds: exposedInPasses + last.tail.dataSeconds + last.waitSeconds,
      bubbleSeconds: beyondRounding(endWithoutTransfers - busy), optimizerSeconds: last.tail.optimizerSeconds,
      fixedSeconds: fixedSeconds,
      outerSeconds: iterationSeconds(of: split, localSeconds: local) - local, contextSeconds: context,
      expertSeconds: expert)
  }
}

extension StageCost {
  /// What replicas exchange in an iteration's passes, as far as nothing hides it, seconds.
  func dataSecondsInPasses(stage: Int, _ content: Split.Stage) -> Double {
    func added(_ total: PassSeconds, _ part: MicroBatchCost.Passes) -> Double {
      total.forward - part.forwardSeconds + total.backward - part.backwardSeconds
    }
    func ofLayers(
      _ total: ByKind<LayerSeconds>, _ parts: ByKind<MicroBatchCost.Passes>, _ count: LayerCounts
    ) -> Double {
      let dense = Double(count.dense) * added(total.dense.device, parts.dense)
      return count.experts == 0 ? dense : dense + Double(count.experts) * added(total.experts.device, parts.experts)
    }
    let n = recomputed(content) ?? content.layers, k = content.layers - n
    return Double(microBatchCount)
      * (ofLayers(layers, microBatch.layers, n) + ofLayers(keptLayers, microBatch.keptLayers, k)
        + (stage == 0 ? added(embedding, microBatch.embedding) : 0)
        + (stage == strategy.headStage ? added(head, microBatch.head) : 0))
  }

  /// All that they exchange in an iteration, as far as nothing hides it, seconds.
  func exposedDataSeconds(stage: Int, _ content: Split.Stage) -> Double {
    dataSecondsInPasses(stage: stage, content) + tail(stage: stage, content).dataSeconds
  }
}
