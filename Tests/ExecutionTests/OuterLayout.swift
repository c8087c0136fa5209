import Testing
import Training

@testable import Documents
@testable import Execution

/// A way to divide training by workers with outer steps of a small model, and its run.
struct OuterLayout: Sendable, CustomTestStringConvertible {
  var workers = 2
  var tensor = 1
  var pipeline = 1
  var data = 1
  var zero = 0
  var step = OuterStep(period: 2, staleness: 1)
  var outer = OuterOptimizer(momentum: 0.5, learningRate: 0.8)
  var rule = OptimizerSettings.Rule.adam()
  var clippingNorm: Float?
  var learningRate: Float = 0.01
  var model: @Sendable () throws -> ModelDescription = {
    try ZerothOrderLayout.gpt(layers: 2, isTied: false)
  }
  /// Micro-batches of each replica.
  var microBatches = 2
  /// How replicas, and workers, add up.
  var route = Route.direct

  var testDescription: String {
    "workers \(workers), tensor \(tensor), pipeline \(pipeline), data \(data), ZeRO \(zero), period \(step.period), "
      + "staleness \(step.staleness), \(step.format.rawValue), momentum \(outer.momentum), micro-batches \(microBatches)"
  }

  func with<Value>(_ part: WritableKeyPath<Self, Value>, _ value: Value) -> Self {
    var copy = self
    copy[keyPath: part] = value
    return copy
  }

  var strategy: Strategy {
    var strategy = Strategy(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: data, .worker: workers],
      zeroStage: Strategy.ZeroStage(rawValue: zero) ?? .none)
    strategy.update = .outer
    strategy.outer = step
    return strategy
  }

  func shape() throws -> IterationShape {
    let strategy = strategy
    var job = try TrainingJob(
      model: model(), sequenceLength: 8, globalBatch: strategy.batchDegree * microBatches, precision: .fp32)
    job.outer = outer
    #expect(
      strategy.violation(job: job, deviceCount: strategy.worldSize, hasFlashAttention: true, hasHost: true) == nil)
    var routes = CollectiveRoutes()
    for axis in [Mesh.Axis.data, .worker] {
      for group in strategy.mesh.groups(along: axis) where group.count > 1 { routes[group] = route }
    }
    let layers = job.model.layerCount
    return try IterationShape(
      job: job, strategy: strategy, split: Split([Int](repeating: layers / pipeline, count: pipeline)),
      schedule: PipelineSchedule(
        strategy.schedule, stageCount: pipeline, microBatchCount: strategy.microBatchCount(globalBatch: job.globalBatch)
      ),
      paddedVocabularySize: 16, maximumGradientNorm: clippingNorm.map(Double.init), routes: routes)
  }

  func setting() throws -> ExecutionSetting {
    try ExecutionSetting(
      shape: shape(),
      optimizer: OptimizerSettings(rule: rule, learningRate: learningRate, clippingNorm: clippingNorm), seed: 3,
      arithmetic: .fp32)
  }

  struct Result {
    /// After every round, and where steps are late after what closes the training.
    var parameters: [[ModelPart: [Float]]] = []
    /// Means of all iterations and workers.
    var losses: [Double] = []
    /// Whether all ranks that should be have been bit-identical.
    var copiesAgree: [Bool] = []
    var anchorsAgree: [Bool] = []
    var ranks: [RankRunner<NumericMachine>] = []
    /// Both, after every round.
    var agrees: Bool { !(copiesAgree + anchorsAgree).contains(false) }
  }

  /// Runs the layout's own programs, or others made of them.
  func run(
    _ roundCount: Int = 4, usesThreads: Bool = false,
    _ edit: (inout [RankProgram]) -> Void = { _ in }
  ) throws -> Result {
    let setting = try setting(), shape = setting.shape
    func programs(_ stretch: Stretch) -> [RankProgram] {
      var programs = shape.programs(stretch)
      #expect(shape.defect(in: programs, stretch) == nil, "\(stretch)")
      edit(&programs)
      return programs
    }
    var run = MiniatureRun(setting: setting, programs: programs(.usual), usesThreads: usesThreads)
    var result = Result(), loaded = Stretch.usual
    for stretch in shape.stretches(count: roundCount) {
      if stretch != loaded { run.load(programs(stretch)) }
      loaded = stretch
      try run.iterate()
      let parameters = run.parameters
      result.parameters.append(parameters.values)
      if stretch != .closing { result.losses.append(run.loss) }
      result.copiesAgree.append(parameters.replicasAgree)
      let size = shape.mesh.blockSize(below: .worker)
      result.anchorsAgree.append(
        run.ranks.allSatisfy {
          $0.machine.state.outerStatesEqual(run.ranks[$0.number % size].machine.state)
        })
    }
    result.ranks = run.ranks
    return result
  }

  /// What one rank makes of it.
  func reference(_ roundCount: Int = 4) throws -> [SerialOuter.Round] {
    let setting = try setting()
    return SerialOuter(
      model: SerialReference(
        shard: setting.referenceShard, globalBatch: strategy.workerBatch(globalBatch: setting.job.globalBatch),
        microBatch: 1, settings: setting.optimizer),
      workerCount: workers, step: step, settings: outer
    ).run(roundCount: roundCount)
  }
}

/// Largest difference of two sets of parameters, relative to the largest change since a third.
func outerError(
  _ found: [ModelPart: [Float]], _ expected: [ModelPart: [Float]], since initial: [ModelPart: [Float]]
) -> Double {
  var change = 0.0, difference = 0.0
  for (part, values) in expected {
    guard let others = found[part], let before = initial[part] else { return .infinity }
    for index in values.indices {
      change = max(change, Double(abs(values[index] - before[index])))
      difference = max(difference, Double(abs(values[index] - others[index])))
    }
  }
  return difference == 0 ? 0 : difference / max(change, .leastNormalMagnitude)
}
