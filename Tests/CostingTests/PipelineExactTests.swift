import Costing
import Schedules
import Testing

@Suite struct PipelineExactTests {
  /// 1F1B with C = 1 and f = C/3, from an independent event simulation with asynchronous transfers.
  static let golden: [(p: Int, m: Int, link: Double, seconds: Double)] = [
    (4, 8, 0.1, 12.60), (8, 8, 0.1, 17.60), (8, 15, 0.1, 25.80), (8, 64, 0.1, 83.40),
    (16, 64, 0.1, 93.80), (16, 128, 0.3, 223.40),
  ]

  @Test func `The golden values of 1F1B hold for recurrence, reference and closed form`() throws {
    var scratch = PipelineScratch()
    for (p, m, link, seconds) in Self.golden {
      let times = PipelineTimes(
        equalStageCount: p, forwardSeconds: 1.0 / 3, backwardSeconds: 2.0 / 3, transferSeconds: link
      )
      let exact = times.endSeconds(
        of: .oneForwardOneBackward, microBatchCount: m, scratch: &scratch)
      let schedule = try PipelineSchedule(
        kind: .oneForwardOneBackward, stageCount: p, microBatchCount: m)
      let reference = try times.referenceEndSeconds(of: schedule).max() ?? 0
      #expect(abs(exact / seconds - 1) < 1e-9, "recurrence, p \(p), m \(m): \(exact)")
      #expect(abs(reference / seconds - 1) < 1e-9, "reference, p \(p), m \(m): \(reference)")
      if m % p == 0 {
        let closed = PipelineClosedForms.equalStageSeconds(
          stageCount: p, microBatchCount: m, stageSeconds: 1, transferSeconds: link)
        #expect(abs(closed / seconds - 1) < 1e-9, "closed form, p \(p), m \(m): \(closed)")
      }
    }
  }

  @Test(arguments: PipelineScheduleKind.allCases)
  func `The recurrence gives the reference's end of every stage, bit for bit`(
    kind: PipelineScheduleKind
  ) throws {
    var scratch = PipelineScratch()
    for seed in 0..<400 {
      let pipeline = RandomPipeline(kind, seed: seed)
      let times = pipeline.times
      let makespan = times.endSeconds(
        of: kind, microBatchCount: pipeline.microBatchCount, scratch: &scratch)
      let ends = (0..<times.stageCount).map(scratch.endSeconds(ofStage:))
      let reference = try times.referenceEndSeconds(
        of: PipelineSchedule(
          kind: kind, stageCount: times.stageCount, chunkCount: times.chunkCount,
          microBatchCount: pipeline.microBatchCount))
      #expect(ends == reference, "\(pipeline)")
      #expect(makespan == reference.max(), "\(pipeline)")
    }
  }

  @Test func `Every small shape of 1F1B and GPipe agrees with the reference`() throws {
    var scratch = PipelineScratch()
    for kind in [PipelineScheduleKind.oneForwardOneBackward, .gpipe] {
      for p in 1...6 {
        let times = PipelineTimes(
          stageCount: p, forwardSeconds: (0..<p).map { 1 + 0.3 * Double($0 % 3) },
          backwardSeconds: (0..<p).map { 2 + 0.7 * Double($0 % 2) },
          transferSeconds: (1..<p).map { 0.2 * Double($0) })
        for m in 1...9 {
          let schedule = try PipelineSchedule(kind: kind, stageCount: p, microBatchCount: m)
          let reference = try times.referenceEndSeconds(of: schedule)
          _ = times.endSeconds(of: kind, microBatchCount: m, scratch: &scratch)
          #expect(
            (0..<p).map(scratch.endSeconds(ofStage:)) == reference,
            "\(kind.rawValue), p \(p), m \(m)")
        }
      }
    }
  }

  @Test func `One stage takes the work of all micro-batches`() {
    var scratch = PipelineScratch()
    let times = PipelineTimes(
      stageCount: 1, forwardSeconds: [1], backwardSeconds: [2], transferSeconds: [])
    for kind in [PipelineScheduleKind.oneForwardOneBackward, .gpipe] {
      for m in [1, 2, 7] {
        let end = times.endSeconds(of: kind, microBatchCount: m, scratch: &scratch)
        #expect(end == 3 * Double(m), "\(kind.rawValue), m \(m)")
      }
    }
  }

  @Test func `One micro-batch goes down and up once`() {
    var scratch = PipelineScratch()
    let times = PipelineTimes(
      stageCount: 3, forwardSeconds: [1, 2, 3], backwardSeconds: [4, 5, 6],
      transferSeconds: [10, 20])
    for kind in [PipelineScheduleKind.oneForwardOneBackward, .gpipe] {
      let end = times.endSeconds(of: kind, microBatchCount: 1, scratch: &scratch)
      #expect(end == 21 + 60)
      #expect(scratch.endSeconds(ofStage: 2) == 6 + 30 + 6)
    }
  }

  @Test func `Two stages tell the wrap from the boundary`() {
    // F0.0 ends 1, F0.1 over the boundary 1+10+1; over the wrap to stage 0 at 112, ends 113; down 124; back the same way.
    let times = PipelineTimes(
      stageCount: 2, chunkCount: 2, forwardSeconds: [1, 1, 1, 1], backwardSeconds: [0, 0, 0, 0],
      transferSeconds: [10], wrapTransferSeconds: 100)
    var scratch = PipelineScratch()
    let end = times.endSeconds(of: .interleaved, microBatchCount: 2, scratch: &scratch)
    #expect(end == 125 + 120)
  }

  @Test func `A scratch used for a larger pipeline does not change a smaller one`() {
    var used = PipelineScratch(stageCapacity: 3)
    for seed in 0..<20 {
      let pipeline = RandomPipeline(.interleaved, seed: seed)
      let again = pipeline.times.endSeconds(
        of: .interleaved, microBatchCount: pipeline.microBatchCount, scratch: &used)
      #expect(again == pipeline.exactSeconds(), "\(pipeline)")
      #expect(used.stageCount == pipeline.times.stageCount)
    }
  }

  @Test func `A replaced stage time is the one that counts`() {
    var times = PipelineTimes(
      equalStageCount: 2, chunkCount: 2, forwardSeconds: 1, backwardSeconds: 1, transferSeconds: 0)
    times.setSeconds(ofStage: 1, chunk: 0, forward: 5, backward: 7)
    #expect(times.forwardSeconds == [1, 1, 5, 1])
    #expect(times.backwardSeconds == [1, 1, 7, 1])
  }
}
