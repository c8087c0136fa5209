import Documents

/// A lower bound for schedules whose backward passes are split, over the few splits of layers that they may have.
extension IterationCost {
  /// No split takes less, seconds.
  ///
  /// - Complexity: O(virtual stages) for each split.
  var splitBackwardBoundSeconds: Double {
    Split.ofSplitBackward(layerCount: layerCount, strategy: strategy).reduce(.infinity) {
      min($0, splitBackwardBoundSeconds(of: $1))
    }
  }

  /// The largest of these, with m micro-batches, and what follows:
  /// - *busy*: stage i starts when the first micro-batch has passed the stages before it, and works on all; of weight
  ///   gradients nobody waits for any;
  /// - *round trip*: the last virtual stage's input gradients follow each other after the first has arrived, and the last
  ///   one of them has its way back before it.
  ///
  /// - Complexity: O(virtual stages).
  private func splitBackwardBoundSeconds(of split: Split) -> Double {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount, count = p * v
    let m = Double(microBatchCount)
    let transfer = leastTransferSeconds
    var busy = [Double](repeating: 0, count: p), arrivals = busy
    var down = 0.0, up = 0.0, ofLast = 0.0
    for virtualStage in 0..<count {
      let stage = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: p).stage
      let layers = LayerCounts(dense: split.layerCounts[virtualStage]), isFirst = virtualStage == 0,
        isLast = virtualStage == count - 1
      let passes = self[stage].passSeconds(layers, isFirst: isFirst, isLast: isLast)
      let weights = self[stage].weightGradientSeconds(
        of: passes, layers, isFirst: isFirst, isLast: isLast)
      busy[stage] += m * passes.sum
      if virtualStage < p { arrivals[stage] = down }
      if isLast {
        ofLast = passes.forward + passes.backward - weights
      } else {
        down += passes.forward
        up += passes.backward - weights
        // At the bottom of a V a stage hands on to itself.
        if strategy.schedule.place(ofVirtualStage: virtualStage + 1, stageCount: p).stage != stage {
          down += transfer
          up += transfer
        }
      }
    }
    // Each stage reduces and updates what it holds when it is done, whoever that is waiting for others.
    func tail(_ stage: Int) -> Double {
      self[stage].unhidableTailSeconds(stage: stage, content(of: split, stage: stage).layers)
    }
    var bound = down + up + m * ofLast + tail(0)
    for stage in 0..<p { bound = max(bound, arrivals[stage] + busy[stage] + tail(stage)) }
    // What is summed in another order than a walk does may come out larger by its rounding.
    return bound * (1 - 1e-12) + fixedSeconds
  }
}
