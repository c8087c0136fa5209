import Costing
import Documents
import TestSupport

/// A pipeline with unequal stages and links, drawn from a seed.
struct RandomPipeline: CustomStringConvertible {
  let seed: Int
  let microBatchCount: Int
  let times: PipelineTimes

  /// p 1…12 and m 1…64; interleaved p 2…8, v 2…4, m in up to 6 groups of p or, half the time, of up to 2p − 1. Links are zero, small, mixed, or far longer than passes.
  init(isInterleaved: Bool, seed: Int) {
    var generator = SeededGenerator(seed: seed)
    self.seed = seed
    let stageCount = Int.random(in: isInterleaved ? 2...8 : 1...12, using: &generator)
    let chunkCount = isInterleaved ? Int.random(in: 2...4, using: &generator) : 1
    microBatchCount =
      isInterleaved
      ? Self.groupedMicroBatchCount(stageCount: stageCount, using: &generator)
      : Int.random(in: 1...64, using: &generator)
    let spread = [0, 0.1, 1, 5][Int.random(in: 0...3, using: &generator)]
    let linkScales = [[0], [0.1], [0, 1], [0.01, 3], [100]][Int.random(in: 0...4, using: &generator)]
    func passes() -> [Double] {
      let slowness = Double.random(in: 1...3, using: &generator)
      return (0..<(stageCount * chunkCount)).map { _ in
        slowness * (1 + spread * Double.random(in: 0...1, using: &generator))
      }
    }
    func link() -> Double {
      linkScales[Int.random(in: linkScales.indices, using: &generator)] * Double.random(in: 0...1, using: &generator)
    }
    times = PipelineTimes(
      stageCount: stageCount, chunkCount: chunkCount, forwardSeconds: passes(),
      backwardSeconds: passes(), transferSeconds: (1..<stageCount).map { _ in link() },
      wrapTransferSeconds: link())
  }

  /// Micro-batches that make as many groups as fit, and no more.
  private static func groupedMicroBatchCount(stageCount: Int, using generator: inout SeededGenerator) -> Int {
    let groupCount = Int.random(in: 1...6, using: &generator)
    let isUneven = Bool.random(using: &generator)
    let most = isUneven ? stageCount + (stageCount - 1) / groupCount : stageCount
    return groupCount * Int.random(in: stageCount...most, using: &generator)
  }

  var schedule: Strategy.Schedule { Strategy.Schedule(chunkCount: times.chunkCount) }

  func exactSeconds() -> Double {
    var scratch = PipelineScratch()
    return times.endSeconds(of: schedule, microBatchCount: microBatchCount, scratch: &scratch)
  }

  var description: String {
    "seed \(seed): \(schedule.name), p \(times.stageCount), v \(times.chunkCount), m \(microBatchCount)"
  }
}
