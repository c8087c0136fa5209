/// The split of layers that a framework uses when nobody says otherwise.
extension DeviceProfile.LayerSplit {
  /// The split of a model's layers among the stages and chunks of a strategy.
  ///
  /// - Precondition: for ``even``, there are at least as many layers as virtual stages.
  package func split(of model: ModelDescription, among strategy: Strategy) -> Split {
    let stageCount = strategy.pipelineDegree, chunkCount = strategy.virtualStageCount
    if strategy.schedule.splitsBackward,
      let split = Split.ofSplitBackward(layerCount: model.layerCount, strategy: strategy).first
    {
      return split
    }
    return switch self {
    case .even:
      .even(
        layerCount: model.layerCount, predictionDepth: model.predictionDepth, stageCount: stageCount,
        chunkCount: chunkCount)
    case .cumulativeCost:
      Split(cumulativeLayerCounts(model: model, stageCount: stageCount * chunkCount), stageCount: stageCount)
    }
  }
}

extension Capabilities.LayerSplit {
  /// The only split of a model's layers among the stages of a strategy; nil where there is a choice.
  package func split(of model: ModelDescription, among strategy: Strategy) -> Split? {
    guard case .rule(let rule) = self, strategy.pipelineDegree > 1 else { return nil }
    return rule.split(of: model, among: strategy)
  }
}

extension Split {
  /// As even as can be, one layer more on middle stages first, since the first stage has the embedding and the last the
  /// head.
  ///
  /// Layers that predict further tokens, and every head with them, count as a layer each of the last virtual stage, as in the
  /// layouts that Megatron-Bridge's recipes state for DeepSeek-V3 (61 layers on 16 virtual stages: four on each but one on
  /// the last, with the further prediction).
  ///
  /// - Precondition: there are at least as many layers as virtual stages, but for the first and the last of chunks.
  package static func even(
    layerCount: Int, predictionDepth: Int = 0, stageCount: Int, chunkCount: Int = 1
  ) -> Split {
    let virtualStageCount = stageCount * chunkCount
    if predictionDepth > 0, virtualStageCount > 1 {
      let ends = 2 * predictionDepth + 1
      // What the last has to do beyond its part is taken from nobody: it has no layer then.
      let all = even(layerCount: layerCount + ends, stageCount: 1, chunkCount: virtualStageCount).layerCounts
      let last = max(0, all[virtualStageCount - 1] - ends)
      let others = even(layerCount: layerCount - last, stageCount: 1, chunkCount: virtualStageCount - 1).layerCounts
      if last > 0 || chunkCount > 1 { return Split(others + [last], stageCount: stageCount) }
    }
    precondition(
      layerCount >= virtualStageCount - (chunkCount > 1 ? 2 : 0), "every virtual stage needs a layer, or is an end")
    var counts = [Int](repeating: layerCount / virtualStageCount, count: virtualStageCount)
    let rest = layerCount % virtualStageCount
    // Second, third, …, then the first, and last of all the last.
    let order = Array(1..<max(1, virtualStageCount - 1)) + [0, virtualStageCount - 1]
    for stage in order.prefix(rest) { counts[stage] += 1 }
    return Split(counts, stageCount: stageCount)
  }
}

/// nanotron's rule (its `build_model`): a layer counts 4·h·q + 3·h·f, the head V·h; a block goes to the current stage,
/// and the next stage begins once the cost so far exceeds the stage's part of the whole.
///
/// Stages that are left without a block follow the one with the head there; here they come just before it, where they
/// pass activations on just as idly, so that the head is on the last stage as everywhere else.
private func cumulativeLayerCounts(model: ModelDescription, stageCount: Int) -> [Int] {
  let layer = Double(model.hiddenSize) * Double(4 * model.querySize + 3 * model.feedForwardSize)
  // The rule's own constants put ties one way or the other; runs agree with a head that counts a little less.
  let head = 0.95 * Double(model.vocabularySize) * Double(model.hiddenSize)
  let whole = Double(model.layerCount) * layer + head
  var counts = [Int](repeating: 0, count: stageCount)
  var stage = 0, soFar = 0.0
  for _ in 0..<model.layerCount {
    counts[stage] += 1
    soFar += layer
    if stage < stageCount - 1, soFar > whole * Double(stage + 1) / Double(stageCount) { stage += 1 }
  }
  // The head is on the stage that the last layer left current.
  let withHead = counts[stage]
  counts.remove(at: stage)
  return counts + [withHead]
}
