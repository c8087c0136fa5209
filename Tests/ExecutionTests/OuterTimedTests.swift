import Costing
import Documents
import JSONText
import TestSupport
import Testing
import Training

@testable import Execution

/// Rounds of workers on a clock.
@Suite struct OuterTimedTests {
  typealias Case = OuterDryRunTests.Case

  /// A plan of workers on slow links between nodes, or on ones that are so many times slower.
  static func plan(_ it: Case, nodes: Int, slower: Double = 1) throws -> Plan {
    var job = try TrainingJob(
      model: ModelDescription(
        name: "wide", family: .gpt, layerCount: 8, hiddenSize: 2048, headCount: 16, feedForwardSize: 8192,
        vocabularySize: 50_257, hasGatedFeedForward: false, hasTiedEmbeddings: false, positionCount: 2048),
      sequenceLength: 2048, globalBatch: 96, precision: .bf16)
    job.outer = it.outer
    let device = try Shipped.smallCluster(8).device
    let cluster = try ClusterDescription(
      name: "sites", device: device, nodeNames: (0..<nodes).map { "n\($0)" }, devicesPerNode: 4,
      levels: [
        .init(name: "nvlink", span: 4, bytesPerSecond: 300e9),
        .init(name: "tcp", span: 4 * nodes, bytesPerSecond: 2e9 / slower, latencySeconds: 50e-6 * slower),
      ],
      host: .init(memoryBytes: 1_000_000_000_000, bytesPerSecond: 25e9))
    let costs = try CostModel(cluster: cluster, job: job)
    let estimate = try Estimate(model: costs, pattern: StrategyPattern(text: it.strategyText, source: "test"))
    return Plan(stating: estimate.strategy, split: estimate.split, on: costs)
  }

  static func run(_ plan: Plan, contends: Bool = true) throws -> TimedRun {
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    return try TimedRun(model, strategy: plan.strategy, split: plan.split, contends: contends)
  }

  static let cases: [Case] = [
    Case(pattern: "data=4,zero_stage=1", period: 12), Case(pattern: "data=4,zero_stage=1", period: 1),
    Case(pattern: "data=4,zero_stage=1", period: 12, staleness: 0), Case(pattern: "tensor=4", period: 6, workers: 4),
    Case(pattern: "tensor=2,pipeline=2", period: 6), Case(pattern: "data=4,zero_stage=3", period: 5, format: "bf16"),
    Case(pattern: "data=4,zero_stage=1", period: 20, hostsOuter: true),
    Case(pattern: "data=4,zero_stage=1", period: 4, staleness: 0, format: "bf16"),
    Case(pattern: "data=4,zero_stage=1", period: 4, staleness: 0, format: "int8", workers: 3),
  ]

  /// A worker is a node, so that the all-reduce has its links to itself: a round is as long as the model says, but for what
  /// an iteration is.
  @Test(arguments: cases)
  func roundsAreAsLongAsTheModelSays(it: Case) throws {
    let plan = try Self.plan(it, nodes: it.workers), run = try Self.run(plan)
    let round = try #require(plan.prediction.outerRound), period = Double(it.period)
    let predicted = plan.prediction.iterationSeconds
    #expect(abs(run.iterationSeconds - predicted) < 0.05 * predicted, "\(run.iterationSeconds), \(predicted)")
    // What the model makes of the simulated iteration.
    let local = it.period >= 3 ? run.round.localSeconds : run.iterationSeconds - round.stepSeconds / period
    let expected =
      it.staleness > 0
      ? max(period * local, round.allReduceSeconds) + round.stepSeconds
      : period * local + round.allReduceSeconds + round.stepSeconds
    #expect(abs(run.iterationSeconds * period - expected) < 0.02 * expected)
  }

  @Test(arguments: cases)
  func causesAddUp(it: Case) throws {
    let run = try Self.run(Self.plan(it, nodes: it.workers))
    for causes in run.causesOfStages {
      let sum = causes.parts.reduce(0) { $0 + $1.seconds }
      #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds)
      #expect(causes.parts.allSatisfy { $0.seconds > -1e-12 }, "\(causes.parts)")
      #expect(causes.outerSeconds > 0)
    }
  }

  /// Check C.6: the all-reduce of a round lies inside the next one's iterations, once in all of them.
  @Test func oneAllReduceARoundInsideTheNextOnesSteps() throws {
    for period in [4, 12] {
      let run = try Self.run(Self.plan(Case(pattern: "data=4,zero_stage=1", period: period), nodes: 2))
      for track in run.tracks {
        let sums = track.slices.filter { track.program.steps[$0.step].stream == .outer }
        let updates = track.slices.filter { track.program.steps[$0.step].operation == .compute(.updateParameters) }
        #expect(sums.count == 1 && updates.count == run.round.simulatedCount)
        #expect(sums[0].startSeconds == 0 && sums[0].endSeconds > updates[0].endSeconds)
        let last = try #require(updates.last)
        #expect(sums[0].endSeconds < last.endSeconds)
      }
    }
  }

  /// Equal iterations are left out, and nothing changes.
  @Test func iterationsLeftOutAreAlike() throws {
    for (it, nodes, slower) in [
      (Case(pattern: "data=4,zero_stage=1", period: 40), 2, 1.0),
      // In flight for several iterations.
      (Case(pattern: "data=4,zero_stage=1", period: 40), 2, 5),
      (Case(pattern: "tensor=2,pipeline=2", period: 40), 2, 3),
      (Case(pattern: "data=4,zero_stage=3", period: 40, staleness: 0), 2, 1),
      // What is in flight slows the first iterations down.
      (Case(pattern: "data=8,zero_stage=1", period: 40), 4, 1), (Case(pattern: "tensor=4,data=2", period: 40), 4, 1),
    ] {
      let plan = try Self.plan(it, nodes: nodes, slower: slower), short = try Self.run(plan)
      #expect(short.round.simulatedCount < 40 && short.round.leftOutCount > 0)
      let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
      let setting = ClockSetting(model, strategy: plan.strategy, split: plan.split, contends: true)
      let whole = try TimedRun(setting, programs: setting.programs, period: 40)
      #expect(whole.round.leftOutCount == 0)
      #expect(abs(short.iterationSeconds - whole.iterationSeconds) <= 1e-9 * whole.iterationSeconds)
      for (some, all) in zip(short.causesOfStages, whole.causesOfStages) {
        for (mine, theirs) in zip(some.parts, all.parts) {
          #expect(abs(mine.seconds - theirs.seconds) <= 1e-9 * whole.iterationSeconds, "\(mine.name)")
        }
      }
    }
  }

  /// Check C.6: links that are ten times slower, and delays that are ten times longer, change seconds and never values.
  @Test func aTenfoldDelayChangesTheClockAndNeverValues() throws {
    let it = Case(pattern: "data=4,zero_stage=1", period: 4, workers: 3)
    let fast = try Self.plan(it, nodes: 3), slow = try Self.plan(it, nodes: 3, slower: 10)
    let seconds = try [fast, slow].map { try Self.run($0).iterationSeconds }
    #expect(seconds[1] > 2 * seconds[0])
    let runs = try [fast, slow].map { try DryRun(Miniature(of: $0, rankLimit: 64)) }
    for run in runs { #expect(run.disagreements.isEmpty) }
    #expect(runs[0].steps == runs[1].steps)
  }

  /// A worker of two nodes shares its links with the all-reduce, and both go on more slowly meanwhile.
  @Test func innerTrafficSharesTheLinks() throws {
    let it = Case(pattern: "data=8,zero_stage=1", period: 12)
    let plan = try Self.plan(it, nodes: 4)
    let shared = try Self.run(plan), alone = try Self.run(plan, contends: false)
    #expect(shared.iterationSeconds > 1.001 * alone.iterationSeconds)
    func sumSeconds(_ run: TimedRun) -> Double {
      run.tracks[0].slices.filter { run.tracks[0].program.steps[$0.step].stream == .outer }.reduce(0) {
        $0 + $1.endSeconds - $1.startSeconds
      }
    }
    #expect(sumSeconds(shared) > 1.01 * sumSeconds(alone))
    // Each gives up half of the links at most.
    #expect(shared.iterationSeconds < 2 * alone.iterationSeconds)
  }

  /// Where nodes were measured every worker is simulated, and a sum begins when the last of its members has come to it.
  @Test func measuredNodesAreSimulatedOneByOne() throws {
    for staleness in [0, 1] {
      let plan = try statedPlan(
        "update=outer,worker=16,outer_period=6,outer_staleness=\(staleness),tensor=4,data=2,zero_stage=1,micro_batch=1",
        cluster: "a100-hdr-16", model: "gpt2", globalBatch: 64, sequenceLength: 1024)
      #expect(plan.cluster.measured != nil)
      let run = try Self.run(plan)
      #expect(!run.areReplicasAlike && run.simulatedRankCount == 32)
      let sums = try run.tracks.map { track in
        try #require(track.slices.first { track.program.steps[$0.step].stream == .outer })
      }
      for place in 0..<2 {
        // Replicas of all workers, two of each.
        let group = stride(from: place, to: 32, by: 2).map { sums[$0] }
        #expect(Set(group.map(\.metSeconds)).count == 1 && Set(group.map(\.endSeconds)).count == 1)
      }
      let predicted = plan.prediction.iterationSeconds
      #expect(abs(run.iterationSeconds - predicted) < 0.1 * predicted, "\(run.iterationSeconds), \(predicted)")
      for causes in run.causesOfStages { #expect(causes.outerSeconds > 0) }
    }
  }

  @Test func stepsAreForeseen() throws {
    for it in Self.cases + [Case(pattern: "data=4", period: 1_000_000)] {
      let plan = try Self.plan(it, nodes: it.workers), run = try Self.run(plan)
      let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
      let foreseen = TimedRun.stepCount(model, strategy: plan.strategy, split: plan.split)
      #expect(foreseen >= run.stepCount && foreseen <= 3 * run.stepCount)
    }
  }

  @Test func tracesShowWhatIsBetweenWorkers() throws {
    for workers in [1, 2] {
      let plan = try Self.plan(Case(pattern: "data=\(8 / workers)", workers: workers), nodes: 2)
      let run = try Self.run(plan)
      let text = String(decoding: run.trace(stageMemory: plan.prediction.stageMemory), as: UTF8.self)
      #expect(text.contains("\"outer\"") == (workers > 1))
      #expect(text.contains("all-reduce of progress of workers") == (workers > 1))
      #expect(text.contains("outer step by the mean of \(workers) worker"))
      #expect(text.contains("for 8 replicas"))
      _ = try JSON(parsing: Array(text.utf8))
    }
  }

  @Test func differencesAddUp() throws {
    for it in Self.cases {
      let plan = try Self.plan(it, nodes: it.workers)
      let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
      let simulation = try Simulation(
        model, strategy: plan.strategy, split: plan.split, prediction: plan.prediction)
      let sum = simulation.differences.reduce(0) { $0 + $1.seconds }
      let difference = simulation.run.iterationSeconds - plan.prediction.iterationSeconds
      #expect(abs(sum - difference) < 1e-8 * plan.prediction.iterationSeconds)
    }
  }
}
