import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Miniatures of zeroth-order plans through the whole verdict: losses and weights to the bit, bytes sent, from the host and
/// held.
@Suite struct ZerothOrderDryRunTests {
  static func plan(
    _ pattern: String, _ family: ModelDescription.Family = .gpt, isTied: Bool = true, deviceCount: Int,
    directions: Int = 1, hosted: [Int]? = nil, layers: Int = 8, precision: Precision = .fp16
  ) throws -> Plan {
    var job = try TrainingJob(
      model: SmallPlans.model(family, isTied: isTied, layers: layers), sequenceLength: 64, globalBatch: 48,
      precision: precision)
    job.zerothOrder = ZerothOrder(directionCount: directions, seed: 11)
    var cluster = try Shipped.smallCluster(deviceCount)
    cluster = try ClusterDescription(
      name: "hosts", device: cluster.device, nodeNames: cluster.nodeNames, devicesPerNode: cluster.devicesPerNode,
      levels: cluster.levels, host: .init(memoryBytes: 1_000_000_000_000, bytesPerSecond: 25e9))
    let costs = try CostModel(cluster: cluster, job: job)
    let estimate = try Estimate(
      model: costs, pattern: StrategyPattern(text: "update=zeroth-order,\(pattern)", source: "test"))
    let choices = hosted.map { $0.map { StageChoice(recomputedLayerCount: 0, hostedLayerCount: $0) } }
    return Plan(
      stating: estimate.strategy,
      split: Split(estimate.split.layerCounts, stageCount: estimate.split.stageCount, choices: choices), on: costs)
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let pattern: String
    let devices: Int
    var directions = 1
    var hosted: [Int]?
    var testDescription: String { "\(pattern), directions \(directions), hosted \(hosted ?? [])" }
  }

  static let cases: [Case] = [
    Case(pattern: "data=1", devices: 1), Case(pattern: "data=2,perturbation=2", devices: 2),
    Case(pattern: "data=4", devices: 4, directions: 2),
    Case(pattern: "data=8,perturbation=4", devices: 8, directions: 2),
    Case(pattern: "data=4,perturbation=2,zero_stage=3", devices: 4),
    Case(pattern: "data=4,perturbation=2,zero_stage=3,host_weights=true", devices: 4),
    Case(pattern: "data=4,perturbation=2,zero_stage=3,host_weights=true", devices: 4, hosted: [3]),
    Case(pattern: "data=8,weight_shards=2,gradient_shards=2,optimizer_shards=2,host_weights=true", devices: 8),
    Case(pattern: "data=1,host_weights=true", devices: 1, hosted: [5]),
    Case(pattern: "tensor=2,data=2,perturbation=2,host_weights=true", devices: 4),
    Case(pattern: "tensor=2,data=2,sequence_parallel=true", devices: 4),
    Case(pattern: "pipeline=2,data=2,perturbation=2,host_weights=true", devices: 4, hosted: [1, 3]),
    Case(pattern: "tensor=2,pipeline=4", devices: 8),
    Case(pattern: "pipeline=2,data=4,zero_stage=3,perturbation=2,host_weights=true", devices: 8),
  ]

  @Test(arguments: cases)
  func everythingAgrees(it: Case) throws {
    for (family, isTied) in [(ModelDescription.Family.gpt, true), (.llama, false)] {
      let plan = try Self.plan(
        it.pattern, family, isTied: isTied, deviceCount: it.devices, directions: it.directions, hosted: it.hosted)
      let miniature = try Miniature(of: plan, rankLimit: 64)
      #expect(miniature.unsupported() == nil)
      let run = try DryRun(miniature)
      #expect(run.disagreements.isEmpty, "\(family)")
      #expect(run.steps.count == 3)
      if !it.pattern.contains("tensor") {
        #expect(run.tolerances == .init(firstLoss: 0, firstScalars: 0, laterScalars: 0, parameters: 0))
      }
      let onHost = run.traffic.filter { $0.kind == "weights" }
      #expect(onHost.map(\.level) == (it.pattern.contains("host") ? ["from the host", "to the host"] : []))
      for row in onHost { #expect(row.executedBytes > 0) }
    }
  }

  /// The numbers of 16 bits are the same on one rank and on several.
  @Test func roundedNumbersAgree() throws {
    let plan = try Self.plan(
      "data=4,perturbation=2,zero_stage=3,host_weights=true", deviceCount: 4, precision: .bf16)
    let run = try DryRun(Miniature(of: plan, rankLimit: 64), options: DryRun.Options(emulatesPrecision: true))
    #expect(run.disagreements.isEmpty)
  }

  /// Groups that divide losses stay whole, and more than one where the plan has several.
  @Test func perturbationGroupsAreKept() throws {
    let plan = try Self.plan("data=16,perturbation=4,zero_stage=3,host_weights=true", deviceCount: 16, directions: 2)
    let miniature = try Miniature(of: plan, rankLimit: 8)
    #expect(miniature.strategy.dataDegree == 8)
    #expect(miniature.strategy.perturbationDegree == 4)
    #expect(miniature.strategy.batchDegree == 2)
    #expect(miniature.strategy.sharding.weightDegree == 8)
    #expect(miniature.model.job.zerothOrder.seed == 11)
    #expect(try DryRun(miniature).disagreements.isEmpty)
    #expect(throws: Miniature.Refusal.self) { try Miniature(of: plan, rankLimit: 7) }
  }

  /// What a wrong program does shows in a sentence.
  @Test func wrongProgramsShow() throws {
    let miniature = try Miniature(
      of: Self.plan("data=4,perturbation=2,host_weights=true", deviceCount: 4), rankLimit: 64)
    func found(_ edit: (inout [RankProgram]) -> Bool) throws -> [String] {
      var programs = miniature.shape.programs()
      #expect(edit(&programs), "nothing to break")
      do {
        return try DryRun(
          miniature, options: DryRun.Options(stepCount: 2), shape: miniature.shape, programs: programs
        ).disagreements
      } catch {
        return ["\(error)"]
      }
    }
    let twice = try found {
      $0.double(1) { if case .compute(.update(_, with: .ofThisIteration)) = $0.operation { true } else { false } }
    }
    #expect(twice.contains { $0.contains("replicas hold different parameters") }, "\(twice)")
    let unsent = try found { $0.dropLast(0) { if case .offload = $0.operation { true } else { false } } }
    #expect(unsent.contains { $0.contains("weights traffic across to the host") }, "\(unsent)")
  }
}
