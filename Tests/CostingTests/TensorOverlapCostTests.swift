import JSONText
import TestSupport
import Testing
import Training

@testable import Costing
@testable import Documents

/// What exchanges of tensor groups take beside products, and where that has to be asked for.
@Suite struct TensorOverlapCostTests {
  /// A framework of a name whose overlap hides a share.
  private static func framework(_ name: String, share: Double) throws -> DeviceProfile.Framework {
    let shipped = try Shipped.catalog.device("h100-sxm5-80gb")
    var framework = try #require(shipped.framework(named: name))
    framework.tensorOverlapFraction = share
    return framework
  }

  private static func model(_ name: String, share: Double) throws -> CostModel {
    let cluster = try Fixture.node(of: 8, device: Fixture.device(framework: framework(name, share: share)))
    return try CostModel(cluster: cluster, job: Fixture.job(Fixture.gpt()))
  }

  private static func strategy(overlapped: Bool) -> Strategy {
    var strategy = Strategy(mesh: [.tensor: 4, .data: 2], usesSequenceParallelism: true)
    strategy.overlapsTensorExchange = overlapped
    return strategy
  }

  private static func layer(_ model: CostModel, overlapped: Bool) -> MicroBatchCost.Passes {
    let layout = model.layoutCost([.tensor: 4, .data: 2])
    return model.microBatchCosts(layout: layout, [MicroBatchKey(strategy(overlapped: overlapped))])[0][0].layer
  }

  /// A share of the smaller of exchanges and computation hides; what collectives cost to begin does not.
  @Test func aShareHidesWhereItIsAskedFor() throws {
    let none = try Self.layer(Self.model("megatron-lm", share: 0), overlapped: true)
    let asked = try Self.layer(Self.model("megatron-lm", share: 0.3), overlapped: true)
    let notAsked = try Self.layer(Self.model("megatron-lm", share: 0.3), overlapped: false)
    #expect(notAsked == none)
    // Two gathers and two scatters, forward.
    let fixed = 4 * (try Self.framework("megatron-lm", share: 0)).tensorCollectiveSeconds
    let exchanged = none.forwardTensorSeconds - fixed
    #expect(exchanged > 0)
    let hidden = 0.3 * min(exchanged, none.forwardComputeSeconds)
    #expect(agrees(asked.forwardTensorSeconds, none.forwardTensorSeconds - hidden, relative: 1e-12))
    #expect(asked.backwardTensorSeconds < none.backwardTensorSeconds)
    #expect(asked.forwardComputeSeconds == none.forwardComputeSeconds)
  }

  /// Their own runs had it without a word, so that a plan needs none.
  @Test(arguments: ["nemo", "megatron-bridge", "nanotron"])
  func whoOverlapsByItselfIsNotAsked(name: String) throws {
    let model = try Self.model(name, share: 0.3)
    #expect(Self.layer(model, overlapped: false) == Self.layer(model, overlapped: true))
    let none = try Self.layer(Self.model(name, share: 0), overlapped: false)
    #expect(Self.layer(model, overlapped: false).forwardTensorSeconds < none.forwardTensorSeconds)
  }

  @Test func stepsAddUpToTheirPass() throws {
    let model = try Self.model("megatron-lm", share: 0.3)
    for overlapped in [false, true] {
      let strategy = Self.strategy(overlapped: overlapped), layout = model.layoutCost(strategy.mesh)
      let steps = model.stepSeconds(of: strategy, layout: layout)[0].steps(.block, .forward)
      let exchanged = steps.reduce(0) { if case .collective = $1.step { $0 + $1.seconds } else { $0 } }
      let layer = Self.layer(model, overlapped: overlapped)
      #expect(agrees(exchanged, layer.forwardTensorSeconds, relative: 1e-12), "\(overlapped)")
    }
  }

  @Test func groupsStayWithinTheirDevicesLinks() throws {
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-3-70b"), sequenceLength: 4096, globalBatch: 64, precision: .bf16)
    let model = try CostModel(cluster: Shipped.catalog.cluster("dgx-h100-4"), job: job)
    func violation(_ text: String) throws -> StrategyViolation? {
      let pattern = try StrategyPattern(text: text + ",sequence_parallel=true", source: "test")
      return model.violation(of: pattern.completed(deviceCount: 32, flashAttention: true, overlap: true))
    }
    #expect(try violation("tensor=8,overlap_tensor_exchange=true") == nil)
    // Keys and values divide among eight ranks alone.
    let wide = try StrategyPattern(text: "tensor=16,sequence_parallel=true", source: "test")
    let sixteen = wide.completed(deviceCount: 32, flashAttention: true, overlap: true)
    #expect(model.tensorOverlapViolation(sixteen) == nil)
    #expect(
      model.tensorOverlapViolation(sixteen.with(\.overlapsTensorExchange, true))
        == .tensorOverlapLeavesDomain(tensor: 16, domain: 8))
  }

  /// Twelve buffers of a micro-batch's tokens on the group, 2 bytes a number; none of frameworks that are not asked.
  @Test func buffersArePartOfTheMemory() throws {
    for (name, count) in [("megatron-lm", 12), ("megatron-bridge", 0)] {
      let model = try CostModel(
        cluster: Shipped.catalog.cluster("dgx-h100-4"),
        job: TrainingJob(model: Shipped.catalog.model("llama-3-70b"), sequenceLength: 4096, globalBatch: 64),
        frameworkName: name)
      func workspace(_ overlapped: Bool) throws -> Int {
        let text = "tensor=8,pipeline=4,sequence_parallel=true,micro_batch=2,overlap_tensor_exchange=\(overlapped)"
        let strategy = try StrategyPattern(text: text, source: "test").completed(
          deviceCount: 32, flashAttention: true, overlap: true)
        return model.cost(of: strategy).memory.stageMemory(of: Split([20, 20, 20, 20]))[1].workspaceBytes
      }
      #expect(try workspace(true) - workspace(false) == count * 2 * 4_096 * 8_192 * 2, "\(name)")
    }
  }

  // MARK: Records

  private static func workload(
    family: String = "invented", framework: String = "Megatron-LM", tensor: Int = 4, device: String = "h100-sxm5-80gb",
    stated: String = ""
  ) throws -> RunWorkload {
    let text = """
      {"schema": "sextant.run/1", "id": "one", "family": "\(family)", "framework": "\(framework)",
       "model": {"name": "gpt", "family": "gpt", "layers": 12, "hidden": 4096, "heads": 32, "kv_heads": 32,
         "ffn_hidden": 16384, "vocab": 51200, "gated_mlp": false, "tied_embeddings": true},
       "sequence_length": 4096, "global_batch": 64, "precision": "bf16",
       "cluster": {"device": "\(device)", "nodes": 1, "devices_per_node": 8},
       "strategy": {"tensor": \(tensor), "pipeline": 1, "data": \(8 / tensor), "micro_batch": 1,
         "sequence_parallel": true\(stated)}, "measured": {"iteration_seconds": 1}}
      """
    return try RunWorkload(MeasuredRun(parse(Array(text.utf8), source: "run")), catalog: Shipped.catalog)
  }

  private static func assumption(_ workload: RunWorkload) -> String? {
    workload.assumptions.first { $0.hasPrefix("tensor exchanges") }
  }

  @Test func aRecordThatDoesNotSayIsTakenAsItsFrameworkDoesByDefault() throws {
    let plain = try Self.workload()
    #expect(plain.pattern.overlapsTensorExchange == nil)
    #expect(Self.assumption(plain) == "tensor exchanges are not overlapped, as megatron-lm does by default")
    let stated = try Self.workload(stated: ", \"overlap_tensor_exchange\": true")
    #expect(stated.pattern.overlapsTensorExchange == true && Self.assumption(stated) == nil)
    let seconds = try (plain.estimate().prediction.iterationSeconds, stated.estimate().prediction.iterationSeconds)
    #expect(seconds.1 < seconds.0)
    // Nothing to say where nothing is exchanged, nothing hides, or nobody has to ask.
    for silent in try [
      Self.workload(tensor: 1), Self.workload(device: "a100-sxm4-80gb"), Self.workload(framework: "NeMo"),
    ] {
      #expect(silent.pattern.overlapsTensorExchange == nil && Self.assumption(silent) == nil)
    }
    let alone = try Self.workload(tensor: 1, stated: ", \"overlap_tensor_exchange\": true")
    #expect(try alone.estimate().strategy.overlapsTensorExchange == false)
  }

  @Test func aSourceMaySayItOfAllItsRuns() throws {
    let workload = try Self.workload(family: "megatron-h100", framework: "Megatron-Core r0.8")
    #expect(workload.pattern.overlapsTensorExchange == true)
    #expect(Self.assumption(workload) == "tensor exchanges are overlapped, as the source says of all of its runs")
    let denied = try Self.workload(family: "megatron-h100", stated: ", \"overlap_tensor_exchange\": false")
    #expect(denied.pattern.overlapsTensorExchange == false && Self.assumption(denied) == nil)
  }
}
