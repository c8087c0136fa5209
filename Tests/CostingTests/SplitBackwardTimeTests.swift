import Costing
import Documents
import TestSupport
import Testing
import Training

/// Makespans of schedules with split backward passes, stage by stage and pass by pass.
@Suite struct SplitBackwardTimeTests {
  /// The end of the slowest stage, of stages that take f, b and w; chunks take a v-th of it.
  static func makespan(
    _ order: Strategy.Schedule, p: Int, m: Int, f: Double, b: Double, w: Double, latency: Double = 0, pair: Double = 1
  ) throws -> Double {
    let schedule = try PipelineSchedule(order, stageCount: p, microBatchCount: m)
    let v = Double(schedule.chunkCount), count = p * schedule.chunkCount
    let times = PipelineTimes(
      stageCount: p, chunkCount: schedule.chunkCount, forwardSeconds: .init(repeating: f / v, count: count),
      backwardSeconds: .init(repeating: (b + w) / v, count: count),
      weightSeconds: order.splitsBackward ? .init(repeating: w / v, count: count) : [],
      transferSeconds: .init(repeating: latency, count: p - 1), wrapTransferSeconds: latency, pairFactor: pair)
    return try times.endSeconds(walking: schedule).max() ?? 0
  }

  /// Stage times f, b, w, one-way latency l, stages and micro-batches; makespans of 1F1B, ZB-H1, ZB-V, DualPipeV, and
  /// of DualPipeV with pairs that take three quarters of their passes.
  private static let golden: [(f: Double, b: Double, w: Double, l: Double, p: Int, m: Int, spans: [Double])] = [
    (1, 1, 1, 0, 2, 4, [15, 13, 12.5, 13, 11.5]),
    (1, 1, 1, 0, 4, 8, [33, 27, 25.5, 27, 23.25]),
    (1, 1, 1, 0, 8, 16, [69, 55, 51.5, 55, 46.75]),
    (1, 1, 1, 0, 8, 64, [213, 199, 195.5, 199, 154.75]),
    (1, 1, 1, 0.1, 4, 8, [34.6, 28.2, 26.8, 28.7, 24.95]),
    (1, 1, 1, 0.1, 8, 64, [225.4, 201.8, 198.8, 212.3, 168.05]),
    (1, 1.2, 0.8, 0, 4, 8, [33, 28.2, 25.8, 27.6, 23.85]),
    (1, 1.2, 0.8, 0, 8, 64, [213, 201.8, 196.2, 200.6, 156.35]),
    (1, 1.2, 0.8, 0.1, 8, 64, [225.4, 204.6, 199.5, 214.4, 170.15]),
    (1, 1.5, 1, 0, 4, 8, [38.5, 32.5, 30.25, 32, 27.625]),
  ]

  @Test func `Makespans are the published ones`() throws {
    for row in Self.golden {
      let (p, m) = (row.p, row.m)
      func span(_ order: Strategy.Schedule, pair: Double = 1) throws -> Double {
        try Self.makespan(order, p: p, m: m, f: row.f, b: row.b, w: row.w, latency: row.l, pair: pair)
      }
      let spans = [
        try span(.oneForwardOneBackward), try span(.zeroBubble(chunkCount: 1)), try span(.zeroBubbleV),
        try span(.dualPipeV), try span(.dualPipeV, pair: 0.75),
      ]
      for (found, expected) in zip(spans, row.spans) { #expect(abs(found - expected) < 1e-9, "\(row): \(spans)") }
    }
  }

  @Test func `What stages keep is p micro-batches, and half a one more in pairs`() throws {
    for p in [2, 4, 8] {
      for m in [2 * p, 8 * p] {
        for stage in 0..<p {
          func stages(_ order: Strategy.Schedule) throws -> Double {
            let schedule = try PipelineSchedule(order, stageCount: p, microBatchCount: m)
            return Double(schedule.inFlightCount(ofStage: stage)) / Double(schedule.chunkCount)
          }
          #expect(try stages(.oneForwardOneBackward) == Double(p - stage))
          #expect(try stages(.zeroBubble(chunkCount: 1)) == Double(p))
          #expect(try stages(.zeroBubbleV) == Double(p))
          #expect(try stages(.dualPipeV) == Double(p) + 0.5)
        }
      }
    }
  }

  @Test func `The bubble of ZB-H1 is p - 1 times the longest of f, b and f + b - w`() throws {
    var random = SplitMix64(seed: 7)
    for _ in 0..<500 {
      func time() -> Double { Double(1 + random.next() % 1_000) / 100 }
      let (f, b, w) = (time(), time(), time())
      let p = 2 + Int(random.next() % 7), m = p + Int(random.next() % 20)
      let span = try Self.makespan(.zeroBubble(chunkCount: 1), p: p, m: m, f: f, b: b, w: w)
      let expected = Double(m) * (f + b + w) + Double(p - 1) * max(f, b, f + b - w)
      #expect(abs(span - expected) < 1e-9 * expected, "f \(f), b \(b), w \(w), p \(p), m \(m)")
    }
  }

  /// Where an input gradient is the longest of the three: (S/2 − 1)(F&B + B − 3W) of S virtual stages, as DualPipe's authors
  /// have it, and up to half a chunk's forward pass less.
  @Test func `The bubble of DualPipeV is what its authors say, or up to f / 2 less`() throws {
    var random = SplitMix64(seed: 8)
    for _ in 0..<200 {
      func time() -> Double { Double(50 + random.next() % 100) / 100 }
      let (f, w) = (time(), time()), b = max(f, w) * (1 + time() / 2)
      let p = 2 + Int(random.next() % 5), m = 2 * p + Int(random.next() % 20)
      let span = try Self.makespan(.dualPipeV, p: p, m: m, f: f, b: b, w: w)
      // Of chunks: S = 2p virtual stages of half a stage's time each.
      let published = Double(p - 1) * (f + 2 * (b + w) - 3 * w) / 2
      let bubble = span - Double(m) * (f + b + w)
      #expect(bubble < published + 1e-9, "f \(f), b \(b), w \(w), p \(p), m \(m)")
      #expect(bubble > published - f / 2 - 1e-9, "f \(f), b \(b), w \(w), p \(p), m \(m)")
    }
  }

  @Test func `A weight gradient before its input gradient, and passes in a circle, are deadlocks`() throws {
    let good = try PipelineSchedule(.zeroBubble(chunkCount: 1), stageCount: 2, microBatchCount: 2)
    var steps = (0..<2).map(good.steps(ofStage:))
    // Stage 0 waits for a gradient before it sends what that comes from.
    steps[0] = steps[0].sorted { ($0.pass == .forward ? 1 : 0) < ($1.pass == .forward ? 1 : 0) }
    let bad = PipelineSchedule(
      steps: steps, chunkCount: 1, microBatchCount: 2, virtualStageIndex: good.virtualStageIndex)
    let times = PipelineTimes(
      stageCount: 2, forwardSeconds: [1, 1], backwardSeconds: [2, 2], weightSeconds: [1, 1], transferSeconds: [0])
    #expect(throws: PipelineDeadlock.self) { try times.endSeconds(walking: bad) }
  }

  @Test func `Very many micro-batches take what a walk over all of them does`() throws {
    var random = SplitMix64(seed: 9)
    var scratch = PipelineScratch()
    for schedule in [Strategy.Schedule.zeroBubble(chunkCount: 1), .zeroBubble(chunkCount: 2), .zeroBubbleV, .dualPipeV]
    {
      func times(_ count: Int) -> [Double] { (0..<count).map { _ in Double(50 + random.next() % 100) / 100 } }
      let p = 3, v = schedule.chunkCount, weights = times(p * v)
      let pipeline = PipelineTimes(
        stageCount: p, chunkCount: v, forwardSeconds: times(p * v),
        backwardSeconds: zip(weights, times(p * v)).map { $0 + $1 }, weightSeconds: weights,
        transferSeconds: times(p - 1), wrapTransferSeconds: 0.3)
      let m = 17_001
      let found = pipeline.endSeconds(of: schedule, microBatchCount: m, scratch: &scratch)
      let walked = try pipeline.endSeconds(
        walking: PipelineSchedule(schedule, stageCount: p, microBatchCount: m))
      #expect(abs(found - (walked.max() ?? 0)) < 1e-9 * found, "\(schedule)")
      // As many as a job may have, in no more time.
      #expect(pipeline.endSeconds(of: schedule, microBatchCount: 15_000_000, scratch: &scratch) > 800 * found)
    }
  }
}
