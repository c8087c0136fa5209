import Costing
import Schedules
import Testing

@Suite struct PipelineLowerBoundTests {
  @Test(arguments: PipelineScheduleKind.allCases)
  func `No lower bound exceeds the exact time`(kind: PipelineScheduleKind) {
    var gapSum = 0.0
    let caseCount = 3000
    for seed in 0..<caseCount {
      let pipeline = RandomPipeline(kind, seed: seed)
      let exact = pipeline.exactSeconds()
      let bound = pipeline.times.lowerBoundSeconds(
        of: kind, microBatchCount: pipeline.microBatchCount)
      #expect(bound <= exact * (1 + 1e-12), "\(pipeline): bound \(bound), exact \(exact)")
      gapSum += 1 - bound / exact
    }
    let largestMeanGap =
      switch kind {
      case .oneForwardOneBackward: 0.03
      case .interleaved: 0.2
      case .gpipe: 1e-12
      }
    #expect(gapSum / Double(caseCount) < largestMeanGap, "mean gap \(gapSum / Double(caseCount))")
  }

  @Test func `Stage terms need nothing of a split but the stage and the work before it`() {
    for seed in 0..<1000 {
      let pipeline = RandomPipeline(.oneForwardOneBackward, seed: seed)
      let times = pipeline.times
      let work = zip(times.forwardSeconds, times.backwardSeconds).map(+)
      let bound = OneForwardOneBackwardBound(
        workSeconds: work.reduce(0, +), transferSeconds: times.transferSeconds,
        microBatchCount: pipeline.microBatchCount)
      let exact = pipeline.exactSeconds()
      let whole = times.lowerBoundSeconds(
        of: .oneForwardOneBackward, microBatchCount: pipeline.microBatchCount)
      for stage in 0..<times.stageCount {
        let term = bound.stageTermSeconds(
          stage, prefixWorkSeconds: work[..<stage].reduce(0, +),
          forwardSeconds: times.forwardSeconds[stage],
          backwardSeconds: times.backwardSeconds[stage])
        #expect(term <= exact * (1 + 1e-12), "\(pipeline), stage \(stage)")
        #expect(term <= whole * (1 + 1e-12), "\(pipeline), stage \(stage): not in the whole bound")
      }
    }
  }

  @Test func `The bound is at least every path named in its comment`() {
    for seed in 0..<1000 {
      let pipeline = RandomPipeline(.oneForwardOneBackward, seed: seed)
      let bound = pipeline.times.lowerBoundSeconds(
        of: .oneForwardOneBackward, microBatchCount: pipeline.microBatchCount)
      let paths = Self.paths(of: pipeline.times, microBatchCount: pipeline.microBatchCount)
      #expect(bound >= paths * (1 - 1e-12), "\(pipeline): bound \(bound), longest path \(paths)")
    }
  }

  /// The longest of the simple paths, each written out on its own: fill, one round trip, cycles at one stage, and cycles at
  /// stage 0 with the rest at stage p − r.
  static func paths(of times: PipelineTimes, microBatchCount m: Int) -> Double {
    let p = times.stageCount
    let work = zip(times.forwardSeconds, times.backwardSeconds).map(+)
    func trip(_ i: Int) -> Double {
      work[i...].reduce(0, +) + 2 * times.transferSeconds[i...].reduce(0, +)
    }
    let (q, r) = (m - 1).quotientAndRemainder(dividingBy: p)
    var longest = Double(1 + q) * trip(0) + (r > 0 ? trip(p - r) : 0)
    for i in 0..<p {
      let (f, b) = (times.forwardSeconds[i], times.backwardSeconds[i])
      let pairs = Double(max(0, m - 1 - (p - 1 - i)))
      longest = max(
        longest,
        trip(0) - trip(i) + Double(m) * work[i],
        trip(0) + Double(m - 1) * b + pairs * f,
        trip(0) + Double(m - 1) * f + pairs * b,
        trip(0) + Double((m - 1) / (p - i)) * trip(i))
    }
    return longest
  }

  @Test func `The bound of equal stages and whole windows is the exact time`() {
    for p in 1...10 {
      for windows in 1...4 {
        for link in [0, 0.1, 5] {
          let times = PipelineTimes(
            equalStageCount: p, forwardSeconds: 1, backwardSeconds: 2, transferSeconds: link)
          let bound = times.lowerBoundSeconds(
            of: .oneForwardOneBackward, microBatchCount: p * windows)
          let exact = PipelineClosedForms.equalStageSeconds(
            stageCount: p, microBatchCount: p * windows, stageSeconds: 3, transferSeconds: link)
          #expect(abs(bound / exact - 1) < 1e-12, "p \(p), m \(p * windows), l \(link)")
        }
      }
    }
  }

  @Test func `The bound of equal interleaved stages without transfers is the exact time`() {
    var scratch = PipelineScratch()
    for p in 2...6 {
      for v in 2...3 {
        for m in [p, 2 * p, 5 * p] {
          let times = PipelineTimes(
            equalStageCount: p, chunkCount: v, forwardSeconds: 1, backwardSeconds: 2,
            transferSeconds: 0)
          let bound = times.lowerBoundSeconds(of: .interleaved, microBatchCount: m)
          let exact = times.endSeconds(of: .interleaved, microBatchCount: m, scratch: &scratch)
          #expect(bound == exact, "p \(p), v \(v), m \(m)")
          #expect(exact == 3 * Double(m * v + p - 1), "p \(p), v \(v), m \(m)")
        }
      }
    }
  }

  @Test func `A stage that is slower bounds the time by more`() {
    for seed in 0..<200 {
      let pipeline = RandomPipeline(.oneForwardOneBackward, seed: seed)
      var slower = pipeline.times
      let stage = seed % slower.stageCount
      slower.setSeconds(
        ofStage: stage, forward: 2 * slower.forwardSeconds[stage],
        backward: 2 * slower.backwardSeconds[stage])
      let before = pipeline.times.lowerBoundSeconds(
        of: .oneForwardOneBackward, microBatchCount: pipeline.microBatchCount)
      let after = slower.lowerBoundSeconds(
        of: .oneForwardOneBackward, microBatchCount: pipeline.microBatchCount)
      #expect(after > before, "\(pipeline), stage \(stage)")
    }
  }
}
