import Costing
import Documents
import JSONText
import Search
import TestSupport
import Training

@testable import Execution

/// How the goldens ask the code of today: where a refactoring renames or regroups what it is asked by, only this file
/// follows.
struct CodeUnderTest {
  private var clusters: [String: ClusterDescription] = [:]
  private var models: [String: ModelDescription] = [:]

  private mutating func costModel(_ workload: WorkloadInput) throws -> CostModel {
    let name = workload.cluster
    let path = name.hasSuffix(".json") ? "\(GoldenFolder.inputs)/\(name)" : name
    let cluster = try clusters[name] ?? Shipped.catalog.cluster(path)
    let model = try models[workload.model] ?? Shipped.catalog.model(workload.model)
    clusters[name] = cluster
    models[workload.model] = model
    let job = try TrainingJob(
      model: model, sequenceLength: workload.sequenceLength, globalBatch: workload.globalBatch,
      precision: workload.precision)
    return try CostModel(cluster: cluster, job: job, frameworkName: workload.framework)
  }

  private struct Question {
    let model: CostModel
    let strategy: Strategy
    let split: Split
  }

  private mutating func question(_ input: StrategyInput) throws -> Question {
    var model = try costModel(input.workload)
    if let order = input.nodeOrder { model = model.arranged(order) }
    let strategy = try StrategyPattern(text: input.strategy, source: input.id).completed(
      deviceCount: model.deviceCount, flashAttention: model.hasFlashAttention,
      overlap: model.framework.overlapsGradientReduce)
    if let violation = model.violation(of: strategy) { throw violation }
    let choices = input.recomputed.map { counts in
      zip(counts, input.offloads ?? []).map { StageChoice(recomputedLayerCount: $0, offloadsOptimizer: $1) }
    }
    return Question(
      model: model, strategy: strategy,
      split: Split(input.layers, stageCount: strategy.pipelineDegree, choices: choices))
  }

  /// Seconds and bytes of a strategy.
  mutating func price(_ input: StrategyInput) throws -> JSON {
    let question = try question(input)
    let model = question.model, strategy = question.strategy, split = question.split
    let cost = model.cost(of: strategy)
    let free = cost.boundSeconds(
      freedom: StageFreedom(
        choosesRecomputation: input.choosesRecomputation, choosesOffload: input.choosesOffload),
      within: MemoryLimit(.fits, extraBytes: input.extraBytes))
    let prediction = model.prediction(of: cost, split: split)
    let traffic = model.traffic(of: strategy, split: split)
    return object(
      ("id", .string(input.id)), ("bound", .number(cost.boundSeconds)),
      // No stage may be able to keep the limit.
      ("free_bound", free.isFinite ? .number(free) : .null),
      ("seconds", .number(prediction.iterationSeconds)),
      ("time", .object(prediction.timeSplit.parts.map { JSONMember($0.name, .number($0.seconds)) })),
      ("verdict", .string(prediction.verdict.rawValue)), ("memory", Self.bytesByKind(prediction.stageMemory)),
      (
        "traffic",
        .object(
          // Workers and divided sequences are questions of their own.
          TrafficKind.allCases.filter {
            ($0 != .outer || strategy.update == .outer) && ($0 != .context || strategy.contextDegree > 1)
              && ($0 != .expert || strategy.expertDivision != .none)
          }.map { kind in
            JSONMember(
              kind.rawValue, .integers((0..<traffic.levelCount).map { traffic.byteCount(kind, level: $0) }))
          })
      ))
  }

  /// Of every kind, the bytes of each stage.
  private static func bytesByKind(_ stages: [Prediction.StageMemory]) -> JSON {
    let names = stages.first?.parts.map(\.name) ?? []
    let parts = names.indices.map { kind in
      JSONMember(names[kind], .integers(stages.map { $0.parts[kind].bytes }))
    }
    return .object(parts + [JSONMember("host", .integers(stages.map(\.hostBytes)))])
  }

  /// The programs of a strategy's miniature, by rank.
  mutating func programs(_ input: StrategyInput, rankLimit: Int) throws -> [RankProgram] {
    let question = try question(input)
    let plan = Plan(stating: question.strategy, split: question.split, on: question.model)
    return try Miniature(of: plan, rankLimit: rankLimit).shape.programs()
  }

  /// The text of the plan that a search finds.
  mutating func planText(_ input: SearchInput) throws -> String? {
    let model = try costModel(input.workload)
    let fixed = try StrategyPattern(text: input.fixed, source: input.id)
    let allowance = Allowance(quantisationTolerance: input.tolerance)
    return PlanSearch(
      model: model, pattern: fixed, allowance: allowance, options: .init(resultCount: 3, threadCount: 2)
    ).plan(toolVersion: "golden")?.json.text(style: .pretty)
  }

  /// The predictions of measured runs, in the order of their file.
  static func predictions(ofRuns path: String) throws -> [JSON] {
    try MeasuredRun.file(path).lines.records().map { run in
      let estimate = try RunWorkload(run, catalog: Shipped.catalog).estimate()
      return object(
        ("id", .string(run.id)), ("seconds", .number(estimate.prediction.iterationSeconds)),
        ("peak_bytes", .integer(estimate.reportedPeakBytes)),
        ("verdict", .string(estimate.prediction.verdict.rawValue)))
    }
  }
}
