import Costing
import Documents
import JSONText
import TestSupport
import Testing
import Training

@testable import Execution

/// Programs on a clock: what they take agrees with the recurrences where links are not shared, and says more where they
/// are.
@Suite("Timed runs") struct TimedRunTests {
  private struct Question: CustomStringConvertible {
    let plan: Plan
    let model: CostModel
    let description: String

    init(_ plan: Plan, _ description: String) throws {
      self.plan = plan
      self.description = description
      model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    }

    func run(contends: Bool = false) throws -> TimedRun {
      try TimedRun(model, strategy: plan.strategy, split: plan.split, contends: contends)
    }

    var cost: IterationCost { model.cost(of: plan.strategy) }
  }

  private static let wholeGradients: [Question] = {
    do {
      return try SmallPlans.degrees.flatMap { degrees in
        try ["zero_stage=0", "zero_stage=1", "zero_stage=1,recompute=full", "zero_stage=0,recompute=selective"].map {
          let pattern = degrees.pattern + "," + $0
          return try Question(
            SmallPlans.plan(
              pattern, .llama, isTied: $0.hasSuffix("full"), deviceCount: degrees.worldSize, layers: degrees.layers),
            pattern)
        }
      }
    } catch { preconditionFailure("\(error)") }
  }()

  @Test("Passes end when the schedule's recurrence says, where links are not shared")
  func passes() throws {
    for question in Self.wholeGradients {
      let ends = try question.run().passEndSeconds, expected = question.cost.passEndSeconds(of: question.plan.split)
      for (end, other) in zip(ends, expected) { #expect(abs(end - other) <= 1e-9 * other, "\(question)") }
    }
  }

  /// In textbook form: stages reduce their gradients, those of both ends sum a tied matrix, the norm needs everyone's, then
  /// every stage takes its step and gathers what it has updated.
  @Test("An iteration ends when the slowest stage has taken its step after the norm")
  func iterations() throws {
    for question in Self.wholeGradients {
      let cost = question.cost, split = question.plan.split, last = question.plan.strategy.pipelineDegree - 1
      let tails = (0...last).map { cost.tail(stage: $0, split[$0]) }
      var reduced = cost.passEndSeconds(of: split)
      // Where the optimizer is sharded the tied matrix is summed first, see `Sharding.exchanges(at:in:)`.
      let isSharded = question.plan.strategy.sharding.optimizerDegree > 1
      if !isSharded { reduced = zip(reduced, tails).map { $0 + $1.reduceSeconds } }
      if cost.embeddingSumSeconds > 0 {
        let both = max(reduced[0], reduced[last]) + cost.embeddingSumSeconds
        (reduced[0], reduced[last]) = (both, both)
      }
      if isSharded { reduced = zip(reduced, tails).map { $0 + $1.reduceSeconds } }
      let norm = reduced.max() ?? 0
      let steps = tails.map { $0.optimizerSeconds + $0.gatherSeconds }.max() ?? 0
      let expected = norm + steps + cost.fixedSeconds
      #expect(abs(try question.run().iterationSeconds - expected) <= 1e-9 * expected, "\(question)")
    }
  }

  @Test("Causes add up to the iteration on every stage, and activations to the model's count")
  func foldsOfARun() throws {
    for question in Self.wholeGradients {
      let run = try question.run(contends: true)
      for (stage, causes) in run.causesOfStages.enumerated() {
        let sum = causes.parts.reduce(0) { $0 + $1.seconds }
        #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds, "\(question), stage \(stage)")
        #expect(causes.parts.allSatisfy { $0.seconds >= 0 }, "\(question), stage \(stage)")
      }
      let memory = question.plan.prediction.stageMemory
      #expect(run.peakActivationBytes == memory.map(\.activationBytes), "\(question)")
    }
  }

  @Test("Sharded gradients and weights are gathered and reduced beside computation")
  func shardedStates() throws {
    for degrees in SmallPlans.degrees where degrees.data > 1 {
      for choice in ["zero_stage=2", "zero_stage=3", "zero_stage=3,recompute=full"] {
        let pattern = degrees.pattern + "," + choice
        let question = try Question(
          SmallPlans.plan(
            pattern, .llama, isTied: false, deviceCount: degrees.worldSize, layers: degrees.layers), pattern)
        let run = try question.run(contends: true)
        for causes in run.causesOfStages {
          let sum = causes.parts.reduce(0) { $0 + $1.seconds }
          #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds, "\(question)")
        }
        // No stage computes less than its passes, or more than these and all that is exchanged one after the other.
        #expect(run.iterationSeconds > 0.5 * question.plan.prediction.iterationSeconds, "\(question)")
        #expect(run.peakActivationBytes == question.plan.prediction.stageMemory.map(\.activationBytes), "\(question)")
      }
    }
  }

  @Test("Sharing links never makes an iteration faster, and the same run is the same to the bit")
  func sharing() throws {
    for question in Self.wholeGradients {
      let alone = try question.run().iterationSeconds, shared = try question.run(contends: true).iterationSeconds
      #expect(shared >= alone * (1 - 1e-12), "\(question)")
      #expect(shared == (try question.run(contends: true).iterationSeconds), "\(question)")
    }
  }

  @Test("Where nodes were measured every tensor group is simulated")
  func measuredLinks() throws {
    let cluster = try Shipped.catalog.cluster("a100-hdr-16")
    #expect(cluster.measured != nil)
    let plan = try statedPlan(
      "tensor=8,pipeline=4,data=4,micro_batch=1", cluster: cluster, model: Shipped.catalog.model("megatron-22b"),
      globalBatch: 32)
    let run = try Question(plan, "measured").run(contends: true)
    #expect(run.simulatedRankCount == 16 && !run.areReplicasAlike)
  }

  // MARK: Shared links

  private static let wire = SharedLink.uplink(instance: 0, level: 1, isOut: true)

  private static func flow(_ seconds: Double, share: Double, latency: Double = 0) -> FlowPrice {
    FlowPrice(
      latencySeconds: latency, bytesSeconds: seconds, uses: [SharedLink.Use(link: wire, share: share)])
  }

  /// The ends of flows that begin at the same time, in the order in which they end.
  private static func ends(_ flows: [FlowPrice], contends: Bool = true) -> [Double] {
    let medium = ClockMedium(rankCount: 2, contends: contends)
    for (index, flow) in flows.enumerated() {
      medium.send(
        ClockMedium.Letter(identity: index, sentSeconds: 0, senderStep: index), from: 0, to: 1, stream: 2, flow,
        byteCount: 1)
    }
    while medium.advance() != nil {}
    return medium.flows.map(\.endSeconds)
  }

  @Test("Flows that need more than a link has move at their part of it")
  func oversubscribed() {
    // Both at half speed until the short one is through, then the other alone.
    #expect(Self.ends([Self.flow(1, share: 1), Self.flow(3, share: 1)]) == [2, 4])
    #expect(Self.ends([Self.flow(1, share: 1), Self.flow(3, share: 1)], contends: false) == [1, 3])
  }

  @Test("Flows that a link can carry together do not slow each other")
  func undersubscribed() {
    #expect(Self.ends([Self.flow(1, share: 0.5), Self.flow(3, share: 0.5)]) == [1, 3])
  }

  @Test("A flow's latency takes nothing of a link")
  func latency() {
    // The second one's bytes move when the first one's are through.
    #expect(Self.ends([Self.flow(1, share: 1), Self.flow(1, share: 1, latency: 1)]) == [1, 2])
  }

  @Test("Letters of one stream arrive in the order in which they were sent, whichever is through first")
  func order() {
    let medium = ClockMedium(rankCount: 2, contends: true)
    for (index, seconds) in [3.0, 1, 2].enumerated() {
      medium.send(
        ClockMedium.Letter(identity: index, sentSeconds: 0, senderStep: index), from: 0, to: 1, stream: index / 2,
        Self.flow(seconds, share: 0.1), byteCount: 1)
    }
    var arrivals: [Double: [Int]] = [:]
    while medium.advance() != nil {
      for stream in 0...1 {
        while let letter = medium.take(at: 1, from: 0, stream: stream) {
          arrivals[medium.now, default: []].append(letter.identity)
        }
      }
    }
    // The second waits for the first; the third is of another stream.
    #expect(arrivals == [2: [2], 3: [0, 1]])
  }

  // MARK: Programs that come to no end

  @Test("A message that nobody sends is a deadlock that names who waits for whom")
  func deadlock() throws {
    let question = try Question(
      SmallPlans.plan("tensor=1,pipeline=2,data=1", .gpt, isTied: false, deviceCount: 2), "two stages")
    let setting = ClockSetting(
      question.model, strategy: question.plan.strategy, split: question.plan.split, contends: false)
    var programs = setting.shape.programs(ofRanks: setting.ranks, in: .parts)
    for index in programs[0].steps.indices {
      guard case .send = programs[0].steps[index].operation else { continue }
      programs[0].steps[index] = ProgramStep(stream: .pipeline, operation: .compute(.sumScalars))
    }
    let failure = try #require(throws: TimedRun.Failure.self) { try TimedRun(setting, programs: programs) }
    #expect(failure.description.hasPrefix("deadlock: "))
    #expect(failure.description.contains("rank 1 at step 0 (receive"), "\(failure)")
  }

  // MARK: Traces

  @Test("A trace has a process a rank, named tracks, and slices that follow each other or lie in one another")
  func trace() throws {
    let question = try Question(
      SmallPlans.plan("tensor=2,pipeline=2,data=2", .llama, isTied: true, deviceCount: 8), "trace")
    let run = try question.run(contends: true)
    let bytes = run.trace(stageMemory: question.plan.prediction.stageMemory)
    guard case .array(let events) = try JSON(parsing: bytes).member("traceEvents") else {
      Issue.record("there are no events")
      return
    }
    var opened: [Track: Double] = [:], pieces = 0, names: Set<String> = [], phases: [String: Int] = [:]
    for event in events {
      guard case .string(let phase) = event.member("ph"), case .integer(let process) = event.member("pid") else {
        Issue.record("an event without phase or process")
        continue
      }
      phases[phase, default: 0] += 1
      if case .string(let name) = event.member("args")?.member("name") { names.insert(name) }
      guard phase == "X", case .integer(let thread) = event.member("tid") else { continue }
      let start = try #require(event.member("ts")?.value), duration = try #require(event.member("dur")?.value)
      let track = Track(process: process, thread: thread)
      if case .string("piece") = event.member("cat") { pieces += 1 }
      // Slices follow each other, or lie in the one before. Times are rounded to nanoseconds.
      if let open = opened[track], start < open - 1.5e-3 {
        #expect(start + duration <= open + 1.5e-3)
      } else {
        opened[track] = start + duration
      }
    }
    #expect(pieces > 0)
    #expect(names.isSuperset(of: ["stage 0, ranks 0 to 1, for 2 replicas", "compute", "pipeline", "links"]))
    #expect(["X", "C", "M"].allSatisfy { phases[$0, default: 0] > 0 } && phases.count == 3)
    let end = try #require(opened.values.max())
    #expect(abs(end - 1e6 * (run.iterationSeconds - run.setting.cost.fixedSeconds)) < 1)
  }

  @Test("The trace of GPT-3 1T on 3,072 devices is below 50 MB")
  func largeTrace() throws {
    let node = try Shipped.catalog.cluster("dgx-a100-128")
    let levels = node.levels.map {
      ClusterDescription.Level(
        name: $0.name, span: $0.span > 8 ? 3072 : $0.span, bytesPerSecond: $0.bytesPerSecond,
        sharedBytesPerSecond: $0.sharedBytesPerSecond)
    }
    let cluster = try ClusterDescription(
      name: "dgx-a100-384", device: node.device, nodeNames: (0..<384).map { "n\($0)" }, devicesPerNode: 8,
      levels: levels)
    let plan = try statedPlan(
      "tensor=8,pipeline=64,data=6,virtual_stages=1,micro_batch=1,recompute=full", cluster: cluster,
      model: Shipped.catalog.model("megatron-1t"), globalBatch: 3072)
    let question = try Question(plan, "1T"), model = question.model
    let run = try question.run(contends: true)
    #expect(run.simulatedRankCount == 64 && run.worldSize == 3072)
    let foreseen = TimedRun.stepCount(model, strategy: plan.strategy, split: plan.split)
    #expect((run.stepCount...2 * run.stepCount).contains(foreseen))
    #expect(run.trace(stageMemory: plan.prediction.stageMemory).count < 50_000_000)
  }
}

private struct Track: Hashable {
  let process: Int
  let thread: Int
}

extension JSON {
  fileprivate func member(_ key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  fileprivate var value: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}
