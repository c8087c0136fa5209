import Costing
import Testing
import Training

@Suite struct PipelineLowerBoundTests {
  @Test func `No stage term exceeds the exact time`() {
    var gapSum = 0.0
    let caseCount = 3000
    for seed in 0..<caseCount {
      let pipeline = RandomPipeline(isInterleaved: false, seed: seed)
      let exact = pipeline.exactSeconds()
      let bound = Self.boundSeconds(of: pipeline.times, microBatchCount: pipeline.microBatchCount)
      #expect(bound <= exact * (1 + 1e-12), "\(pipeline): bound \(bound), exact \(exact)")
      gapSum += 1 - bound / exact
    }
    #expect(gapSum / Double(caseCount) < 0.03, "mean gap \(gapSum / Double(caseCount))")
  }

  @Test func `The bound is at least every path named in its comment`() {
    for seed in 0..<1000 {
      let pipeline = RandomPipeline(isInterleaved: false, seed: seed)
      let bound = Self.boundSeconds(of: pipeline.times, microBatchCount: pipeline.microBatchCount)
      let paths = Self.paths(of: pipeline.times, microBatchCount: pipeline.microBatchCount)
      #expect(bound >= paths * (1 - 1e-12), "\(pipeline): bound \(bound), longest path \(paths)")
    }
  }

  /// The largest stage term.
  static func boundSeconds(of times: PipelineTimes, microBatchCount: Int) -> Double {
    let work = zip(times.forwardSeconds, times.backwardSeconds).map(+)
    let bound = OneForwardOneBackwardBound(transferSeconds: times.transferSeconds, microBatchCount: microBatchCount)
    return (0..<times.stageCount).map { stage in
      bound.stageTermSeconds(
        stage, workSeconds: work.reduce(0, +), prefixWorkSeconds: work[..<stage].reduce(0, +),
        forwardSeconds: times.forwardSeconds[stage], backwardSeconds: times.backwardSeconds[stage])
    }.reduce(0, max)
  }

  /// The longest of the simple paths, each written out on its own: fill, one round trip, cycles at one stage, and
  /// cycles at stage 0 with the rest at stage p − r.
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
          let bound = Self.boundSeconds(of: times, microBatchCount: p * windows)
          let exact = equalStageSeconds(
            stageCount: p, microBatchCount: p * windows, stageSeconds: 3, transferSeconds: link)
          #expect(abs(bound / exact - 1) < 1e-12, "p \(p), m \(p * windows), l \(link)")
        }
      }
    }
  }

  @Test func `A stage that is slower bounds the time by more`() {
    for seed in 0..<200 {
      let pipeline = RandomPipeline(isInterleaved: false, seed: seed), times = pipeline.times
      let stage = seed % times.stageCount
      func slowed(_ seconds: [Double]) -> [Double] {
        seconds.enumerated().map { $0.offset == stage ? 2 * $0.element : $0.element }
      }
      let slower = PipelineTimes(
        stageCount: times.stageCount, forwardSeconds: slowed(times.forwardSeconds),
        backwardSeconds: slowed(times.backwardSeconds), transferSeconds: times.transferSeconds)
      let before = Self.boundSeconds(of: times, microBatchCount: pipeline.microBatchCount)
      let after = Self.boundSeconds(of: slower, microBatchCount: pipeline.microBatchCount)
      #expect(after > before, "\(pipeline), stage \(stage)")
    }
  }
}
