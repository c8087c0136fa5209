/// The layers of stages whose backward passes are split.
///
/// The chunks of a stage are of one size, and so are all stages but the one with the head, which may have fewer layers. So a
/// stage's memory follows from the sum of its layers, and there are few splits: as many as sizes that the others may have.
extension Split {
  /// Every split that a strategy with split backward passes may have, the most even one first; none where there is none.
  ///
  /// With n layers in the first chunks of all p stages, the head's stage has e of them and each other one c, so that
  /// `n = e + (p − 1)·c` with 1 ≤ e ≤ c.
  package static func ofSplitBackward(layerCount: Int, strategy: Strategy) -> [Split] {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount, n = layerCount / v
    guard p > 1, layerCount % v == 0 else { return [] }
    var splits: [Split] = []
    var size = (n + p - 1) / p
    while n - (p - 1) * size >= 1 {
      let counts = (0..<p * v).map { virtualStage in
        strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: p).stage == strategy.headStage
          ? n - (p - 1) * size : size
      }
      splits.append(Split(counts, stageCount: p, isV: strategy.schedule.isV))
      size += 1
    }
    return splits
  }
}

extension Strategy {
  /// What is wrong with the layers of virtual stages for a schedule with split backward passes; nil of others.
  func contradiction(ofChunks layerCounts: [Int]) -> String? {
    guard schedule.splitsBackward else { return nil }
    for (virtualStage, count) in layerCounts.enumerated() {
      let stage = schedule.place(ofVirtualStage: virtualStage, stageCount: pipelineDegree).stage
      if count != layerCounts[stage] {
        return "the chunks of a stage have equally many layers under the schedule \(schedule.name)"
      }
    }
    return nil
  }
}
