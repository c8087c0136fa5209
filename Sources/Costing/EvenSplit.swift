/// The split that frameworks use when nobody says otherwise: as even as can be, one layer more on middle stages first,
/// since the first stage has the embedding and the last the head.
///
/// - Returns: layers of each virtual stage, in the model's order.
/// - Precondition: there are at least as many layers as stages.
public func evenLayerCounts(layerCount: Int, virtualStageCount: Int) -> [Int] {
  precondition(layerCount >= virtualStageCount, "every virtual stage needs a layer")
  var counts = [Int](repeating: layerCount / virtualStageCount, count: virtualStageCount)
  let rest = layerCount % virtualStageCount
  // Second, third, …, then the first, and last of all the last.
  let order = Array(1..<max(1, virtualStageCount - 1)) + [0, virtualStageCount - 1]
  for stage in order.prefix(rest) { counts[stage] += 1 }
  return counts
}
