import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Plans that choose the format of their products.
@Suite struct PrecisionPlanTests {
  private static func allowing(_ tolerance: Double) -> Allowance {
    Allowance(quantisationTolerance: nil, productTolerance: tolerance)
  }

  private static func model(
    _ cluster: String, _ model: String = "llama-3-8b", batch: Int = 32, precision: Precision = .bf16
  ) throws -> CostModel {
    try CostModel(
      cluster: Shipped.catalog.cluster(cluster),
      job: TrainingJob(
        model: Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: batch, precision: precision))
  }

  private static func model(_ model: CostModel, in precision: Precision) throws -> CostModel {
    try CostModel(
      cluster: model.cluster, job: model.job.with(precision: precision), frameworkName: model.framework.name)
  }

  // MARK: The best of all formats

  @Test(
    "The optimum is that of brute force in every format, and so are the next best",
    arguments: [("h100-sxm5-80gb", 1.0), ("b200-sxm-180gb", 0.03), ("b200-sxm-180gb", 0.15)])
  func equalsBruteForce(device: String, tolerance: Double) throws {
    var solved = 0, narrow = 0, own = 0
    for seed in UInt64(100)...112 {
      let problem = try RandomProblem(seed: seed, device: device), model = problem.model
      guard model.cluster.deviceCount <= 8, model.job.model.layerCount <= 6 else { continue }
      let allowance = Self.allowing(tolerance)
      let precisions = Precision.allCases.filter {
        allowance.exclusion(of: $0, job: model.job, devices: model.cluster.devices, capabilities: nil) == nil
      }
      #expect(precisions.count >= 2)
      let truths = try precisions.map { try BruteForce(Self.model(model, in: $0)) }
      let scores = truths.flatMap(\.scores).sorted()
      let result = PlanSearch(model: model, allowance: allowance, options: .init(resultCount: 4)).run()
      // Where nothing fits, hosts are tried as well.
      if scores.isEmpty { continue }
      #expect(result.best.count == min(4, scores.count), "\(problem.description)")
      for (found, best) in zip(result.best, scores) {
        #expect(abs(found.scoreSeconds - best) <= 1e-9 * best, "\(problem.description): \(found.strategy.text)")
      }
      #expect(
        result.certificate.memoryRejectedCount == truths.reduce(0) { $0 + $1.unfitCount }, "\(problem.description)")
      #expect(result.certificate.ending == .exhausted && result.certificate.gap <= 1e-9, "\(problem.description)")
      // No bound is above any format's best.
      #expect(result.certificate.lowerBoundSeconds <= scores[0] * (1 + 1e-9))
      for (precision, truth) in zip(precisions, truths) where precision != result.best[0].precision {
        let family = try #require(result.families.first { $0.name == Plan.Alternative.products(in: precision) })
        #expect((family.completion == nil) == truth.scores.isEmpty)
        guard let found = family.completion, let best = truth.scores.first else { continue }
        #expect(found.precision == precision && abs(found.scoreSeconds - best) <= 1e-9 * best, "\(problem.description)")
      }
      solved += 1
      if result.best[0].precision == .bf16 { own += 1 } else { narrow += 1 }
    }
    // Casts cost more than small products gain, and less than large ones do.
    #expect(solved >= 4, "\(solved) solved, \(narrow) narrow, \(own) not")
  }

  @Test("The optimum is that of brute force where layers at the ends are in bf16")
  func equalsBruteForceWithWideLayers() throws {
    var solved = 0
    for seed in UInt64(100)...116 {
      let problem = try RandomProblem(seed: seed, hasExperts: seed % 2 == 1, device: "b200-sxm-180gb")
      let cluster = problem.model.cluster, job = problem.model.job
      guard cluster.deviceCount <= 8, (3...6).contains(job.model.layerCount) else { continue }
      let model = try CostModel(
        cluster: cluster,
        job: job.with(precision: seed % 3 == 0 ? .nvfp4 : .fp8Current).with(WideLayers(first: 1, last: Int(seed % 3))))
      let experts =
        seed % 2 == 1
        ? Set(
          [1, 2, 4].map { degree in
            Strategy(mesh: [.data: 1]).with(\.expertDegree, degree).expertDivision
          }) : [.none]
      let truth = BruteForce(model, experts: Array(experts))
      guard let best = truth.scores.first else { continue }
      let result = PlanSearch(model: model).run()
      let found = try #require(result.best.first, "\(problem.description)")
      #expect(found.scoreSeconds <= best * (1 + 1e-9), "\(problem.description): \(found.strategy.text)")
      #expect(result.certificate.ending == .exhausted && result.certificate.gap <= 1e-9, "\(problem.description)")
      #expect(result.certificate.lowerBoundSeconds <= best * (1 + 1e-9), "\(problem.description)")
      solved += 1
    }
    #expect(solved >= 4)
  }

  /// Weights lie in the format of products wherever job and framework have it, without a point more; not where it is fixed, and
  /// with hosts that update under delayed scaling only.
  @Test(arguments: [
    (Capabilities.megatronLM as Capabilities?, Precision.fp8Current, true), (.megatronLM, .fp8Blockwise, false),
    (.megatronLM, .bf16, false), (.torchtitan, .fp8Current, false), (.torchtitan02, .fp8Current, true),
    (nil, .mxfp8, true),
  ])
  func weightsAreHeldNarrow(capabilities: Capabilities?, precision: Precision, holds: Bool) throws {
    let model = try Self.model("dgx-h100-1", precision: precision)
    func points(_ pattern: String) throws -> [Strategy] {
      let pattern = pattern.isEmpty ? StrategyPattern() : try StrategyPattern(text: pattern, source: "test")
      let lattice = Lattice(
        model: model, pattern: pattern, capabilities: capabilities, concessions: Concessions(searchesHosting: true))
      return lattice.meshes.flatMap { lattice.branch($0).branch.points.map(\.strategy) }
    }
    let free = try points(""), wide = try points("narrow_weights=false")
    #expect(free.map { $0.with(\.holdsNarrowWeights, false) } == wide)
    #expect(free.contains { $0.holdsNarrowWeights } == holds)
    #expect(!wide.contains { $0.holdsNarrowWeights })
    for strategy in free where holds {
      let isHeld =
        (strategy.replicaCount == 1 ? capabilities?.narrowWeights?.withoutGathers != false : strategy.zeroStage > .none)
        && strategy.sharding.secondaryDegree == nil && !strategy.hosting.holdsWeights
        && (capabilities == nil || strategy.hosting.updatePercent == 0)
        && (precision == .fp8Current || strategy.sharding.weightDegree == 1)
      #expect(strategy.holdsNarrowWeights == isHeld, "\(strategy.text)")
    }
    let narrow = try points("narrow_weights=true")
    #expect(narrow.allSatisfy { $0.holdsNarrowWeights })
    #expect(narrow.isEmpty != holds)
    guard holds else { return }
    let best = PlanSearch(model: model, capabilities: capabilities).run()
    let without = PlanSearch(
      model: model, pattern: try StrategyPattern(text: "narrow_weights=false", source: "test"),
      capabilities: capabilities
    ).run()
    #expect(best.certificate.scoreSeconds <= without.certificate.scoreSeconds)
    // What is gathered in bf16 saves memory alone, which there is enough of.
    #expect(precision == .mxfp8 || best.best.first?.strategy.holdsNarrowWeights == true)
  }

  /// The bound is the least of all formats' own.
  @Test func theCertificateIsOfAllFormats() throws {
    let model = try Self.model("dgx-h100-1"), allowance = Self.allowing(0.06)
    let options = PlanSearch.Options(threadCount: 2)
    let result = PlanSearch(model: model, allowance: allowance, capabilities: .megatronLM, options: options).run()
    let alone = try [Precision.bf16, .fp8Delayed, .fp8Current, .fp8Blockwise].map {
      try PlanSearch(model: Self.model(model, in: $0), capabilities: .megatronLM, options: options).run().certificate
    }
    let least = try #require(alone.map(\.scoreSeconds).min())
    #expect(result.certificate.scoreSeconds == least)
    #expect(result.certificate.lowerBoundSeconds <= alone.map(\.lowerBoundSeconds).min()! * (1 + 1e-12))
    #expect(result.certificate.gap < 1e-9)
    #expect(result.certificate.enumeratedCount == alone.reduce(0) { $0 + $1.enumeratedCount })
    #expect(result.certificate.proofs.count == result.certificate.completedCount)
    #expect(Set(result.certificate.proofs.compactMap(\.precision)).count > 1)
    #expect(result.best.first?.precision == .fp8Delayed)
  }

  // MARK: What may be chosen

  @Test func aToleranceExcludesFormats() throws {
    let model = try Self.model("dgx-b200-16", "llama-3-70b", batch: 512)
    func chosen(_ tolerance: Double) throws -> Precision {
      let search = PlanSearch(
        model: model.arranged([0, 1]), pattern: try StrategyPattern(text: "pipeline=1", source: "test"),
        allowance: Self.allowing(tolerance), capabilities: .megatronLM, options: .init(threadCount: 2))
      return try #require(search.run().best.first?.precision)
    }
    #expect(try chosen(0.02) == .bf16)
    #expect(try chosen(0.03) == .mxfp8)
    #expect(try [.fp8Delayed, .fp8Current].contains(chosen(0.06)))
    #expect(try chosen(0.15) == .nvfp4)
  }

  /// An A100 has no FP8, nor has a cluster of which some devices have none: the plan is what it would be anyway.
  @Test func devicesWithoutTheFormatsNeverGetThem() throws {
    let a100 = try Self.model("dgx-a100-1", batch: 16)
    let mixed = try RandomProblem(seed: 905, isMixed: true).model
    for model in [a100, mixed] {
      let asked = PlanSearch(model: model, allowance: Self.allowing(1), options: .init(margin: 0.01)).run()
      let plain = PlanSearch(model: model, options: .init(margin: 0.01)).run()
      #expect(asked.best == plain.best && asked.certificate.enumeratedCount == plain.certificate.enumeratedCount)
      #expect(asked.best.allSatisfy { $0.precision == .bf16 })
      #expect(!asked.families.contains { $0.name.hasPrefix("products in") })
    }
    let plan = try #require(PlanSearch(model: a100, allowance: Self.allowing(1)).plan(toolVersion: "test"))
    #expect(plan.chosenPrecision == .bf16 && plan.decisions.allSatisfy { $0.effect == .exact })
  }

  @Test func itIsNeverSearchedUnasked() throws {
    let model = try Self.model("dgx-h100-1", batch: 16)
    let plan = try #require(PlanSearch(model: model, capabilities: .megatronLM).plan(toolVersion: "test"))
    #expect(plan.chosenPrecision == nil && plan.job.precision == .bf16)
    guard case .object(let members) = plan.json else { return }
    #expect(!members.contains { $0.key == "precision" })
    // A job that states a format keeps it.
    let stated = try Self.model("dgx-h100-1", batch: 16, precision: .fp8Current)
    let own = PlanSearch(model: stated, allowance: Self.allowing(1), capabilities: .megatronLM).run()
    #expect(own.best.allSatisfy { $0.precision == .fp8Current })
  }

  /// Devices of two models that both multiply FP8, in every order of the models.
  @Test func mixedDevicesChooseWhatAllMultiply() throws {
    let cluster = try ClusterDescription(
      name: "mixed", devices: [Shipped.catalog.device("h100-sxm5-80gb"), Shipped.catalog.device("h200-sxm5-141gb")],
      deviceOfNode: [0, 1], nodeNames: ["a", "b"], devicesPerNode: 8,
      levels: [
        .init(name: "nvlink", span: 8, bytesPerSecond: 450e9), .init(name: "net", span: 16, bytesPerSecond: 50e9),
      ])
    let model = try CostModel(
      cluster: cluster,
      job: TrainingJob(model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64))
    // Weights in FP8 alone would have delayed scaling ahead by more than the margin.
    func plan(_ fixed: String) throws -> Plan {
      let search = PlanSearch(
        model: model,
        pattern: try StrategyPattern(text: "virtual_stages=1,narrow_weights=false\(fixed)", source: "test"),
        allowance: Self.allowing(0.06), capabilities: .megatronLM, options: .init(margin: 0.01, threadCount: 2))
      return try #require(search.plan(toolVersion: "test"))
    }
    // Exchanges beside products are of tensors with a single scale, which then is worth more than the margin.
    let overlapped = try plan("")
    #expect(overlapped.job.precision == .fp8Delayed && overlapped.strategy.overlapsTensorExchange)
    let plan = try plan(",overlap_tensor_exchange=false")
    #expect(plan.job.precision == .fp8Blockwise && plan.certificate.proofGap < 1e-9)
    // Faster by less than the margin, and less exact.
    #expect(plan.alternatives.first?.precision == .fp8Delayed)
    #expect(try PlanVerification(plan, threadCount: 2).disagreements.isEmpty)
  }

  // MARK: Plainness

  @Test func withinTheMarginTheJobsOwnPrecisionIsThePlan() throws {
    let model = try Self.model("dgx-h100-1", batch: 16), allowance = Self.allowing(0.06)
    func plan(margin: Double) throws -> Plan {
      try #require(
        PlanSearch(
          // Of weights in FP8 alone the fastest plan has little headroom, for which its score is more than its time.
          model: model, pattern: StrategyPattern(text: "pipeline=1,narrow_weights=false", source: "test"),
          allowance: allowance,
          capabilities: .megatronLM, options: .init(margin: margin, threadCount: 2)
        ).plan(toolVersion: "test"))
    }
    let fastest = try plan(margin: 0), own = try plan(margin: 0.5)
    #expect(fastest.job.precision == .fp8Delayed)
    #expect(own.job.precision == .bf16 && own.decisions.allSatisfy { $0.effect == .exact })
    let first = try #require(own.alternatives.first)
    #expect(first.family == Plan.Alternative.fastest && first.precision == .fp8Delayed)
    #expect(own.certificate.plainnessCost > 0 && own.certificate.proofGap < 1e-9)
    // What is given up is what no plan in bf16 can have back.
    let exact = try #require(fastest.alternatives.first { $0.family == Plan.Alternative.products(in: .bf16) })
    let gain = exact.iterationSeconds / fastest.prediction.iterationSeconds - 1
    #expect(gain > 0.05 && gain < 0.5)
    #expect(try plan(margin: gain * 0.9).job.precision != .bf16)
    #expect(try plan(margin: gain * 1.1).job.precision == .bf16)
  }

  @Test func productsAreLessPlainThanAnythingExact() {
    let strategy = Strategy(mesh: [.data: 8], zeroStage: .optimizer)
    func plainness(_ precision: Precision, _ strategy: Strategy) -> Plainness {
      Plainness(strategy, productError: precision.productError, freedom: .none, hasEqualLayers: true)
    }
    let tangled = Strategy(mesh: [.tensor: 4, .data: 2], sharding: Sharding(.optimizer, replicaCount: 2))
    #expect(plainness(.bf16, tangled) < plainness(.mxfp8, strategy))
    #expect(plainness(.mxfp8, tangled) < plainness(.fp8Current, strategy))
    #expect(plainness(.fp8Current, tangled) < plainness(.nvfp4, strategy))
    #expect(plainness(.fp8Current, strategy) == plainness(.fp8Delayed, strategy))
    // Another optimisation is less plain than any rounding.
    var workers = Strategy(mesh: [.data: 4, .worker: 2], zeroStage: .optimizer)
    workers.update = .outer
    #expect(plainness(.nvfp4, strategy) < plainness(.bf16, workers))
  }

  // MARK: What is written, and checked again

  @Test func aPlanHoldsAndAnotherFormatInItDoesNot() throws {
    let search = PlanSearch(
      model: try Self.model("dgx-h100-1", batch: 16), pattern: try StrategyPattern(text: "pipeline=1", source: "test"),
      allowance: Self.allowing(0.06), capabilities: .megatronLM, options: .init(threadCount: 2))
    let plan = try #require(search.plan(toolVersion: "test"))
    #expect(plan.job.precision == .fp8Delayed && plan.question.job.precision == .bf16)
    let read = try Plan(Field(plan.json, source: "plan"))
    #expect(read == plan)
    #expect(try PlanVerification(read, threadCount: 2).disagreements.isEmpty)
    #expect(try PlanVerification.disagreementsWithoutSearch(of: read).isEmpty)
    #expect(try Sensitivity(plan).entries.count > 2)
    // Others that may be chosen are judged by what they cost, and by the search.
    for other in ["bf16", "fp8-blockwise", "fp8-current-scaling"] {
      let edited = try? Plan(Field(plan.json.replacing("/precision", with: .string(other)), source: "plan"))
      guard let edited else { continue }
      #expect(try !PlanVerification.disagreementsWithoutSearch(of: edited).isEmpty, "\(other)")
      #expect(try PlanVerification(edited, threadCount: 2).disagreements.contains { $0.path == "/precision" })
    }
    #expect(throws: DocumentError.self) {
      _ = try Plan(Field(plan.json.replacing("/precision", with: .string("mxfp8")), source: "plan"))
    }
    // What was found among fewer formats is not the best of more.
    let less = try #require(
      PlanSearch(
        model: search.model, pattern: search.pattern, allowance: Self.allowing(0.03), capabilities: .megatronLM,
        options: search.options
      ).plan(toolVersion: "test"))
    #expect(less.job.precision == .fp8Blockwise)
    let more = less.json.replacing("/question/allowed/tolerance", with: .number(0.06))
    let found = try PlanVerification(Plan(Field(more, source: "plan")), threadCount: 2).disagreements
    #expect(found.contains { $0.path == "/precision" && $0.computed == "fp8-delayed" })
    #expect(found.contains { $0.path == "/certificate/lower_bound_seconds" })
  }

  @Test func aSearchThatWasStoppedInAnyFormatIsRepeated() throws {
    let model = try Self.model("dgx-h100-1", batch: 16)
    func search(_ stop: Int) throws -> PlanSearch {
      PlanSearch(
        model: model, pattern: try StrategyPattern(text: "pipeline=1,virtual_stages=1", source: "test"),
        allowance: Self.allowing(0.06), capabilities: .megatronLM,
        options: .init(resultCount: 1, threadCount: 2, repeatedStop: (stop, .timeLimit)))
    }
    for stop in [0, 1, 3, 6, 12, 24] {
      let search = try search(stop), result = search.run()
      let plan = try #require(search.plan(of: result, toolVersion: "test"), "\(stop)")
      guard plan.certificate.stoppedAfter != nil else { continue }
      #expect(try PlanVerification(plan, threadCount: 2).disagreements.isEmpty, "\(stop)")
    }
  }

  @Test func oneToleranceIsOfProductsAndCollectives() throws {
    let model = try Self.model("dgx-h100-4", batch: 256)
    let allowance = Allowance(quantisationTolerance: 0.06, productTolerance: 0.06)
    let search = PlanSearch(
      model: model, pattern: try StrategyPattern(text: "tensor=1,pipeline=1,zero_stage=3", source: "test"),
      allowance: allowance, options: .init(threadCount: 2))
    let plan = try #require(search.plan(toolVersion: "test"))
    #expect(plan.job.precision.products != nil)
    #expect(try PlanVerification(plan, threadCount: 2).disagreements.isEmpty)
    var fixed = search.pattern
    fixed.quantisesWeights = true
    let quantised = try #require(
      PlanSearch(model: model, pattern: fixed, allowance: allowance, options: .init(threadCount: 2))
        .plan(toolVersion: "test"))
    #expect(quantised.strategy.sharding.quantisesWeights && !quantised.strategy.sharding.quantisesGradients)
    #expect(quantised.job.precision.products != nil)
    #expect(
      quantised.decisions.filter { $0.effect == .numericallyDifferent }.map(\.name) == [
        "precision", "quantise_weights",
      ])
  }
}
