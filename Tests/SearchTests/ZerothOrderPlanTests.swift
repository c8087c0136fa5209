import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Plans of zeroth-order training.
@Suite struct ZerothOrderPlanTests {
  private static let allowed = Allowance(quantisationTolerance: nil, zerothOrder: true)

  private static func cluster(
    _ device: DeviceProfile, nodes: Int, perNode: Int, host: ClusterDescription.Host?
  ) throws -> ClusterDescription {
    var levels = perNode > 1 ? [ClusterDescription.Level(name: "node", span: perNode, bytesPerSecond: 200e9)] : []
    if nodes > 1 { levels.append(.init(name: "net", span: nodes * perNode, bytesPerSecond: 20e9)) }
    return try ClusterDescription(
      name: "test", device: device, nodeNames: (0..<nodes).map { "n\($0)" }, devicesPerNode: perNode, levels: levels,
      host: host)
  }

  private static func opt(_ layers: Int, _ hidden: Int, _ heads: Int) throws -> ModelDescription {
    try ModelDescription(
      name: "opt", family: .gpt, layerCount: layers, hiddenSize: hidden, headCount: heads, feedForwardSize: 4 * hidden,
      vocabularySize: 50272, hasGatedFeedForward: false, hasTiedEmbeddings: true, positionCount: 2050)
  }

  // MARK: What fits nowhere else

  /// OPT-175B on one node: no plan by gradients, one by losses, with the certificate of every plan.
  @Test func opt175BHasAPlanOnOneNode() throws {
    let cluster = try Self.cluster(
      Shipped.catalog.device("a100-sxm4-80gb"), nodes: 1, perNode: 8,
      host: .init(memoryBytes: 2_000_000_000_000, bytesPerSecond: 25e9))
    let job = try TrainingJob(
      model: Self.opt(96, 12288, 96), sequenceLength: 2048, globalBatch: 8, precision: .fp16,
      accumulatesGradientsInFP32: false)
    let model = try CostModel(cluster: cluster, job: job)
    #expect(PlanSearch(model: model).run().best.isEmpty)
    let search = PlanSearch(model: model, allowance: Self.allowed)
    let plan = try #require(search.plan(toolVersion: "test"))
    #expect(plan.strategy.update == .zerothOrder)
    #expect(plan.certificate.gap == 0)
    #expect(plan.impossibleFamilies.contains(Plan.Alternative.firstOrder))
    #expect(plan.decisions.contains { $0.name == "update" && $0.effect == .algorithmicallyDifferent })
    #expect(plan.runnableFrameworks.isEmpty)
    #expect(try Plan(parse(Array(plan.json.text(style: .pretty).utf8), source: "plan")) == plan)
  }

  /// On cards of 24 GB its weights have to lie on the host, which has to hold them.
  @Test func weightsLieOnTheHostWhereDevicesAreSmall() throws {
    func best(hostGigabytes: Int) throws -> PlanSearch.Completion? {
      let cluster = try Self.cluster(
        Shipped.catalog.device("rtx-4090-24gb"), nodes: 1, perNode: 8,
        host: .init(memoryBytes: hostGigabytes * 1_000_000_000, bytesPerSecond: 25e9, sharedBytesPerSecond: 100e9))
      let job = try TrainingJob(
        model: Self.opt(96, 12288, 96), sequenceLength: 2048, globalBatch: 8, precision: .bf16)
      return PlanSearch(model: try CostModel(cluster: cluster, job: job), allowance: Self.allowed).run().best.first
    }
    let found = try #require(try best(hostGigabytes: 600))
    #expect(found.strategy.hosting.holdsWeights)
    #expect((found.split.choices ?? []).allSatisfy { ($0.hostedLayerCount ?? 0) > 0 })
    // Of 350 GB some 100 stay on the devices, and a quarter of the host's memory is not for the run.
    #expect(try best(hostGigabytes: 200) == nil)
  }

  @Test func itIsNeverSearchedUnasked() throws {
    let cluster = try Shipped.catalog.cluster("dgx-a100-1")
    let job = try TrainingJob(model: Shipped.catalog.model("llama-2-7b"), sequenceLength: 2048, globalBatch: 64)
    let model = try CostModel(cluster: cluster, job: job)
    let found = PlanSearch(model: model, capabilities: .megatronLM).run()
    #expect(found.best.allSatisfy { $0.strategy.update == .firstOrder })
    // Allowed, it stands beside what the framework runs; fixed, either is left out.
    let both = PlanSearch(model: model, allowance: Self.allowed, capabilities: .megatronLM).run()
    #expect(both.best.first?.strategy.update == .zerothOrder)
    let family = try #require(both.families.first { $0.name == Plan.Alternative.firstOrder }?.completion)
    #expect(family == found.best.first)
    var pattern = StrategyPattern()
    pattern.update = .firstOrder
    let fixed = PlanSearch(model: model, pattern: pattern, allowance: Self.allowed, capabilities: .megatronLM).run()
    #expect(fixed.best.first == found.best.first)
  }

  // MARK: Against everything

  /// Every strategy, every split of the layers and every number of layers on the host, on small problems whose devices and
  /// hosts are nearly full.
  @Test(arguments: 0..<48)
  func theAnswerIsTheBestThereIs(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed) &* 77 &+ 5)
    let (nodes, perNode) = [(1, 2), (1, 4), (2, 2), (2, 1)].randomElement(using: &random) ?? (1, 2)
    let layers = Int.random(in: 3...5, using: &random)
    let model = try ModelDescription(
      name: "small", family: .gpt, layerCount: layers, hiddenSize: 1024, headCount: 4, feedForwardSize: 4096,
      vocabularySize: 2048, hasGatedFeedForward: false, hasTiedEmbeddings: Bool.random(using: &random),
      positionCount: 256)
    var job = try TrainingJob(
      model: model, sequenceLength: 128, globalBatch: [1, 2, 4, 6].randomElement(using: &random) ?? 2)
    job.zerothOrder.directionCount = Int.random(in: 1...2, using: &random)
    let device = try Shipped.catalog.device("a100-sxm4-80gb")
      .holding(bytes: Int.random(in: 1_660_000_000...1_900_000_000, using: &random))
    let host = ClusterDescription.Host(
      memoryBytes: Int.random(in: 50_000_000...600_000_000, using: &random),
      bytesPerSecond: Double.random(in: 2e9...50e9, using: &random))
    let cost = try CostModel(
      cluster: Self.cluster(device, nodes: nodes, perNode: perNode, host: host), job: job)
    var pattern = StrategyPattern()
    pattern.update = .zerothOrder
    if seed % 2 == 1 { pattern[dynamicMember: \.hosting.holdsWeights] = true }
    let found = PlanSearch(model: cost, pattern: pattern, allowance: Self.allowed).run()
    let best = Self.bestOfAll(cost, pattern)
    #expect(found.best.isEmpty == (best == nil), "\(found.best.first?.strategy.text ?? "none"), \(best ?? 0)")
    guard let best, let answer = found.best.first else { return }
    #expect(abs(answer.scoreSeconds / best - 1) < 1e-9, "\(answer.strategy.text) \(answer.split): \(best)")
    #expect(found.certificate.lowerBoundSeconds <= best * (1 + 1e-9))
  }

  private static func bestOfAll(_ model: CostModel, _ pattern: StrategyPattern) -> Double? {
    let job = model.job, cluster = model.cluster, devices = cluster.deviceCount, layers = job.model.layerCount
    var best: Double?
    for tensor in 1...devices where devices % tensor == 0 {
      for pipeline in 1...devices where devices % (tensor * pipeline) == 0 {
        let data = devices / tensor / pipeline
        for perturbation in 1...data {
          for slices in 1...data where slices == 1 || slices * tensor <= cluster.devicesPerNode {
            for microBatch in 1...job.globalBatch {
              for (divides, hosted) in [(false, false), (false, true), (true, false), (true, true)] {
                var strategy = Strategy(
                  mesh: [.tensor: tensor, .pipeline: pipeline, .data: data], microBatch: microBatch,
                  sharding: Sharding(weightDegree: slices, gradientDegree: slices, optimizerDegree: slices),
                  usesSequenceParallelism: divides, usesFlashAttention: model.hasFlashAttention)
                strategy.update = .zerothOrder
                strategy.perturbationDegree = perturbation
                strategy.hosting = Hosting(holdsWeights: hosted)
                // Slices are those of a level of the links.
                guard model.violation(of: strategy) == nil, pattern.matches(strategy),
                  slices == 1 || slices == data || slices * tensor == cluster.devicesPerNode
                else { continue }
                for score in Self.scores(strategy, layers: layers, model: model) {
                  best = min(best ?? .infinity, score)
                }
              }
            }
          }
        }
      }
    }
    return best
  }

  /// Of all splits and numbers of layers on the host that fit.
  private static func scores(_ strategy: Strategy, layers: Int, model: CostModel) -> [Double] {
    let cost = model.cost(of: strategy)
    var scratch = EvaluationScratch()
    var scores: [Double] = []
    for counts in BruteForce.compositions(of: layers, into: strategy.pipelineDegree) {
      var all: [[StageChoice]] = [[]]
      for count in counts {
        all = all.flatMap { chosen in
          (strategy.hosting.holdsWeights ? 0...count : 0...0).map {
            chosen + [
              StageChoice(recomputedLayerCount: 0, hostedLayerCount: strategy.hosting.holdsWeights ? $0 : nil)
            ]
          }
        }
      }
      for choices in all {
        let split = Split(counts, choices: choices)
        let memory = cost.memory.stageMemory(of: split), verdict = cost.memory.verdict(of: memory)
        guard verdict != .unfit, cost.memory.hostHolds(memory) else { continue }
        scores.append(
          cost.iterationSeconds(of: split, scratch: &scratch)
            * (verdict == .fits ? 1 : PlanSearch.headroomSurcharge))
      }
    }
    return scores
  }
}

extension DeviceProfile {
  /// The same device with another size of memory.
  fileprivate func holding(bytes: Int) throws -> DeviceProfile {
    guard case .object(var members) = json,
      let place = members.firstIndex(where: { $0.key == "datasheet" }),
      case .object(var datasheet) = members[place].value,
      let size = datasheet.firstIndex(where: { $0.key == "memory_bytes" })
    else { throw Failure() }
    datasheet[size] = JSONMember("memory_bytes", .integer(bytes))
    members[place] = JSONMember("datasheet", .object(datasheet))
    return try DeviceProfile(Field(.object(members), source: "device"))
  }

  private struct Failure: Error {}
}
