import Costing
import Documents
import Search
import TestSupport
import Testing

@Suite("The search finds the best")
struct OptimalityTests {
  @Test("The optimum equals brute force over the lattice and all splits, and so do the next best")
  func equalsBruteForce() throws {
    var solved = 0, infeasible = 0
    for seed in UInt64(1)...60 {
      let problem = try RandomProblem(seed: seed)
      let result = PlanSearch(model: problem.model, options: .init(resultCount: 4)).run()
      let truth = BruteForce(problem.model)
      #expect(result.certificate.memoryRejectedCount == truth.unfitCount, "\(problem.description)")
      #expect(result.best.count == min(4, truth.scores.count), "\(problem.description)")
      for (found, best) in zip(result.best, truth.scores) {
        #expect(abs(found.scoreSeconds - best) <= 1e-9 * best, "\(problem.description): \(found.strategy.text)")
      }
      #expect(result.certificate.ending == .exhausted, "\(problem.description)")
      #expect(result.certificate.gap <= 1e-9 || result.best.isEmpty, "\(problem.description)")
      if result.best.isEmpty { infeasible += 1 } else { solved += 1 }
    }
    // The problems are worth solving: some bind, most have an answer.
    #expect(solved >= 30)
    #expect(infeasible >= 1)
  }

  @Test("With experts in some layers, the optimum is that of every grid of experts, every way of tokens, every split")
  func expertOptimaEqualBruteForce() throws {
    var solved = 0, mixed = 0, divided = 0, seed = UInt64(900)
    while solved < 40 {
      seed += 1
      let problem = try RandomProblem(seed: seed, hasExperts: true), model = problem.model
      guard model.cluster.deviceCount <= 8, model.job.model.layerCount <= 6 else { continue }
      let divisions = [1, 2, 4, 8].flatMap { expert in
        [1, 2, 4, 8].flatMap { tensor in
          [Strategy.Dispatcher.allToAll, .deepEP].flatMap { dispatcher in
            [false, true].map {
              Strategy.ExpertDivision(
                expertDegree: expert, tensorDegree: tensor, dispatcher: dispatcher, overlaps: $0)
            }
          }
        }
      }
      // What the search leaves out: widths divided otherwise than other matrices, and several names for no way at all.
      let truth = BruteForce(model, experts: divisions) {
        [1, $0.tensorDegree].contains($0.expertTensorDegree) && ($0.expertDegree > 1 || $0.dispatcher == .allToAll)
      }
      let result = PlanSearch(model: model).run()
      #expect((result.best.first == nil) == truth.scores.isEmpty, "\(problem.description)")
      guard let found = result.best.first, let best = truth.scores.first else { continue }
      #expect(
        abs(found.scoreSeconds - best) <= 1e-9 * best,
        "seed \(seed), \(problem.description): \(found.strategy.text), \(best)")
      #expect(result.certificate.ending == .exhausted)
      solved += 1
      if model.job.model.denseLayerCount > 0 { mixed += 1 }
      if found.strategy.expertDegree > 1 { divided += 1 }
    }
    #expect(mixed >= 10 && divided >= 10, "\(mixed), \(divided)")
  }

  @Test("Where memory binds, the optimum is that of every set of modules that is looked at")
  func moduleOptimaEqualBruteForce() throws {
    var solved = 0, chosen = 0, seed = UInt64(2_000)
    let pattern = try StrategyPattern(
      text: "expert_tensor=1,context=1,virtual_stages=1,moe_overlap=false,moe_dispatcher=alltoall", source: "test")
    let offer = Capabilities.megatronLM
    while solved < 20 {
      seed += 1
      let problem = try RandomProblem(seed: seed, hasExperts: true)
      guard let tight = try TightModules(problem, mostLayers: 5, pattern: pattern, capabilities: offer) else {
        continue
      }
      let model = tight.model, pattern = tight.pattern
      let truth = BruteForce(model, experts: tight.divisions, modules: tight.sets) {
        pattern.matches($0) && offer.refusal(of: $0) == nil && offer.refusal(of: $0, job: model.job) == nil
      }
      let result = PlanSearch(model: model, pattern: pattern, capabilities: offer).run()
      #expect((result.best.first == nil) == truth.scores.isEmpty, "\(problem.description)")
      // The fastest, whether or not a plainer one is as good.
      guard let found = result.fastest ?? result.best.first, let best = truth.scores.first else { continue }
      #expect(
        abs(found.scoreSeconds - best) <= 1e-9 * best,
        "\(problem.description): \(found.strategy.text), \(found.scoreSeconds), \(best)")
      solved += 1
      if found.strategy.recomputesModules { chosen += 1 }
    }
    #expect(chosen >= 1, "\(chosen)")
  }

  @Test("Where nothing fits without the host, the optimum is that of brute force with it")
  func hostedOptimaEqualBruteForce() throws {
    var hosted = 0, infeasible = 0
    for seed in UInt64(1)...80 {
      let problem = try RandomProblem(seed: seed, needsHost: true)
      guard BruteForce(problem.model).scores.isEmpty else { continue }
      let result = PlanSearch(model: problem.model).run()
      // Of what is no better for having more on the host nothing is found.
      let best = BruteForce(problem.model, hostings: BruteForce.hostings).scores.first
      let found = result.best.first?.scoreSeconds
      #expect((found == nil) == (best == nil), "\(problem.description)")
      #expect(abs((found ?? 0) - (best ?? 0)) <= 1e-9 * (best ?? 1), "\(problem.description)")
      if best == nil { infeasible += 1 } else { hosted += 1 }
    }
    #expect(hosted >= 10 && infeasible >= 1, "\(hosted) with a plan, \(infeasible) without")
  }

  @Test("Of sequences that ranks divide, the optimum is that of every degree and exchange")
  func dividedSequencesEqualBruteForce() throws {
    var problems = 0, divided = 0, seed = UInt64(900)
    while problems < 14 {
      seed += 1
      let problem = try RandomProblem(seed: seed), model = problem.model
      guard model.hasFlashAttention, model.cluster.deviceCount <= 8, model.job.model.layerCount <= 4 else { continue }
      problems += 1
      let job = try model.job.with(sequenceLength: 16_384)
      let long = try CostModel(cluster: model.cluster, job: job, frameworkName: model.framework.name)
      let contexts = [1, 2, 4].filter { model.cluster.deviceCount % $0 == 0 }
      let result = PlanSearch(model: long, options: .init(resultCount: 4)).run()
      let truth = BruteForce(long, contexts: contexts)
      // Where nothing fits, hosts are tried as well.
      if truth.scores.isEmpty { continue }
      #expect(result.certificate.memoryRejectedCount == truth.unfitCount, "\(problem.description)")
      #expect(result.best.count == min(4, truth.scores.count), "\(problem.description)")
      for (found, best) in zip(result.best, truth.scores) {
        #expect(abs(found.scoreSeconds - best) <= 1e-9 * best, "\(problem.description): \(found.strategy.text)")
        if found.strategy.contextDegree > 1 { divided += 1 }
      }
    }
    #expect(divided >= 8, "\(divided)")
  }

  @Test("With outer steps of workers, the optimum is that of every division, period, staleness and format")
  func outerOptimaEqualBruteForce() throws {
    var problems = 0, outer = 0, late = 0, seed = UInt64(400)
    while problems < 48 {
      seed += 1
      let problem = try RandomProblem(seed: seed), model = problem.model
      guard model.cluster.nodeCount > 1, model.cluster.deviceCount <= 8, model.job.model.layerCount <= 6 else {
        continue
      }
      problems += 1
      let periods = seed % 2 == 0 ? 2...5 : 1...40, tolerance = seed % 3 == 0 ? 0.1 : nil
      let allowance = Allowance(quantisationTolerance: nil, outerPeriods: periods, outerTolerance: tolerance)
      let result = PlanSearch(model: model, allowance: allowance).run()
      let formats: [OuterStep.Format] = tolerance == nil ? [.fp32] : OuterStep.Format.allCases
      let shorter = [periods.lowerBound, (periods.lowerBound + periods.upperBound) / 2]
      let steps = [0, 1].flatMap { staleness in
        shorter.map { OuterStep(period: $0, staleness: staleness) }
          + formats.map { OuterStep(period: periods.upperBound, staleness: staleness, format: $0) }
      }
      let best = BruteForce(model, outerSteps: steps).scores.first, found = result.best.first
      #expect((found == nil) == (best == nil), "\(problem.description)")
      guard let best, let found else { continue }
      #expect(
        abs(found.scoreSeconds - best) <= 1e-9 * best, "\(problem.description): \(found.strategy.text), \(best)")
      #expect(result.certificate.ending == .exhausted && result.certificate.gap <= 1e-9, "\(problem.description)")
      if found.strategy.update == .outer { outer += 1 }
      if found.strategy.outer.staleness > 0 { late += 1 }
    }
    #expect(outer >= 12 && late >= 4, "\(outer) with workers, \(late) of them late")
  }

  @Test("What is found is what the cost model says of it")
  func scoresAreExact() throws {
    for seed in UInt64(100)...120 {
      let problem = try RandomProblem(seed: seed)
      for completion in PlanSearch(model: problem.model).run().best {
        let prediction = problem.model.prediction(
          of: problem.model.cost(of: completion.strategy), split: completion.split)
        #expect(prediction.iterationSeconds == completion.iterationSeconds, "\(problem.description)")
        #expect(prediction.verdict != .unfit, "\(problem.description)")
        let surcharge = prediction.verdict == .risky ? PlanSearch.headroomSurcharge : 1
        #expect(
          abs(completion.scoreSeconds / prediction.iterationSeconds - surcharge) < 1e-12, "\(problem.description)")
      }
    }
  }

  @Test("Every bound is at most the score of every split")
  func boundsAreAdmissible() throws {
    for seed in UInt64(200)...240 {
      let problem = try RandomProblem(seed: seed)
      Self.expectBoundsAreAdmissible(problem.model, problem.description)
    }
  }

  /// Of every strategy of a model's lattice and every split.
  static func expectBoundsAreAdmissible(_ model: CostModel, _ description: String) {
    var scratch = EvaluationScratch()
    for sample in PlanSearch(model: model).pricingSamples() {
      let cost = model.cost(of: sample.strategy, layout: sample.layout, microBatches: sample.microBatches)
      let chunks = sample.strategy.virtualStageCount, p = sample.strategy.pipelineDegree
      let splits =
        chunks > 1
        ? [Split.even(layerCount: cost.layerCount, stageCount: p, chunkCount: chunks)]
        : BruteForce.compositions(of: cost.layerCount, into: p).map { Split($0) }
      for split in splits {
        let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
        #expect(cost.boundSeconds <= seconds * (1 + 1e-12), "\(description): \(sample.strategy.text) \(split)")
      }
    }
  }

  @Test("Fixed parts stay as they are and nothing else is lost")
  func fixedParts() throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-a100-4"),
      job: TrainingJob(model: Shipped.catalog.model("megatron-22b"), sequenceLength: 2048, globalBatch: 64))
    let free = PlanSearch(model: model).run()
    let winner = try #require(free.best.first)
    var pattern = StrategyPattern()
    pattern.tensorDegree = winner.strategy.tensorDegree
    pattern.recompute = winner.strategy.recompute
    let fixed = PlanSearch(model: model, pattern: pattern).run()
    #expect(fixed.best.first == winner)
    #expect(fixed.certificate.enumeratedCount < free.certificate.enumeratedCount)
    pattern.tensorDegree = winner.strategy.tensorDegree == 1 ? 2 : 1
    let other = try #require(PlanSearch(model: model, pattern: pattern).run().best.first)
    #expect(other.strategy.tensorDegree == pattern.tensorDegree)
    #expect(other.scoreSeconds >= winner.scoreSeconds)
  }
}
