import Documents
import TestSupport
import Testing

/// Layers of stages that have chunks, and choices that go with them.
@Suite struct SplitTests {
  @Test func aStageHoldsARangeOfLayersForEachOfItsChunks() {
    let split = Split([2, 1, 3, 2], stageCount: 2)
    #expect(split.chunkCount == 2 && split.layerCount == 8)
    #expect(split.layerRanges == [0..<2, 2..<3, 3..<6, 6..<8])
    // Virtual stages 0 and 2 are stage 0's.
    #expect(split.stages.map(\.layerCount) == [5, 3])
    #expect(split.stages.allSatisfy { $0.choice == nil })
  }

  @Test func choicesGoWithTheirStages() {
    let choices = [
      StageChoice(recomputedLayerCount: 3), StageChoice(recomputedLayerCount: 0, offloadsOptimizer: true),
    ]
    let split = Split([3, 5], choices: choices)
    #expect(split.stageCount == 2 && split.chunkCount == 1)
    #expect(split[1] == Split.Stage(layerCount: 5, choice: choices[1]))
    let full = Strategy(mesh: [.pipeline: 2], recompute: .full)
    #expect(split.choices(under: full).map(\.recomputedLayerCount) == [3, 5])
    #expect(split.choices(under: full.with(\.recompute, .none)).map(\.recomputedLayerCount) == [0, 0])
    #expect(split.with(choices: nil) == Split([3, 5]))
  }

  /// Further predictions and every head count as a layer of the last virtual stage, as in published layouts of DeepSeek-V3.
  @Test(arguments: [
    (16, 1, [Int](repeating: 4, count: 15) + [1]), (4, 4, [Int](repeating: 4, count: 15) + [1]),
    (8, 2, [Int](repeating: 4, count: 15) + [1]), (4, 1, [16, 16, 16, 13]), (1, 1, [61]),
  ])
  func furtherPredictionsTakePlacesOfLayers(stageCount: Int, chunkCount: Int, counts: [Int]) {
    let split = Split.even(layerCount: 61, predictionDepth: 1, stageCount: stageCount, chunkCount: chunkCount)
    #expect(split.layerCounts == counts)
  }

  /// Where there is no place for them the last virtual stage has no layer, and others what is left.
  @Test func aLastChunkMayBeAllPredictionsAndHeads() {
    let split = Split.even(layerCount: 61, predictionDepth: 1, stageCount: 8, chunkCount: 4)
    #expect(
      split.layerCounts.last == 0 && split.layerCount == 61 && split.layerCounts.dropLast().allSatisfy { 1...2 ~= $0 })
  }
}
