import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Whole miniatures through the whole verdict: numbers, bytes sent, bytes held, bubble.
@Suite struct DryRunTests {
  /// Every combination of small degrees with everything that changes what is computed, sent or kept.
  @Test(arguments: SmallPlans.degrees)
  func everyCombinationOfSmallDegreesHolds(degrees: SmallPlans.Degrees) throws {
    // Families and tied embeddings take turns, so that each meets each degree, and most choices.
    let models: [(ModelDescription.Family, Bool)] = [(.gpt, true), (.llama, false), (.llama, true), (.gpt, false)]
    for (index, choice) in SmallPlans.choices(degrees).enumerated() {
      let (family, isTied) = models[(index + degrees.worldSize + degrees.chunks) % models.count]
      let pattern = "\(degrees.pattern),\(choice)"
      let plan = try SmallPlans.plan(
        pattern, family, isTied: isTied, deviceCount: degrees.worldSize, layers: degrees.layers)
      let miniature = try Miniature(of: plan, rankLimit: 64)
      guard miniature.unsupported() == nil else { continue }
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1))
      #expect(run.disagreements.isEmpty, "\(pattern) \(family) tied \(isTied)")
    }
  }

  /// Groups of three on two stages; of five on three or four, once and twice.
  @Test(arguments: [
    ("pipeline=2,virtual_stages=2", 2, 3), ("pipeline=3,virtual_stages=2", 3, 5), ("pipeline=3,virtual_stages=3", 3, 8),
    ("tensor=2,pipeline=4,virtual_stages=2,sequence_parallel=true,recompute=full", 8, 10),
    ("pipeline=4,virtual_stages=2,data=2,zero_stage=1", 8, 5),
  ])
  func microBatchesThatAreNoMultipleOfTheStagesAreInterleaved(
    pattern: String, deviceCount: Int, microBatchCount: Int
  ) throws {
    let data = pattern.contains("data=2") ? 2 : 1,
      stages = pattern.contains("=3,") ? 3 : pattern.contains("=4,") ? 4 : 2
    let plan = try statedPlan(
      pattern + ",micro_batch=1", cluster: Shipped.smallCluster(deviceCount),
      model: SmallPlans.model(.gpt, isTied: true, layers: stages * 6), globalBatch: data * microBatchCount,
      sequenceLength: 64)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1))
    #expect(miniature.shape.schedule.microBatchCount % stages != 0)
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    #expect(run.bubble.executedPasses == 2 * (stages - 1))
  }

  /// The first stage recomputes some of its layers and keeps its optimizer states on the host, the last does neither.
  @Test(arguments: [
    "tensor=2,pipeline=2", "tensor=2,pipeline=2,virtual_stages=2,data=2,zero_stage=1,sequence_parallel=true",
  ])
  func stagesDoWhatEachHasChosen(pattern: String) throws {
    let choices = [
      StageChoice(recomputedLayerCount: 1, offloadsOptimizer: true), StageChoice(recomputedLayerCount: 0),
    ]
    let plan = try SmallPlans.plan(
      pattern + ",recompute=full", .gpt, isTied: true, deviceCount: pattern.contains("data") ? 8 : 4,
      stageChoices: choices)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    #expect(miniature.split.choices == choices)
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2))
    #expect(run.disagreements.isEmpty)
    func bytes(_ kind: String, stage: Int) -> Int? {
      run.memory.first { $0.kind == kind && $0.stage == stage }?.executedBytes
    }
    #expect(bytes("offloaded", stage: 0) == bytes("optimizer", stage: 0))
    #expect(bytes("offloaded", stage: 1) == nil)
    // The same plan whose stages do not choose recomputes every layer and keeps less of each.
    let all = try Miniature(
      of: SmallPlans.plan(
        pattern + ",recompute=full", .gpt, isTied: true, deviceCount: pattern.contains("data") ? 8 : 4), rankLimit: 64)
    let uniform = try DryRun(all, options: DryRun.Options(stepCount: 2))
    #expect(
      uniform.memory.first { $0.kind == "activations" && $0.stage == 1 }!.executedBytes < bytes(
        "activations", stage: 1)!)
    #expect(uniform.steps.last?.loss.executed == run.steps.last?.loss.executed, "recomputing changes no number")
  }

  /// ZeRO 2 and 3 divide a matrix differently on the two stages that share it.
  @Test func whatIsNotExecutedIsSaid() throws {
    let plan = try SmallPlans.plan("pipeline=2,data=2,zero_stage=2", .gpt, isTied: true, deviceCount: 4)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    #expect(miniature.unsupported()?.contains("ZeRO 2 with tied embeddings") == true)
    #expect(throws: DryRun.Failure.self) { try DryRun(miniature) }
  }

  @Test(arguments: ["tensor=2,data=2,pipeline=2", "tensor=2,pipeline=2,virtual_stages=2,data=2,sequence_parallel=true"])
  func gradientsDescendAndPrecisionIsEmulated(pattern: String) throws {
    let plan = try SmallPlans.plan(pattern, .llama, isTied: false, deviceCount: 8)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    for emulates in [false, true] {
      for optimizer in DryRun.Options.Optimizer.allCases {
        let run = try DryRun(
          miniature, options: DryRun.Options(stepCount: 4, optimizer: optimizer, emulatesPrecision: emulates))
        #expect(run.disagreements.isEmpty, "emulates \(emulates), \(optimizer)")
        let worst = run.steps.map(\.parameterError).max() ?? 1
        if !emulates, optimizer == .sgd { #expect(worst < 1e-4) }
        // Rounding to bf16 is really done: fp32 is never this far away.
        if emulates { #expect(worst > 1e-4) }
      }
    }
  }

  /// The plan's own sizes that fit are kept, and every cluster's levels are counted apart.
  @Test(arguments: [
    ("dgx-a100-1", "gpt2"), ("dgx-a100-1", "llama-2-7b"), ("dgx-h100-1", "qwen2-7b"), ("frontier-16", "qwen3-8b"),
  ])
  func shippedClustersAndModelsHold(cluster: String, model: String) throws {
    let devices = try Shipped.catalog.cluster(cluster).deviceCount
    let pattern = "tensor=2,pipeline=2,data=\(devices / 4),zero_stage=1"
    let plan = try statedPlan(pattern, cluster: cluster, model: model, globalBatch: 4 * devices, sequenceLength: 1024)
    let run = try DryRun(Miniature(of: plan, rankLimit: 16), options: DryRun.Options(stepCount: 1))
    #expect(run.disagreements.isEmpty)
    #expect(run.traffic.contains { $0.executedBytes > 0 })
  }

  /// Random plans from the whole lattice of small strategies; none may be refused.
  @Test func noneOfTwoHundredRandomPlansIsRefused() throws {
    var random = SeededGenerator(seed: 7)
    var count = 0
    while count < 200 {
      let (pattern, family, isTied, layerCounts, degrees) = SmallPlans.random(&random)
      guard
        let plan = try? SmallPlans.plan(
          pattern, family, isTied: isTied, deviceCount: degrees.worldSize, layers: degrees.layers,
          layerCounts: layerCounts),
        let miniature = try? Miniature(of: plan, rankLimit: 16), miniature.unsupported() == nil
      else { continue }
      count += 1
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1))
      #expect(run.disagreements.isEmpty, "\(pattern) \(family) tied \(isTied) \(layerCounts ?? [])")
    }
  }
}
