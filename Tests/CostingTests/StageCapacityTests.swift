import Documents
import TestSupport
import Testing

@testable import Costing

/// What stages can hold, seen from a few of them.
@Suite struct StageCapacityTests {
  /// Models, and devices on which some of their strategies fit and some do not.
  static let questions = [
    ("deepseek-v3", "dgx-h100-32"), ("qwen3-30b-a3b", "dgx-h100-4"), ("llama-3-70b", "dgx-a100-4"),
  ]

  /// Whether a strategy fits, and how much of it, is told by a few stages where none between the ends holds less than the one
  /// before it: each stage by itself says the same, with whole and interleaved schedules, stages that choose, and chunks that
  /// differ.
  @Test(arguments: questions) func aFewStagesSayWhatAllDo(model: String, cluster: String) throws {
    let job = try TrainingJob(model: Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: 512)
    let costs = try CostModel(cluster: Shipped.catalog.cluster(cluster), job: job, frameworkName: "megatron-lm")
    let experts = job.model.experts != nil
    var fitting = 0, unfit = 0
    for (t, p, v) in [
      (1, 4, 1), (2, 4, 1), (4, 8, 1), (8, 4, 1), (1, 16, 1), (2, 8, 2), (4, 4, 4), (2, 16, 2), (1, 16, 2), (8, 2, 2),
    ] {
      for (b, recompute) in [(1, "none"), (1, "full"), (4, "none"), (4, "full"), (16, "none"), (16, "full")] {
        for overlaps in experts && recompute == "none" && v > 1 ? [false, true] : [false] {
          let pattern = try StrategyPattern(
            text: """
              tensor=\(t),pipeline=\(p),virtual_stages=\(v),micro_batch=\(b),zero_stage=1,recompute=\(recompute),\
              sequence_parallel=\(t > 1)\(experts ? ",expert=8,moe_overlap=\(overlaps)" : "")
              """, source: "test")
          let strategy = pattern.completed(
            deviceCount: costs.deviceCount, flashAttention: true, overlap: costs.framework.overlapsGradientReduce)
          if strategy.violation(job: job, deviceCount: costs.deviceCount, hasFlashAttention: true) != nil { continue }
          let cost = costs.cost(of: strategy)
          for freedom in [
            StageFreedom.none, StageFreedom(choosesRecomputation: recompute == "full", choosesOffload: false),
          ] {
            for limit in [MemoryLimit(.fits), MemoryLimit(.risky)] {
              let each = (0..<p).map { stage in
                cost[stage].memory.layerCapacity(
                  stage: stage, limitBytes: cost[stage].memory.limitBytes(limit), cost.kinds, freedom: freedom)
              }
              let expected = each.contains(0) || each.reduce(0, +) < cost.layerCount ? nil : each
              #expect(cost.memory.layerCapacities(within: limit, freedom: freedom) == expected, "\(strategy.text)")
              if expected == nil { unfit += 1 } else { fitting += 1 }
              var known: StageCapacities?
              let kept = (0..<p).map { stage in
                cost[stage].memory.keptLayerCapacity(
                  stage: stage, limitBytes: cost[stage].memory.limitBytes(limit), cost.kinds,
                  layerCount: cost.layerCount - (p - 1), offloadsOptimizer: false)
              }
              #expect(
                cost.memory.keptLayerCount(
                  upTo: cost.layerCount, within: limit, layerCount: cost.layerCount - (p - 1),
                  offloadsOptimizer: false, known: &known) == min(cost.layerCount, kept.reduce(0, +)),
                "\(strategy.text)")
            }
            var known: StageCapacities?
            let holds = [Prediction.Verdict.fits, .risky].map {
              cost.memory.layerCapacities(within: MemoryLimit($0), freedom: freedom) != nil
            }
            #expect(
              cost.memory.bestVerdict(noBetterThan: .fits, freedom: freedom, known: &known)
                == (holds[0] ? .fits : holds[1] ? .risky : nil), "\(strategy.text)")
            #expect(
              cost.memory.bestVerdict(noBetterThan: .risky, freedom: freedom, known: &known)
                == (holds[1] ? .risky : nil), "\(strategy.text)")
          }
        }
      }
    }
    #expect(fitting > 5 && unfit > 5, "\(fitting), \(unfit)")
  }

  /// Layers of the kind that a stage has most of come first in one of two orders; which of these is looked at first changes
  /// nothing.
  @Test func aStageHoldsTheMostOfEitherOrderOfKinds() throws {
    let job = try TrainingJob(
      model: Shipped.catalog.model("deepseek-v3"), sequenceLength: 4_096, globalBatch: 512)
    let costs = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-h100-32"), job: job, frameworkName: "megatron-lm")
    let pattern = try StrategyPattern(
      text: "tensor=1,pipeline=16,micro_batch=1,zero_stage=1,expert=16", source: "test")
    let cost = costs.cost(
      of: pattern.completed(deviceCount: costs.deviceCount, flashAttention: true, overlap: true))
    let memory = cost[3].memory
    for gigabytes in stride(from: 8, through: 160, by: 4) {
      let limit = gigabytes * 1_000_000_000
      func most(_ stage: Int) -> Int {
        (1...cost.layerCount - 15).last { count in
          memory.extremes(of: cost.kinds).contains {
            memory.stageMemory(stage: stage, $0.first(count).content(nil)).peakBytes <= limit
          }
        } ?? 0
      }
      for stage in [0, 3, 15] {
        #expect(
          memory.layerCapacity(stage: stage, limitBytes: limit, cost.kinds, freedom: .none) == most(stage),
          "\(gigabytes) GB on stage \(stage)")
      }
    }
  }
}
