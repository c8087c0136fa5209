import Costing
import Documents
import TestSupport

/// A pipeline with unequal stages and links, drawn from a seed.
struct RandomPipeline: CustomStringConvertible {
  let seed: Int
  let microBatchCount: Int
  let times: PipelineTimes

  /// p 1…12 and m 1…64; interleaved p 2…8, v 2…4, m up to 6p. Links are zero, small, mixed, or far longer than passes.
  init(isInterleaved: Bool, seed: Int) {
    var generator = SeededGenerator(seed: seed)
    self.seed = seed
    let stageCount = Int.random(in: isInterleaved ? 2...8 : 1...12, using: &generator)
    let chunkCount = isInterleaved ? Int.random(in: 2...4, using: &generator) : 1
    microBatchCount =
      isInterleaved
      ? stageCount * Int.random(in: 1...6, using: &generator)
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

  var schedule: Strategy.Schedule { Strategy.Schedule(chunkCount: times.chunkCount) }

  func exactSeconds() -> Double {
    var scratch = PipelineScratch()
    return times.endSeconds(of: schedule, microBatchCount: microBatchCount, scratch: &scratch)
  }

  var description: String {
    "seed \(seed): \(schedule.name), p \(times.stageCount), v \(times.chunkCount), m \(microBatchCount)"
  }
}
