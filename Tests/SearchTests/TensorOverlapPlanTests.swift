import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Exchanges of tensor groups beside products, in the search.
@Suite struct TensorOverlapPlanTests {
  private static func model(_ cluster: String, precision: Precision = .bf16) throws -> CostModel {
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-2-7b"), sequenceLength: 4096, globalBatch: 32, precision: precision)
    return try CostModel(cluster: Shipped.catalog.cluster(cluster), job: job)
  }

  private static func strategies(
    _ model: CostModel, fix: String = "", capabilities: Capabilities? = .megatronLM
  ) throws -> [Strategy] {
    let pattern = try StrategyPattern(text: fix, source: "--fix")
    let lattice = Lattice(model: model, pattern: pattern, capabilities: capabilities)
    return lattice.meshes.flatMap { lattice.branch($0).branch.points.map(\.strategy) }
  }

  private static func mayOverlap(_ strategy: Strategy) -> Bool {
    strategy.usesSequenceParallelism && strategy.tensorDegree <= 8
  }

  @Test func itIsThereWhereverItCanBe() throws {
    let model = try Self.model("dgx-h100-4")
    for capabilities in [Capabilities.megatronLM, nil] {
      let all = try Self.strategies(model, capabilities: capabilities)
      #expect(all.contains { $0.overlapsTensorExchange })
      #expect(all.allSatisfy { $0.overlapsTensorExchange == Self.mayOverlap($0) })
    }
  }

  /// One point in place of another, and none beside it.
  @Test func itMakesNoPointsOfItsOwn() throws {
    let model = try Self.model("dgx-h100-4")
    let all = try Self.strategies(model), without = try Self.strategies(model, fix: "overlap_tensor_exchange=false")
    #expect(all.map { $0.with(\.overlapsTensorExchange, false) } == without)
    let with = try Self.strategies(model, fix: "overlap_tensor_exchange=true")
    #expect(with == all.filter(\.overlapsTensorExchange))
  }

  /// Why the other points need not be looked at.
  @Test func nothingTakesLongerWithIt() throws {
    let model = try Self.model("dgx-h100-4")
    var scratch = EvaluationScratch()
    let overlapped = try Self.strategies(model).filter(\.overlapsTensorExchange)
    #expect(overlapped.count > 100)
    var shorter = 0
    for strategy in overlapped where strategy.recompute != .selective {
      let split = Split.even(
        layerCount: 32, stageCount: strategy.pipelineDegree, chunkCount: strategy.virtualStageCount)
      func seconds(_ strategy: Strategy) -> Double {
        model.cost(of: strategy).iterationSeconds(of: split, scratch: &scratch)
      }
      let (with, without) = (seconds(strategy), seconds(strategy.with(\.overlapsTensorExchange, false)))
      #expect(with <= without * (1 + 1e-12), "\(strategy.text)")
      if with < without { shorter += 1 }
    }
    #expect(shorter > overlapped.count / 2)
  }

  /// On devices with room for one and not for the other, exchanges run by themselves; where that is not enough, hosts help, and
  /// where it is fixed nothing is given up.
  @Test func whereBuffersDoNotFitExchangesRunByThemselves() throws {
    let text = "tensor=8,pipeline=1,data=1,sequence_parallel=true,micro_batch=8,zero_stage=0,recompute=none"
    let fixed = try StrategyPattern(text: text, source: "test")
    let roomy = try Self.model("dgx-h100-1")
    func peak(_ overlapped: Bool) throws -> Int {
      let pattern = fixed.stating("overlap_tensor_exchange", .boolean(overlapped))
      let strategy = pattern.completed(deviceCount: 8, flashAttention: true, overlap: true)
      return roomy.cost(of: strategy).memory.stageMemory(of: Split([32]))[0].peakBytes
    }
    let (with, without) = try (peak(true), peak(false))
    #expect(with > without)
    func plan(bytes: Int, _ pattern: StrategyPattern) throws -> PlanSearch.Result {
      let device = roomy.cluster.device
      let limited = try DeviceProfile(
        Field(
          device.json.replacing(
            "/datasheet/memory_bytes",
            with: .integer(Int(Double(bytes) / device.limitFraction(of: roomy.framework)))), source: "device"))
      let model = try CostModel(cluster: roomy.cluster.replacing(device: limited), job: roomy.job)
      return PlanSearch(model: model, pattern: pattern, capabilities: .megatronLM).run()
    }
    #expect(try plan(bytes: with + 1_000_000, fixed).best.first?.strategy.overlapsTensorExchange == true)
    let alone = try #require(plan(bytes: (with + without) / 2, fixed).best.first)
    #expect(!alone.strategy.overlapsTensorExchange && alone.strategy.hosting == .none)
    let hosted = try #require(plan(bytes: without - 1_000_000, fixed).best.first)
    #expect(hosted.strategy.hosting != .none)
    let asked = try plan(
      bytes: (with + without) / 2, fixed.stating("overlap_tensor_exchange", .boolean(true)))
    #expect(asked.best.allSatisfy { $0.strategy.overlapsTensorExchange && $0.strategy.hosting != .none })
  }

  /// Beside devices that may not be able to, nobody asks.
  @Test(arguments: [("h100-sxm5-80gb", true), ("a100-sxm4-80gb", false)])
  func allDevicesHaveIt(other: String, overlaps: Bool) throws {
    let catalog = Shipped.catalog
    let cluster = try ClusterDescription(
      name: "mixed", devices: Set(["h100-sxm5-80gb", other]).sorted().map { try catalog.device($0) },
      deviceOfNode: overlaps ? [0, 0] : [0, 1], nodeNames: ["one", "other"], devicesPerNode: 8,
      levels: [
        .init(name: "node", span: 8, bytesPerSecond: 300e9), .init(name: "network", span: 16, bytesPerSecond: 25e9),
      ])
    let model = try CostModel(cluster: cluster, job: Self.model("dgx-h100-4").job)
    #expect(model.hidesTensorExchangesWhereAsked == overlaps)
    #expect(try Self.strategies(model).contains { $0.overlapsTensorExchange } == overlaps)
  }

  @Test func itIsLeftOutWhereItHidesNothingOrCannotBeToldSo() throws {
    #expect(try Self.strategies(Self.model("dgx-a100-4")).allSatisfy { !$0.overlapsTensorExchange })
    let blockwise = try Self.model("dgx-h100-4", precision: .fp8Blockwise)
    #expect(try Self.strategies(blockwise).allSatisfy { !$0.overlapsTensorExchange })
    #expect(try Self.strategies(blockwise, fix: "overlap_tensor_exchange=true").isEmpty)
    let fullySharded = try Self.strategies(Self.model("dgx-h100-4"), capabilities: .megatronFSDP)
    #expect(!fullySharded.isEmpty && fullySharded.allSatisfy { !$0.overlapsTensorExchange })
  }

  @Test func thePlanHasIt() throws {
    let model = try Self.model("dgx-h100-4")
    let pattern = try StrategyPattern(text: "tensor=4,sequence_parallel=true,virtual_stages=1", source: "--fix")
    let plan = try #require(
      PlanSearch(model: model, pattern: pattern, capabilities: .megatronLM).plan(toolVersion: "test"))
    #expect(plan.strategy.overlapsTensorExchange)
    #expect(plan.strategy.json.text(style: .compact).contains("\"overlap_tensor_exchange\":true"))
  }
}
