import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Weights that replicas cast before they gather them: in whole miniatures, against a reference that casts its whole weights.
@Suite struct NarrowGatherTests {
  static let precisions: [Precision] = [.fp8Delayed, .fp8Current, .nvfp4]

  static func plan(
    _ pattern: String, _ precision: Precision, _ family: ModelDescription.Family = .llama, isTied: Bool = false,
    isNarrow: Bool = true
  ) throws -> Plan {
    try SmallPlans.plan(
      pattern + (isNarrow ? ",narrow_weights=true" : ""), family, isTied: isTied,
      deviceCount: SmallPlans.worldSize(of: pattern), precision: precision)
  }

  static func run(
    _ plan: Plan, steps: Int = 3, options: (inout DryRun.Options) -> Void = { _ in },
    castingOfRank: [Int: (Casting?) -> Casting?] = [:], programs: (inout [RankProgram]) -> Void = { _ in }
  ) throws -> DryRun {
    let miniature = try Miniature(of: plan, rankLimit: 8)
    var all = miniature.shape.programs()
    programs(&all)
    var chosen = DryRun.Options(stepCount: steps)
    options(&chosen)
    return try DryRun(
      miniature, options: chosen, shape: miniature.shape, programs: all, castingOfRank: castingOfRank)
  }

  private static func bytes(_ run: DryRun) -> Int {
    run.traffic.reduce(0) { $0 + ($1.kind == "data" ? $1.executedBytes : 0) }
  }

  // MARK: What holds

  static let layouts: [(pattern: String, family: ModelDescription.Family)] = [
    ("data=2,zero_stage=1", .llama), ("data=3,zero_stage=1", .gpt), ("data=3,zero_stage=2", .gpt),
    ("tensor=2,data=2,sequence_parallel=true,zero_stage=1", .llama), ("tensor=2,data=3,zero_stage=2", .gpt),
    ("context=2,data=2,zero_stage=1", .llama),
    ("pipeline=2,data=3,virtual_stages=2,zero_stage=1", .llama),
    ("tensor=2,data=2,pipeline=2,sequence_parallel=true,zero_stage=2", .llama),
    ("data=4,zero_stage=1,optimizer_shards=2", .llama),
    ("data=4,zero_stage=2,gradient_shards=2,optimizer_shards=4", .llama),
  ]

  /// Where replicas divide weights.
  static let divided: [(pattern: String, family: ModelDescription.Family)] = [
    ("data=3,zero_stage=3", .llama), ("tensor=2,data=2,sequence_parallel=true,zero_stage=3,recompute=full", .gpt),
    ("pipeline=2,data=3,zero_stage=3", .llama),
    ("data=4,zero_stage=3,weight_shards=2,gradient_shards=2,optimizer_shards=2", .llama),
    ("data=8,zero_stage=3,weight_shards=2,gradient_shards=4,optimizer_shards=8", .llama),
  ]

  /// The first loss is that of weights that are cast after they are gathered, to the bit, and less is sent.
  private static func check(_ pattern: String, _ family: ModelDescription.Family, _ precision: Precision) throws {
    let run = try Self.run(Self.plan(pattern, precision, family))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    let wide = try Self.run(Self.plan(pattern, precision, family, isNarrow: false))
    #expect(wide.disagreements.isEmpty, "\(wide.disagreements)")
    #expect(run.steps[0].loss.executed == wide.steps[0].loss.executed)
    for (one, other) in zip(run.steps, wide.steps) {
      #expect(abs(one.loss.executed / other.loss.executed - 1) < 1e-3)
    }
    #expect(bytes(run) < bytes(wide))
    #expect(run.memory == wide.memory)
  }

  @Test(arguments: layouts, precisions)
  func gathersOfWholeWeightsHold(
    layout: (pattern: String, family: ModelDescription.Family), precision: Precision
  ) throws {
    try Self.check(layout.pattern, layout.family, precision)
  }

  @Test(arguments: divided, [Precision.fp8Delayed, .fp8Current])
  func gathersOfDividedWeightsHold(
    layout: (pattern: String, family: ModelDescription.Family), precision: Precision
  ) throws {
    try Self.check(layout.pattern, layout.family, precision)
  }

  /// A table that two stages hold, and a part that one rank has alone.
  @Test(arguments: precisions)
  func whatIsNotGatheredHolds(precision: Precision) throws {
    for (pattern, isTied) in [
      ("pipeline=2,data=2,zero_stage=1", true), ("tensor=2,pipeline=2", false), ("tensor=2,pipeline=2", true),
    ] {
      let run = try Self.run(Self.plan(pattern, precision, .gpt, isTied: isTied))
      #expect(run.disagreements.isEmpty, "\(pattern): \(run.disagreements)")
    }
  }

  /// After an update every rank holds, to the bit, what one that has all master weights makes of them: in products they are rounded at
  /// once, and to nothing in between.
  @Test(arguments: precisions, [Precision.fp32, .bf16])
  func whatLiesOnRanksIsTheCastOfMasterWeights(precision: Precision, arithmetic: Precision) throws {
    for pattern in [
      "data=3,zero_stage=1", "data=4,zero_stage=2", "data=4,zero_stage=2,gradient_shards=2,optimizer_shards=4",
    ] {
      let miniature = try Miniature(of: Self.plan(pattern, precision), rankLimit: 8)
      var setting = ExecutionSetting(
        shape: miniature.shape, optimizer: OptimizerSettings(rule: .sgd, learningRate: 0.1, clippingNorm: nil), seed: 1,
        arithmetic: arithmetic)
      setting.casting = miniature.casting(seed: 1)
      var run = MiniatureRun(setting: setting, programs: miniature.shape.programs(), usesThreads: false)
      try run.iterate()
      let masters = run.parameters.values, casting = try #require(setting.casting).withHistory()
      var wrong = 0, differing = 0
      for part in run.ranks[0].machine.state.parts where part.layout.hasNarrowTensors {
        let layout = part.layout, all = try #require(masters[layout.part])
        _ = casting.weights(layout.initialValues(seed: 1), layout, step: 0)
        casting.history.map { $0.endIteration($0.seen) }
        let cast = casting.weights(all, layout, step: 1).forward
        let rounded = casting.weights(all.map(Precision.bf16.rounded), layout, step: 1).forward
        for tensor in layout.tensors {
          for element in tensor.range {
            let expected = tensor.name.isOfLinearLayer ? cast[element] : arithmetic.rounded(all[element])
            wrong += run.ranks.count {
              $0.machine.state.parts[$0.machine.state.index(of: layout.part)].weights[element] != expected
            }
            if tensor.name.isOfLinearLayer, cast[element] != rounded[element] { differing += 1 }
          }
        }
      }
      #expect(wrong == 0, "\(pattern)")
      #expect(differing > 0, "weights of bf16 would be cast to the same")
    }
  }

  @Test(
    arguments: [
      "data=4,expert=4,zero_stage=1", "data=4,expert=2,zero_stage=2", "data=4,expert=2,expert_tensor=2,zero_stage=1",
      "tensor=2,data=4,sequence_parallel=true,expert=4,zero_stage=1",
      "pipeline=2,data=2,expert=2,virtual_stages=4,moe_overlap=true,zero_stage=1", "data=4,expert=2,zero_stage=3",
    ], precisions)
  func mixturesHold(pattern: String, precision: Precision) throws {
    guard precision != .nvfp4 || !pattern.contains("zero_stage=3") else { return }
    for kind in [SmallModels.ExpertKind.grouped, .gated, .latent] {
      let run = try Self.run(
        SmallPlans.expertPlan(pattern + ",narrow_weights=true", kind, precision: precision), steps: 2)
      #expect(run.disagreements.isEmpty, "\(kind): \(run.disagreements)")
    }
  }

  /// Hosts that take half of the updates.
  @Test(arguments: precisions)
  func updatesOfHostsHold(precision: Precision) throws {
    for pattern in ["data=4,zero_stage=1", "data=3,zero_stage=2"] {
      let plan = try Self.plan(pattern, precision)
      let cluster = try ClusterDescription(
        name: "hosts", device: plan.cluster.device, nodeNames: plan.cluster.nodeNames,
        devicesPerNode: plan.cluster.devicesPerNode, levels: plan.cluster.levels,
        host: ClusterDescription.Host(memoryBytes: 1_000_000_000_000, bytesPerSecond: 30e9))
      let hosted = Plan(
        stating: plan.strategy.with(\.hosting, Hosting(updatePercent: 50)), split: plan.split,
        on: try CostModel(cluster: cluster, job: plan.job))
      let run = try Self.run(hosted), whole = try Self.run(plan)
      #expect(run.disagreements.isEmpty, "\(pattern): \(run.disagreements)")
      #expect(run.steps == whole.steps)
    }
  }

  /// Threads change nothing; where what is kept is rounded as well, weights are cast from what is not, in ranks and reference.
  @Test(arguments: precisions)
  func threadsAndRoundedArithmeticHold(precision: Precision) throws {
    let plan = try Self.plan("tensor=2,data=2,pipeline=2,sequence_parallel=true,zero_stage=1", precision)
    let turns = try Self.run(plan), threads = try Self.run(plan) { $0.usesThreads = true }
    #expect(turns.steps == threads.steps)
    let emulated = try Self.run(plan) { $0.emulatesPrecision = true }
    #expect(emulated.disagreements.isEmpty, "\(emulated.disagreements)")
  }

  @Test func randomPlansHold() throws {
    try NarrowDryRunTests.checkRandomPlans(20, of: Self.precisions, seed: 31, adding: ",narrow_weights=true")
  }

  // MARK: What is sent

  /// Bytes by hand of two replicas: of each half, a byte of every weight of a product, or half of one, and two of everything
  /// else; two replicas that gather nothing narrow send each other two bytes of everything.
  @Test(arguments: precisions)
  func bytesAreThoseOfTheFormat(precision: Precision) throws {
    func miniature(_ isNarrow: Bool) throws -> Miniature {
      try Miniature(of: Self.plan("data=2,zero_stage=1", precision, isNarrow: isNarrow), rankLimit: 8)
    }
    let narrow = try miniature(true)
    #expect(narrow.gatheredFormat == precision.products)
    let layers = (0..<narrow.split.layerCount).map { ModelPart.layer($0) }
    let products = layers.reduce(0) { $0 + narrow.shape.productParameterCount(of: $1) }
    let all = narrow.shape.parameters(ofStage: 0).count
    #expect(products % 4 == 0 && all % 2 == 0 && products > all / 2)
    let saved = precision == .nvfp4 ? products * 3 / 2 : products
    let one = try DryRun(narrow), other = try DryRun(miniature(false))
    #expect(Self.bytes(other) - Self.bytes(one) == saved)
  }

  /// Weights of layers that multiply as they are stored are gathered so beside the others, by every update and in every shard.
  @Test(
    arguments: [
      "data=2,zero_stage=1", "data=3,zero_stage=2", "tensor=2,data=2,sequence_parallel=true,zero_stage=1",
      "pipeline=2,data=3,virtual_stages=2,zero_stage=1",
    ], precisions)
  func layersThatAreNotCastAreGatheredAsStored(pattern: String, precision: Precision) throws {
    func plan(_ layers: WideLayers) throws -> Plan {
      try SmallPlans.plan(
        pattern + ",narrow_weights=true", .llama, isTied: false, deviceCount: SmallPlans.worldSize(of: pattern),
        precision: precision, wideLayers: layers)
    }
    let run = try Self.run(plan(WideLayers(first: 1, last: 1)))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    #expect(try Self.bytes(run) > Self.bytes(Self.run(plan(.none))))
  }

  @Test(arguments: ["data=4,expert=4,zero_stage=1", "tensor=2,data=2,sequence_parallel=true,expert=2,zero_stage=1"])
  func expertsThatAreNotCastAreGatheredAsStored(pattern: String) throws {
    let plan = try SmallPlans.expertPlan(
      pattern + ",narrow_weights=true", .gated, precision: .fp8Current, wideLayers: WideLayers(first: 1, last: 1))
    let run = try Self.run(plan, steps: 2)
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  /// The largest numbers that replicas tell each other are a few bytes a tensor, or a block; nothing of them is counted.
  @Test func largestNumbersAreCountedApart() throws {
    for (precision, perLayer) in [(Precision.fp8Current, 7), (.fp8Delayed, 7)] {
      let miniature = try Miniature(of: Self.plan("data=3,zero_stage=1", precision), rankLimit: 8)
      var setting = ExecutionSetting(
        shape: miniature.shape, optimizer: OptimizerSettings(rule: .sgd, clippingNorm: nil), seed: 1, arithmetic: .fp32)
      setting.casting = miniature.casting(seed: 1)
      var run = MiniatureRun(setting: setting, programs: miniature.shape.programs(), usesThreads: false)
      try run.iterate()
      // To each of two others, once an iteration.
      for rank in run.ranks {
        #expect(rank.machine.toldBytes == 2 * 4 * perLayer * miniature.split.layerCount)
      }
    }
  }

  /// MXFP8 is gathered as it is stored, and cast afterwards.
  @Test func whatIsNotGatheredNarrowIsNotSentNarrow() throws {
    let narrow = try Self.run(Self.plan("data=2,zero_stage=1", .mxfp8))
    let wide = try Self.run(Self.plan("data=2,zero_stage=1", .mxfp8, isNarrow: false))
    #expect(narrow.disagreements.isEmpty && narrow.traffic == wide.traffic && narrow.steps == wide.steps)
    #expect(try Miniature(of: Self.plan("data=2,zero_stage=1", .mxfp8), rankLimit: 8).gatheredFormat == nil)
  }

  // MARK: Mutations

  static let mutated = ["data=4,zero_stage=1", "data=3,zero_stage=2", "tensor=2,data=2,zero_stage=1"]

  private static func isSeen(_ run: DryRun) -> Bool {
    run.disagreements.contains {
      $0.contains("differs from the serial reference's") || $0.contains("multiply by different weights")
    }
  }

  /// A rank that casts its shard by the largest number of that alone, and not of the whole weight.
  @Test(arguments: mutated + ["data=3,zero_stage=3"], precisions)
  func aShardsOwnLargestNumberIsSeen(pattern: String, precision: Precision) throws {
    guard precision != .nvfp4 || !pattern.contains("zero_stage=3") else { return }
    let plan = try Self.plan(pattern, precision)
    for rank in [0, 2] {
      let run = try Self.run(
        plan,
        castingOfRank: [
          rank: {
            var casting = $0
            casting?.sharesLargest = false
            return casting
          }
        ])
      #expect(Self.isSeen(run), "rank \(rank): \(run.disagreements)")
    }
  }

  /// Ranks that all add their shards as they were before the update; and one alone, which has nothing to tell the others of it.
  @Test(arguments: mutated, precisions)
  func staleShardsAreSeen(pattern: String, precision: Precision) throws {
    let plan = try Self.plan(pattern, precision)
    let run = try Self.run(
      plan,
      programs: { programs in
        for rank in programs.indices {
          let isFound = programs.updatesAfterGathers(rank: rank)
          #expect(isFound)
        }
      })
    #expect(Self.isSeen(run), "\(run.disagreements)")
    #expect(throws: DryRun.Failure.self) {
      try Self.run(plan, programs: { _ = $0.updatesAfterGathers(rank: 1) })
    }
  }
}

extension [RankProgram] {
  /// Puts a rank's update behind all that it does.
  fileprivate mutating func updatesAfterGathers(rank: Int) -> Bool {
    guard let index = self[rank].steps.firstIndex(where: { $0.isCompute(.updateParameters) }) else { return false }
    let update = self[rank].steps[index]
    self[rank].remove(index)
    let last = self[rank].steps.count - 1
    self[rank].steps.append(
      ProgramStep(stream: update.stream, operation: update.operation, waitsFor: last >= 0 ? [last] : []))
    return true
  }
}
