import Costing
import Documents
import Testing
import Training

@Suite struct PipelineExactTests {
  /// 1F1B with C = 1 and f = C/3, from an independent event simulation with asynchronous transfers.
  static let golden: [(p: Int, m: Int, link: Double, seconds: Double)] = [
    (4, 8, 0.1, 12.60), (8, 8, 0.1, 17.60), (8, 15, 0.1, 25.80), (8, 64, 0.1, 83.40),
    (16, 64, 0.1, 93.80), (16, 128, 0.3, 223.40),
  ]

  @Test func `The golden values of 1F1B hold for recurrence, walk and closed form`() throws {
    var scratch = PipelineScratch()
    for (p, m, link, seconds) in Self.golden {
      let times = PipelineTimes(
        equalStageCount: p, forwardSeconds: 1.0 / 3, backwardSeconds: 2.0 / 3, transferSeconds: link
      )
      let exact = times.endSeconds(
        of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
      let schedule = try PipelineSchedule(
        .oneForwardOneBackward, stageCount: p, microBatchCount: m)
      let reference = times.textbookEnds(schedule)?.max() ?? 0
      #expect(abs(exact / seconds - 1) < 1e-9, "recurrence, p \(p), m \(m): \(exact)")
      #expect(abs(reference / seconds - 1) < 1e-9, "walk, p \(p), m \(m): \(reference)")
      if m % p == 0 {
        let closed = equalStageSeconds(
          stageCount: p, microBatchCount: m, stageSeconds: 1, transferSeconds: link)
        #expect(abs(closed / seconds - 1) < 1e-9, "closed form, p \(p), m \(m): \(closed)")
      }
    }
  }

  @Test(arguments: [false, true])
  func `The recurrence gives the walk's end of every stage, bit for bit`(
    isInterleaved: Bool
  ) throws {
    var scratch = PipelineScratch()
    for seed in 0..<400 {
      let pipeline = RandomPipeline(isInterleaved: isInterleaved, seed: seed)
      let times = pipeline.times
      let makespan = times.endSeconds(
        of: pipeline.schedule, microBatchCount: pipeline.microBatchCount, scratch: &scratch)
      let ends = (0..<times.stageCount).map(scratch.endSeconds(ofStage:))
      let reference = try times.endSeconds(
        walking: PipelineSchedule(
          pipeline.schedule, stageCount: times.stageCount,
          microBatchCount: pipeline.microBatchCount))
      #expect(ends == reference, "\(pipeline)")
      #expect(makespan == reference.max(), "\(pipeline)")
    }
  }

  /// Of so many micro-batches the recurrence leaps over rounds that repeat themselves: the walk goes through all.
  @Test(arguments: [false, true])
  func `Leaps over rounds that repeat themselves end where the walk does`(isInterleaved: Bool) throws {
    var scratch = PipelineScratch()
    var leapt = 0
    for seed in 0..<12 {
      let pipeline = RandomPipeline(isInterleaved: isInterleaved, seed: seed)
      let times = pipeline.times, p = times.stageCount
      let m = (PipelineTimes.walkedMicroBatchCount / p + 1 + seed) * p
      _ = times.endSeconds(of: pipeline.schedule, microBatchCount: m, scratch: &scratch)
      let reference = try times.endSeconds(
        walking: PipelineSchedule(pipeline.schedule, stageCount: p, microBatchCount: m))
      for stage in 0..<p {
        let end = scratch.endSeconds(ofStage: stage)
        #expect(abs(end / reference[stage] - 1) < 1e-11, "\(pipeline), \(m): \(end), \(reference[stage])")
        if end != reference[stage] { leapt += 1 }
      }
    }
    // Sums in another order differ in their last bits: leaps there were.
    #expect(leapt > 0)
  }

  @Test func `Every small shape of 1F1B agrees with the walk`() throws {
    var scratch = PipelineScratch()
    for p in 1...6 {
      let times = PipelineTimes(
        stageCount: p, forwardSeconds: (0..<p).map { 1 + 0.3 * Double($0 % 3) },
        backwardSeconds: (0..<p).map { 2 + 0.7 * Double($0 % 2) },
        transferSeconds: (1..<p).map { 0.2 * Double($0) })
      for m in 1...9 {
        let schedule = try PipelineSchedule(.oneForwardOneBackward, stageCount: p, microBatchCount: m)
        _ = times.endSeconds(of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
        #expect((0..<p).map(scratch.endSeconds(ofStage:)) == times.textbookEnds(schedule), "p \(p), m \(m)")
      }
    }
  }

  @Test func `Every small shape of interleaved 1F1B agrees with the walk`() throws {
    var scratch = PipelineScratch()
    for p in 2...6 {
      for v in 2...4 {
        let times = PipelineTimes(
          stageCount: p, chunkCount: v, forwardSeconds: (0..<p * v).map { 1 + 0.3 * Double($0 % 3) },
          backwardSeconds: (0..<p * v).map { 2 + 0.7 * Double($0 % 5) },
          transferSeconds: (1..<p).map { 0.2 * Double($0) }, wrapTransferSeconds: 0.9)
        for m in p...(5 * p) {
          let order = Strategy.Schedule.interleaved(chunkCount: v)
          guard let schedule = try? PipelineSchedule(order, stageCount: p, microBatchCount: m) else { continue }
          _ = times.endSeconds(of: order, microBatchCount: m, scratch: &scratch)
          #expect(
            (0..<p).map(scratch.endSeconds(ofStage:)) == times.textbookEnds(schedule), "p \(p), v \(v), m \(m)")
        }
      }
    }
  }

  @Test func `Equal stages end when the closed form says`() {
    var scratch = PipelineScratch()
    for p in 1...9 {
      for windows in 1...5 {
        for (backward, link) in [(1.0, 0.0), (2.0, 0.1), (3.0, 7.0)] {
          let m = p * windows
          let times = PipelineTimes(
            equalStageCount: p, forwardSeconds: 1, backwardSeconds: backward, transferSeconds: link)
          let exact = times.endSeconds(of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
          let closed = equalStageSeconds(
            stageCount: p, microBatchCount: m, stageSeconds: 1 + backward, transferSeconds: link)
          #expect(abs(exact / closed - 1) < 1e-12, "p \(p), m \(m), b \(backward), l \(link)")
        }
      }
    }
  }

  @Test func `One stage takes the work of all micro-batches`() {
    var scratch = PipelineScratch()
    let times = PipelineTimes(
      stageCount: 1, forwardSeconds: [1], backwardSeconds: [2], transferSeconds: [])
    for m in [1, 2, 7] {
      let end = times.endSeconds(of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
      #expect(end == 3 * Double(m), "m \(m)")
    }
  }

  @Test func `One micro-batch goes down and up once`() {
    var scratch = PipelineScratch()
    let times = PipelineTimes(
      stageCount: 3, forwardSeconds: [1, 2, 3], backwardSeconds: [4, 5, 6],
      transferSeconds: [10, 20])
    #expect(times.endSeconds(of: .oneForwardOneBackward, microBatchCount: 1, scratch: &scratch) == 21 + 60)
    #expect(scratch.endSeconds(ofStage: 2) == 6 + 30 + 6)
  }

  @Test func `Two stages tell the wrap from the boundary`() {
    // F0.0 ends 1, F0.1 over the boundary 1+10+1; over the wrap to stage 0 at 112, ends 113; down 124; back the same way.
    let times = PipelineTimes(
      stageCount: 2, chunkCount: 2, forwardSeconds: [1, 1, 1, 1], backwardSeconds: [0, 0, 0, 0],
      transferSeconds: [10], wrapTransferSeconds: 100)
    var scratch = PipelineScratch()
    let end = times.endSeconds(of: .interleaved(chunkCount: 2), microBatchCount: 2, scratch: &scratch)
    #expect(end == 125 + 120)
  }

  @Test func `A scratch used for a larger pipeline does not change a smaller one`() {
    var used = PipelineScratch(stageCapacity: 3)
    for seed in 0..<20 {
      let pipeline = RandomPipeline(isInterleaved: true, seed: seed)
      let again = pipeline.times.endSeconds(
        of: pipeline.schedule, microBatchCount: pipeline.microBatchCount, scratch: &used)
      #expect(again == pipeline.exactSeconds(), "\(pipeline)")
      #expect(used.stageCount == pipeline.times.stageCount)
    }
  }
}
