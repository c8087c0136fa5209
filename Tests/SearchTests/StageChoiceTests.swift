import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

@Suite("Stages choose what they trade for memory")
struct StageChoiceTests {
  private func plan(
    cluster: String, model name: String, batch: Int, sequence: Int = 2048, fix: String? = nil
  ) throws -> Plan? {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster(cluster),
      job: TrainingJob(model: Shipped.catalog.model(name), sequenceLength: sequence, globalBatch: batch))
    let pattern = try fix.map { try StrategyPattern(text: $0, source: "fix") } ?? StrategyPattern()
    return PlanSearch(model: model, pattern: pattern, options: .init(resultCount: 1))
      .plan(toolVersion: "test")
  }

  @Test("The least bottleneck and sum of integer programs bound every split, and their splits keep all limits")
  func programsBoundEverySplit() throws {
    var compared = 0, tight = 0, found = 0
    var scratch = EvaluationScratch()
    for seed in UInt64(1)...200 {
      let problem = try RandomProblem(seed: seed)
      for sample in PlanSearch(model: problem.model).pricingSamples()
      where sample.freedom.choosesOffload && sample.strategy.pipelineDegree > 1
        && sample.strategy.virtualStageCount == 1
      {
        let cost = problem.model.cost(of: sample.strategy, layout: sample.layout, microBatches: sample.microBatches)
        guard let options = try StageOptions(cost, freedom: sample.freedom, limit: MemoryLimit(.fits)),
          options.hasAlternatives
        else { continue }
        // All splits with all options.
        var best = Double.infinity
        for split in BruteForce.compositions(of: cost.layerCount, into: sample.strategy.pipelineDegree) {
          var combinations: [[StageOption]] = [[]]
          for (stage, layers) in split.enumerated() where layers <= options.capacities[stage] {
            let (first, second) = options.options(stage: stage, after: 0, layers: layers)
            combinations = combinations.flatMap { before in [first, second].compactMap { $0 }.map { before + [$0] } }
          }
          for chosen in combinations where chosen.count == split.count && options.hosts.hold(chosen) {
            let seconds = cost.iterationSeconds(
              of: Split(split, choices: chosen.compactMap(\.choice)), scratch: &scratch)
            best = min(best, seconds)
          }
        }
        var answer = Double.infinity
        let program = SplitProgram(cost: cost, options: options)
        let bound = try program.leastSeconds(limitSeconds: .infinity) { chosen in
          #expect(options.hosts.hold(chosen) && chosen.map(\.layers).reduce(0, +) == cost.layerCount)
          let seconds = cost.iterationSeconds(
            of: Split(chosen.map(\.layers), choices: chosen.compactMap(\.choice)), scratch: &scratch)
          answer = min(answer, seconds)
          return answer
        }
        #expect(bound.seconds <= best * (1 + 1e-12), "\(problem.description): \(sample.strategy.text)")
        #expect(answer >= best * (1 - 1e-12), "\(problem.description): \(sample.strategy.text)")
        compared += 1
        if answer <= best * 1.001 { found += 1 }
        if bound.seconds >= best * 0.98 { tight += 1 }
      }
      if compared >= 60 { break }
    }
    #expect(compared >= 30)
    // Most programs answer with a split that is as good as the best, and bounds are close.
    #expect(found * 10 >= compared * 8, "\(found) of \(compared)")
    #expect(tight * 10 >= compared * 6, "\(tight) of \(compared)")
  }

  @Test("Letting stages choose is never worse than treating all alike")
  func neverWorseThanUniform() throws {
    var better = 0
    for seed in UInt64(400)...460 {
      let problem = try RandomProblem(seed: seed)
      let free = PlanSearch(model: problem.model, options: .init(resultCount: 1)).run().best.first
      for recompute in Strategy.Recompute.allCases {
        var pattern = StrategyPattern()
        pattern.recompute = recompute
        pattern.offloadsOptimizer = false
        let uniform = PlanSearch(model: problem.model, pattern: pattern, options: .init(resultCount: 1)).run().best
          .first
        guard let uniform else { continue }
        let score = try #require(free?.scoreSeconds, "\(problem.description)")
        #expect(score <= uniform.scoreSeconds, "\(problem.description)")
        if score < uniform.scoreSeconds * 0.99 { better += 1 }
      }
    }
    #expect(better >= 10)
  }

  @Test(
    "GPT-3 175B on 128 H100: stages that recompute what they must beat every uniform choice, and offload beats both")
  func realisticCase() throws {
    let request = (cluster: "dgx-h100-16", model: "gpt3-175b", batch: 512)
    func seconds(_ fix: String) throws -> Double {
      // Where tensor groups' exchanges hide beside products, more tensor parallelism leaves nothing to recompute.
      let plan = try #require(
        try plan(
          cluster: request.cluster, model: request.model, batch: request.batch,
          fix: "overlap_tensor_exchange=false" + fix))
      return plan.certificate.scoreSeconds
    }
    let free = try seconds("")
    let onDevice = try seconds(",offload_optimizer=false")
    let uniform = try min(
      seconds(",recompute=none,offload_optimizer=false"), seconds(",recompute=full,offload_optimizer=false"))
    // How much depends on the profile's limits of memory: 0.5 % and more before they were a framework's own.
    #expect(onDevice < uniform)
    #expect(free < onDevice * 0.995)
  }

  @Test("Plans whose stages differ say so in documents, and can be read again")
  func documents() throws {
    let plan = try #require(
      try plan(cluster: "dgx-h100-16", model: "gpt3-175b", batch: 512, fix: "virtual_stages=1,tensor=4,pipeline=16"))
    let choices = try #require(plan.split.choices)
    #expect(Set(choices).count > 1)
    let text = plan.json.text(style: .pretty)
    let again = try Plan(Field(JSON(parsing: Array(text.utf8)), source: "plan"))
    #expect(again.json.text(style: .pretty) == text)
    #expect(plan.prediction.stageMemory.map { $0.hostBytes > 0 } == choices.map(\.offloadsOptimizer))
    #expect(try PlanVerification(plan).disagreements == [])
  }
}
