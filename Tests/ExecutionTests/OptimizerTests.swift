import Costing
import Documents
import Testing
import Training

@testable import Execution

@Suite struct OptimizerTests {
  @Test func adamByHand() {
    let settings = OptimizerSettings(rule: .adam(), learningRate: 0.01, clippingNorm: nil)
    var state = OptimizerState(masters: [1, -2], settings: settings)
    state.update(gradient: [0.5, 0], scale: 1, step: 0, settings: settings)
    // The first step is of length η whatever the gradient: ĝ/(√ĝ² + ε), 0.5 / 0.50001.
    #expect(abs(state.masters[0] - (1 - 0.01 * 0.5 / 0.50001)) < 1e-7)
    #expect(state.masters[1] == -2)
    state.update(gradient: [-1, 0], scale: 0.5, step: 1, settings: settings)
    // m = 0.9·0.05 − 0.1·0.5 = −0.005, over 1 − 0.81; v = 0.999·0.00025 + 0.001·0.25 = 0.00049975, over 1 − 0.998001.
    let first = -0.005 / 0.19, second = (0.00049975 / 0.001999).squareRoot()
    #expect(abs(Double(state.masters[0]) - (1 - 0.01 * 0.5 / 0.50001 - 0.01 * first / (second + 1e-5))) < 1e-6)
  }

  @Test func descentByHand() {
    let settings = OptimizerSettings(rule: .sgd, learningRate: 0.25, clippingNorm: 1)
    var state = OptimizerState(masters: [1, -2], settings: settings)
    state.update(gradient: [4, -8], scale: 0.5, step: 0, settings: settings)
    #expect(state.masters == [0.5, -1])
    #expect(state.firstMoments.isEmpty)
  }

  @Test func shardsOfARangeGiveTheBitsOfTheWhole() {
    for rule in [OptimizerSettings.Rule.sgd, .adam()] {
      let settings = OptimizerSettings(rule: rule, learningRate: 0.1)
      let masters = (0..<37).map { Float($0) * 0.37 - 5 }
      var whole = OptimizerState(masters: masters, settings: settings)
      let ranges = [0..<5, 5..<6, 6..<30, 30..<37]
      var shards = ranges.map { OptimizerState(masters: Array(masters[$0]), settings: settings) }
      for step in 0..<3 {
        let gradient = masters.indices.map { Float(($0 * 7 + step * 3) % 11) * 0.1 - 0.5 }
        whole.update(gradient: gradient[...], scale: 0.7, step: step, settings: settings)
        for (index, range) in ranges.enumerated() {
          shards[index].update(gradient: gradient[range], scale: 0.7, step: step, settings: settings)
        }
      }
      #expect(shards.flatMap(\.masters) == whole.masters)
    }
  }

  @Test func clippingScalesToTheLimit() {
    #expect(OptimizerState.clippingScale(norm: 0.5, settings: .init(clippingNorm: 1)) == 1)
    #expect(abs(OptimizerState.clippingScale(norm: 4, settings: .init(clippingNorm: 1)) - 0.25) < 1e-6)
    #expect(OptimizerState.clippingScale(norm: 4, settings: .init(clippingNorm: nil)) == 1)
  }

  /// Over the ranks of a group and any shards of their buffers, each parameter counts once.
  @Test func everyParameterCountsOnceInTheNorm() throws {
    let model = try SmallModels.gpt()
    let squares = { (degree: Int, shardCount: Int) in
      (0..<degree).reduce(0.0) { sum, index in
        let shard = ModelShard(
          model: model, sequenceLength: 8, tensorDegree: degree, tensorIndex: index, paddedVocabularySize: 16, seed: 1)
        let layout = ParameterLayout(.layer(0), shard: shard)
        let values = layout.initialValues(seed: 3)
        let size = (layout.count + shardCount - 1) / shardCount
        return stride(from: 0, to: layout.count, by: size).reduce(sum) {
          let range = $1..<min($1 + size, layout.count)
          return $0 + layout.sumOfSquares(gradient: values[range], range: range)
        }
      }
    }
    let whole = squares(1, 1)
    for (degree, shardCount) in [(2, 1), (4, 1), (1, 5), (2, 7), (4, 3)] {
      #expect(abs(squares(degree, shardCount) - whole) < 1e-12 * whole)
    }
  }
}

/// Plans trained by their own optimizers.
@Suite struct PlannedOptimizerTests {
  private static func plan(
    _ pattern: String, _ optimizer: Documents.Optimizer, hosting: Hosting = .none
  ) throws -> Plan {
    let plan = try SmallPlans.plan(pattern, .llama, isTied: false, deviceCount: 4)
    let host = ClusterDescription.Host(memoryBytes: 1_000_000_000_000, bytesPerSecond: 30e9)
    let cluster = try ClusterDescription(
      name: "hosts", device: plan.cluster.device, nodeNames: plan.cluster.nodeNames,
      devicesPerNode: plan.cluster.devicesPerNode, levels: plan.cluster.levels, host: host)
    let model = try CostModel(cluster: cluster, job: plan.job.with(optimizer))
    return Plan(stating: plan.strategy.with(\.hosting, hosting), split: plan.split, on: model)
  }

  @Test(arguments: ["data=4", "data=4,zero_stage=1", "data=2,tensor=2,zero_stage=2", "data=2,pipeline=2,zero_stage=1"])
  func momentsOfAnyFormatAgreeWithTheReference(pattern: String) throws {
    for optimizer in [
      Documents.Optimizer(.momentum), Documents.Optimizer(.sgd), Documents.Optimizer(moments: .bf16),
      Documents.Optimizer(moments: .bf16, masterWeights: .none), Documents.Optimizer(masterWeights: .remainders),
    ] {
      for emulates in [false, true] {
        let run = try DryRun(
          try Miniature(of: Self.plan(pattern, optimizer), rankLimit: 8),
          options: DryRun.Options(stepCount: 3, emulatesPrecision: emulates))
        #expect(run.disagreements.isEmpty, "\(optimizer.words), emulates \(emulates): \(run.disagreements)")
        #expect(run.optimizer == optimizer)
      }
    }
  }

  @Test func statesWithoutMastersAreFewerBytes() throws {
    func bytes(_ optimizer: Documents.Optimizer) throws -> Int {
      let run = try DryRun(
        try Miniature(of: Self.plan("data=4,zero_stage=1", optimizer), rankLimit: 8),
        options: DryRun.Options(stepCount: 1))
      return try #require(run.memory.first { $0.kind == "optimizer" }).executedBytes
    }
    #expect(try bytes(.adam) == 3 * bytes(Documents.Optimizer(moments: .bf16, masterWeights: .none)))
  }

  @Test(arguments: [("zero_stage=1", 50), ("zero_stage=2", 100), ("zero_stage=3", 25)])
  func anUpdateOnTheHostChangesNoNumber(pattern: String, percent: Int) throws {
    func run(_ hosting: Hosting) throws -> DryRun {
      try DryRun(
        try Miniature(of: Self.plan("data=4,\(pattern)", .adam, hosting: hosting), rankLimit: 8),
        options: DryRun.Options(stepCount: 2))
    }
    let hosted = try run(Hosting(updatePercent: percent)), whole = try run(.none)
    #expect(hosted.disagreements.isEmpty, "\(hosted.disagreements)")
    #expect(hosted.steps == whole.steps)
    #expect(hosted.memory.contains { $0.kind == "offloaded" && $0.executedBytes > 0 })
  }

  @Test func whatIsNotExecutedIsSaid() throws {
    for (optimizer, hosting, words) in [
      (Documents.Optimizer(.muon), Hosting.none, "muon"),
      (Documents.Optimizer(moments: .int8), .none, "8-bit"),
      (.adam, Hosting(holdsWeights: true), "weights on the host"),
    ] {
      let miniature = try Miniature(of: Self.plan("data=4,zero_stage=3", optimizer, hosting: hosting), rankLimit: 8)
      #expect(miniature.unsupported()?.contains(words) == true)
      #expect(throws: DryRun.Failure.self) { try DryRun(miniature) }
    }
    // Another optimizer can be asked for.
    let muon = try Miniature(of: Self.plan("data=4", Documents.Optimizer(.muon)), rankLimit: 8)
    #expect(try DryRun(muon, options: DryRun.Options(stepCount: 1, optimizer: .adam)).disagreements.isEmpty)
  }
}
