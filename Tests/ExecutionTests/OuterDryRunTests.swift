import Costing
import Documents
import Oracles
import TestSupport
import Testing
import Training

@testable import Execution

/// Miniatures of plans with outer steps through the whole verdict: numbers, bytes sent by kind, level and rank, bytes held.
@Suite struct OuterDryRunTests {
  struct Case: Sendable, CustomTestStringConvertible {
    /// Of one worker.
    let pattern: String
    var period = 12
    var staleness = 1
    var format = "fp32"
    var outer = OuterOptimizer()
    var workers = 2
    var hostsOuter = false
    var family = ModelDescription.Family.gpt
    var isTied = false
    var optimizer = Optimizer.adam
    var testDescription: String {
      "\(pattern), workers \(workers), period \(period), staleness \(staleness), \(format), hosted \(hostsOuter)"
    }

    var strategyText: String {
      "update=outer,worker=\(workers),outer_period=\(period),outer_staleness=\(staleness),outer_format=\(format),"
        + (hostsOuter ? "host_outer=true," : "") + pattern
    }
  }

  /// Nodes of four devices with a host; a worker is one or several of them.
  static func plan(_ it: Case, nodes: Int, devicesPerNode: Int = 4) throws -> Plan {
    var job = try TrainingJob(
      model: SmallPlans.model(it.family, isTied: it.isTied), sequenceLength: 64, globalBatch: 96, precision: .bf16,
      optimizer: it.optimizer)
    job.outer = it.outer
    let device = try Shipped.smallCluster(8).device
    let cluster = try ClusterDescription(
      name: "sites", device: device, nodeNames: (0..<nodes).map { "n\($0)" }, devicesPerNode: devicesPerNode,
      levels: [
        .init(name: "nvlink", span: devicesPerNode, bytesPerSecond: 300e9),
        .init(name: "tcp", span: devicesPerNode * nodes, bytesPerSecond: 1e9),
      ],
      host: .init(memoryBytes: 1_000_000_000_000, bytesPerSecond: 25e9))
    let costs = try CostModel(cluster: cluster, job: job)
    let estimate = try Estimate(model: costs, pattern: StrategyPattern(text: it.strategyText, source: "test"))
    return Plan(stating: estimate.strategy, split: estimate.split, on: costs)
  }

  static let cases: [Case] = [
    Case(pattern: "data=4"), Case(pattern: "data=4,zero_stage=1"), Case(pattern: "data=4,zero_stage=2", period: 2),
    Case(pattern: "data=4,zero_stage=3"), Case(pattern: "data=4,zero_stage=3", staleness: 0),
    Case(pattern: "data=4,zero_stage=1", period: 1), Case(pattern: "data=4", period: 1, staleness: 0),
    Case(pattern: "tensor=2,data=2,sequence_parallel=true", family: .llama),
    Case(pattern: "tensor=4", outer: OuterOptimizer(momentum: 0, learningRate: 0.7)),
    Case(pattern: "pipeline=2,data=2,zero_stage=1", isTied: true),
    Case(pattern: "tensor=2,pipeline=2,recompute=full", outer: OuterOptimizer(penalty: .gapAware(1)), family: .llama),
    Case(pattern: "data=4,zero_stage=1", outer: OuterOptimizer(clip: 1e-3, penalty: .constant(2)), workers: 3),
    Case(pattern: "data=4,weight_shards=2,gradient_shards=2,optimizer_shards=4", workers: 3),
    Case(pattern: "data=4,weight_shards=4,gradient_shards=4,optimizer_shards=4,secondary_shards=2"),
    Case(pattern: "data=4", format: "bf16", workers: 3),
    Case(pattern: "data=4,zero_stage=1", format: "int8", workers: 3),
    Case(pattern: "data=4,zero_stage=3", staleness: 0, format: "int8"),
    Case(pattern: "data=4,zero_stage=1", hostsOuter: true),
    Case(pattern: "data=8,zero_stage=1"),
    Case(pattern: "data=4", optimizer: Optimizer(.sgd)),
  ]

  @Test(arguments: cases)
  func everythingAgrees(it: Case) throws {
    let nodes = it.workers * (it.pattern.contains("data=8") ? 2 : 1)
    let miniature = try Miniature(of: Self.plan(it, nodes: nodes), rankLimit: 64)
    #expect(miniature.unsupported() == nil)
    let levels = miniature.model.cluster.levels
    let oracle = TrafficOracle.traffic(miniature.model, miniature.strategy, miniature.split, routes: miniature.routes)
    for stepCount in [1, 3] {
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: stepCount))
      #expect(run.disagreements.isEmpty, "\(stepCount) rounds")
      #expect(run.steps.count == stepCount && run.steps.allSatisfy(\.replicasAgree))
      // An account of its own counts as many.
      for row in run.traffic {
        let kind = try #require(TrafficKind(rawValue: row.kind))
        let level = try #require(levels.firstIndex { $0.name == row.level })
        #expect(row.executedBytes == oracle.byteCount(kind, level: level), "\(row)")
      }
      let outer = run.traffic.filter { $0.kind == "outer" && $0.level == "tcp" }
      #expect(outer.count == 1 && outer[0].executedBytes > 0)
      // Between workers there is nothing else.
      if nodes == it.workers { #expect(!run.traffic.contains { $0.kind != "outer" && $0.level == "tcp" }) }
      let states = run.memory.filter { $0.kind == (it.hostsOuter ? "offloaded" : "outer") }
      #expect(states.count == miniature.strategy.pipelineDegree && states.allSatisfy { $0.executedBytes > 0 })
    }
  }

  @Test func roundedNumbersAgree() throws {
    let plan = try Self.plan(Case(pattern: "data=4,zero_stage=1"), nodes: 2)
    let run = try DryRun(Miniature(of: plan, rankLimit: 64), options: DryRun.Options(emulatesPrecision: true))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  /// Workers become fewer before anything in them does, and rounds shorter, as late as they are.
  @Test func miniaturesKeepStalenessAndWorkers() throws {
    let plan = try Self.plan(Case(pattern: "data=4,zero_stage=1", period: 48, workers: 8), nodes: 8)
    let miniature = try Miniature(of: plan, rankLimit: 12)
    #expect(miniature.strategy.workerDegree == 3 && miniature.strategy.dataDegree == 4)
    #expect(miniature.strategy.outer.period == 3 && miniature.strategy.outer.staleness == 1)
    #expect(miniature.changes.contains(.init(what: "workers", planned: 8, executed: 3)))
    #expect(miniature.changes.contains(.init(what: "iterations of a round", planned: 48, executed: 3)))
    #expect(try DryRun(miniature).disagreements.isEmpty)
    #expect(throws: Miniature.Refusal.self) { try Miniature(of: plan, rankLimit: 7) }
  }

  /// Where ranks would quantise copies of the same parameters by themselves nothing is executed, and it is said why.
  @Test func codesOfCopiesAreNotExecuted() throws {
    for it in [
      Case(pattern: "tensor=4", format: "int8"), Case(pattern: "pipeline=4", format: "int8", isTied: true),
    ] {
      let miniature = try Miniature(of: Self.plan(it, nodes: 2), rankLimit: 64)
      #expect(miniature.unsupported()?.contains("drift apart") ?? false)
    }
  }

  /// What a wrong program does shows in a sentence.
  @Test func wrongProgramsShow() throws {
    let miniature = try Miniature(of: Self.plan(Case(pattern: "data=4", workers: 3), nodes: 3), rankLimit: 64)
    var programs = miniature.shape.programs()
    let isStep: (ProgramStep) -> Bool = { if case .compute(.outerStep) = $0.operation { true } else { false } }
    #expect(programs.edit(1, where: isStep) { _, _ in .operation(.compute(.outerStep(workerCount: 4))) })
    let run = try DryRun(miniature, options: DryRun.Options(), shape: miniature.shape, programs: programs)
    #expect(run.disagreements.contains { $0.contains("replicas hold different parameters") })
  }
}
