package import Documents
import Training

/// The time of an iteration of zeroth-order training: forward passes alone, and what comes and goes with them.
extension IterationCost {
  /// The end of each stage's last visit, seconds: without a pipeline that of its streams; in one the recurrence of a line of
  /// machines, where a stage begins a micro-batch when it is done with the one before and the stage before has sent it.
  ///
  /// - Complexity: O(layers) without a pipeline, otherwise O(stages · micro-batches).
  func runVisits(_ split: Split, withTransfers: Bool, endSeconds: inout [Double]) {
    endSeconds.removeAll(keepingCapacity: true)
    guard lastStage > 0 else {
      endSeconds.append(
        visits(stage: 0)?.streams(content(of: split, stage: 0), isFirst: true, isLast: true, updates: true).endSeconds
          ?? 0)
      return
    }
    // Of the stage before, when each micro-batch is there.
    var arrivals = [Double](repeating: 0, count: microBatchCount)
    for stage in 0...lastStage {
      let transfer = withTransfers && stage < lastStage ? transferSeconds(afterStage: stage) : 0
      let first = visitSeconds(stage: stage, content(of: split, stage: stage), isFirstVisit: true)
      let later = visitSeconds(stage: stage, content(of: split, stage: stage), isFirstVisit: false)
      var end = 0.0
      for index in arrivals.indices {
        end = max(end, arrivals[index]) + (index == 0 ? first : later)
        arrivals[index] = end + transfer
      }
      endSeconds.append(end)
    }
  }

  /// The visits of a stage on the device that sets its pace; nil under first-order training.
  func visits(stage: Int) -> StageVisits? { self[stage].visits }

  /// A micro-batch on a stage of a pipeline, seconds: the first from a standstill, a later one at the pace of the busiest
  /// stream.
  package func visitSeconds(stage: Int, _ content: Split.Stage, isFirstVisit: Bool) -> Double {
    guard let visits = visits(stage: stage) else { return 0 }
    let isFirst = stage == 0, isLast = stage == lastStage
    return isFirstVisit
      ? visits.streams(content, isFirst: isFirst, isLast: isLast, updates: true).endSeconds
      : visits.busy(content, isFirst: isFirst, isLast: isLast, updates: false).most
  }

  /// No split of the layers takes less, seconds: without a pipeline the time itself, with as many layers on the host as
  /// there have to be; in one all stages' computation of a micro-batch, and as often as there are further micro-batches an
  /// equal share of it.
  ///
  /// - Parameter limit: of the memory; nil where all layers that may lie on the host do.
  func visitBoundSeconds(within limit: MemoryLimit?) -> Double {
    let p = strategy.pipelineDegree
    if p == 1 {
      var choice: StageChoice?
      if let limit, strategy.hosting.holdsWeights {
        guard let hosted = memory.leastHostedLayerCount(stage: 0, allLayers, within: limit) else {
          return .infinity
        }
        choice = StageChoice(recomputedLayerCount: 0, hostedLayerCount: hosted)
      }
      let content = allLayers.content(choice)
      let end = visits(stage: 0)?.streams(content, isFirst: true, isLast: true, updates: true).endSeconds ?? 0
      return end + tailSeconds(stage: 0, content) + fixedSeconds
    }
    var work =
      Double(layerCount)
      * costs.reduce(.infinity) { least, cost in
        min(least, cost.visits.map { $0.seconds($0.layer) } ?? 0)
      }
    var ends = 0.0
    for stage in [0, lastStage] {
      guard let visits = visits(stage: stage) else { continue }
      let end = visits.seconds(stage == 0 ? visits.embedding : visits.head)
      work += end
      // An end of the pipeline has a layer as well.
      ends = max(ends, end + visits.seconds(visits.layer))
    }
    let transfers =
      Double(p - 1)
      * costs.reduce(.infinity) {
        min($0, $1.leastTransferSeconds(byteCount: boundaryByteCount))
      }
    return work + transfers + Double(microBatchCount - 1) * max(work / Double(p), ends) + fixedSeconds
  }

  /// Where the time of an iteration goes, on the stage that ends it. What the device does not hide is the links' and the
  /// host's, in the proportion in which they are busy.
  func visitTimeSplit(of split: Split, scratch: inout EvaluationScratch) -> Prediction.TimeSplit {
    runPipeline(split, withTransfers: true, scratch: &scratch)
    let last = slowestStage(
      tails: (0...lastStage).map { tail(stage: $0, self.content(of: split, stage: $0)) }, endSeconds: scratch.endSeconds
    )
    let end = scratch.endSeconds[last.stage]
    runPipeline(split, withTransfers: false, scratch: &scratch)
    let endWithoutTransfers = scratch.endSeconds[last.stage]
    guard let visits = visits(stage: last.stage) else { return Prediction.TimeSplit() }

    let content = self.content(of: split, stage: last.stage)
    let isFirst = last.stage == 0, isLast = last.stage == lastStage
    let n = Double(content.layerCount), hosted = Double(content.hostedLayerCount(strategy.hosting))
    let passCount = Double(visits.evaluationCount * microBatchCount)
    func sum(_ part: (MicroBatchCost.Passes) -> Double) -> Double {
      passCount
        * (n * part(visits.passes.layers.dense) + (isFirst ? part(visits.passes.embedding) : 0)
          + (isLast ? part(visits.passes.head) : 0))
    }
    let compute = sum(\.forwardComputeSeconds), tensor = sum(\.forwardTensorSeconds)
    let launch = passCount * n * visits.passes.layers.dense.forwardSeconds * (visits.launchFactor - 1)
    let visitCount = Double(microBatchCount / visits.microBatchCount)
    let perturbed = visitCount * Double(visits.evaluationCount)
    let perturb =
      perturbed
      * (n * visits.layer.perturbSeconds + (isFirst ? visits.embedding.perturbSeconds : 0)
        + (isLast ? visits.head.perturbSeconds : 0))
    let updates = hosted * visits.layer.updateSeconds
    let first = visits.busy(content, isFirst: isFirst, isLast: isLast, updates: true)
    let busy = compute + tensor + launch + perturb + updates
    // What a stage takes from its first micro-batch to its last, and how much of that it does not compute.
    let own =
      visitSeconds(stage: last.stage, content, isFirstVisit: true)
      + (visitCount - 1) * visitSeconds(stage: last.stage, content, isFirstVisit: false)
    let exposed = max(0, own - busy)
    let onLinks = first.gather, onHost = first.upload + first.offload
    let linkShare = onLinks + onHost > 0 ? onLinks / (onLinks + onHost) : 0
    func beyondRounding(_ seconds: Double) -> Double { seconds > 1e-12 * own ? seconds : 0 }
    return Prediction.TimeSplit(
      computeSeconds: compute, launchSeconds: launch, tensorSeconds: tensor,
      pipelineSeconds: max(0, end - endWithoutTransfers), dataSeconds: beyondRounding(exposed * linkShare),
      bubbleSeconds: beyondRounding(endWithoutTransfers - own),
      optimizerSeconds: perturb + updates + last.tail.optimizerSeconds, fixedSeconds: fixedSeconds,
      hostSeconds: beyondRounding(exposed * (1 - linkShare)))
  }
}
