import Costing
import Schedules
import TestSupport
import Testing

@Suite struct PipelineClosedFormTests {
  @Test func `Equal stages end when the closed form says`() {
    var scratch = PipelineScratch()
    for p in 1...9 {
      for windows in 1...5 {
        for (backward, link) in [(1.0, 0.0), (2.0, 0.1), (3.0, 7.0)] {
          let m = p * windows
          let times = PipelineTimes(
            equalStageCount: p, forwardSeconds: 1, backwardSeconds: backward, transferSeconds: link)
          let exact = times.endSeconds(
            of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
          let closed = PipelineClosedForms.equalStageSeconds(
            stageCount: p, microBatchCount: m, stageSeconds: 1 + backward, transferSeconds: link)
          #expect(abs(exact / closed - 1) < 1e-12, "p \(p), m \(m), b \(backward), l \(link)")
        }
      }
    }
  }

  @Test func `The critical cycle of a pipeline worked out by hand`() {
    // C = 3, 6; l = 1: P = max(6, (9 + 2)/2) = 6; T = 9 + 2 + 4·6.
    let times = PipelineTimes(
      stageCount: 2, forwardSeconds: [1, 2], backwardSeconds: [2, 4], transferSeconds: [1])
    #expect(PipelineClosedForms.criticalCycleSeconds(of: times, microBatchCount: 5) == 35)
    // l = 4: P = (9 + 8)/2; T = 17 + 4·8.5.
    let slowLink = PipelineTimes(
      stageCount: 2, forwardSeconds: [1, 2], backwardSeconds: [2, 4], transferSeconds: [4])
    #expect(PipelineClosedForms.criticalCycleSeconds(of: slowLink, microBatchCount: 5) == 51)
  }

  @Test func `The critical cycle is within a fifth of the exact time over moderate pipelines`() {
    var sum = 0.0
    for seed in 0..<600 {
      let pipeline = Self.moderatePipeline(seed: seed)
      let estimate = PipelineClosedForms.criticalCycleSeconds(
        of: pipeline.times, microBatchCount: pipeline.microBatchCount)
      let error = abs(estimate / pipeline.exactSeconds - 1)
      sum += error
      #expect(
        error < 0.2, "seed \(seed), p \(pipeline.times.stageCount), m \(pipeline.microBatchCount)")
    }
    #expect(sum / 600 < 0.03, "mean error \(sum / 600)")
  }

  @Test func `Pipette's form of a pipeline worked out by hand`() {
    // p 4, m 8, C = 1, l = 0.1: 2·(4 + 0.6) + 3.
    let times = PipelineTimes(
      equalStageCount: 4, forwardSeconds: 0.25, backwardSeconds: 0.75, transferSeconds: 0.1)
    let eight = PipelineClosedForms.pipetteSeconds(of: times, microBatchCount: 8)
    #expect(abs(eight - 12.2) < 1e-12)
    // The rest after whole windows is not counted.
    #expect(PipelineClosedForms.pipetteSeconds(of: times, microBatchCount: 11) == eight)
  }

  /// p 2…16, m p…8p, stages within a factor of 1.5, links up to half a forward pass.
  static func moderatePipeline(
    seed: Int
  ) -> (times: PipelineTimes, microBatchCount: Int, exactSeconds: Double) {
    var generator = SeededGenerator(seed: seed)
    let p = Int.random(in: 2...16, using: &generator)
    let m = Int.random(in: p...(8 * p), using: &generator)
    let forward = (0..<p).map { _ in Double.random(in: 1...1.5, using: &generator) }
    let times = PipelineTimes(
      stageCount: p, forwardSeconds: forward, backwardSeconds: forward.map { 2 * $0 },
      transferSeconds: (1..<p).map { _ in Double.random(in: 0...0.5, using: &generator) })
    var scratch = PipelineScratch()
    return (
      times, m, times.endSeconds(of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
    )
  }
}
