import Costing
import Documents
import TestSupport
import Testing

@testable import Search

/// Splits of many layers, for which most numbers of layers are ruled out by a split that is at hand.
@Suite struct DeepSplitTests {
  /// The same best split, or none, as of all numbers of layers.
  @Test func whatIsRuledOutIsPartOfNoFasterSplit() throws {
    var compared = 0, ruledOut = 0, answered = 0
    for seed in UInt64(1)...40 {
      let problem = try RandomProblem(seed: seed, isMixed: seed % 2 == 0)
      let model = problem.model
      let priced = try PricedLattice.priced([model], pattern: StrategyPattern(), threadCount: 1)[0]
      var scratch = EvaluationScratch()
      for candidate in priced.candidates where candidate.strategy.pipelineDegree > 1 {
        guard !candidate.strategy.hasEqualStages else { continue }
        let cost = priced.cost(of: candidate, model: model)
        func best(_ cutoff: Double, deepSize: Int) throws -> LayerSplitter.BestSplit? {
          try LayerSplitter.bestSplit(
            of: cost, freedom: candidate.freedom, verdict: .risky, cutoffSeconds: cutoff, deepSize: deepSize,
            scratch: &scratch, watch: .never)
        }
        guard let whole = try best(.infinity, deepSize: .max), whole.isExhausted, whole.split != nil else { continue }
        for share in [0.9, 1.001, Double.infinity] {
          let cutoff = whole.iterationSeconds * share
          let deep = try #require(try best(cutoff, deepSize: 0))
          #expect(deep.isExhausted, "\(problem.description): \(candidate.strategy.text)")
          if share < 1 {
            #expect(deep.split == nil && deep.lowerBoundSeconds >= cutoff)
          } else {
            #expect(
              deep.iterationSeconds == whole.iterationSeconds && deep.lowerBoundSeconds <= whole.iterationSeconds,
              "\(problem.description): \(candidate.strategy.text), \(share)")
            answered += 1
          }
          let options = try #require(
            try StageOptions(cost, freedom: candidate.freedom, limit: MemoryLimit(.risky)))
          if let left = options.faster(than: cutoff, cost) {
            if left.capacities != options.capacities { ruledOut += 1 }
          } else {
            ruledOut += 1
          }
          compared += 1
        }
      }
    }
    #expect(compared > 300 && ruledOut > 100 && answered > 200, "\(compared), \(ruledOut), \(answered)")
  }

  /// What bisection finds is what a walk over all numbers of layers does, hosts that are too small among them.
  @Test func whatAStageHoldsIsFoundByHalves() throws {
    var compared = 0, bound = 0
    for seed in UInt64(1)...60 {
      let model = try RandomProblem(seed: seed, needsHost: seed % 2 == 0).model
      let priced = try PricedLattice.priced(
        [model], pattern: StrategyPattern(), allowance: Allowance(quantisationTolerance: nil, zerothOrder: true),
        threadCount: 1)[0]
      let points = priced.candidates.map { ($0.strategy, $0.freedom) } + priced.unfit.map { ($0.strategy, $0.freedom) }
      for (strategy, freedom) in points where freedom != .none && strategy.pipelineDegree > 1 {
        let cost = model.cost(of: strategy)
        guard
          let source = StageOptionSource(cost.memory, freedom: freedom, limit: MemoryLimit(.risky))
        else { continue }
        for stage in 0..<strategy.pipelineDegree {
          let counts = source.layerCounts(stage: stage)
          let most =
            counts.last {
              source.options(
                stage: stage, StageLayers(0..<$0, of: cost.kinds, chunkCount: cost.strategy.virtualStageCount)
              ).0 != nil
            } ?? 0
          let found = try source.capacity(stage: stage, watch: .never)
          #expect(found == most, "\(strategy.text), stage \(stage)")
          compared += 1
          if most < counts.upperBound { bound += 1 }
        }
      }
    }
    #expect(compared > 300 && bound > 10, "\(compared), \(bound)")
  }

  @Test func evenestLayersKeepWhatStagesHold() throws {
    let model = try RandomProblem(seed: 3).model
    let strategy = Strategy(mesh: [.pipeline: 2, .data: model.deviceCount / 2])
    let layerCount = model.job.model.layerCount
    let options = try #require(
      try StageOptions(model.cost(of: strategy), freedom: .none, limit: MemoryLimit(.unfit)))
    let even = try #require(options.evenest).map(\.layers)
    #expect(even.reduce(0, +) == layerCount && abs(even[0] - even[1]) <= 1)
    let uneven = try #require(options.keeping { $0 == 1 || $1.layers == 1 }?.evenest).map(\.layers)
    #expect(uneven == [1, layerCount - 1])
    #expect(options.keeping { $1.layers < layerCount / 2 } == nil)
  }
}
