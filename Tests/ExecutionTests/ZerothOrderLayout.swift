import Testing
import Training

@testable import Documents
@testable import Execution

/// A way to divide zeroth-order training of a small model, and its run.
struct ZerothOrderLayout: Sendable, CustomTestStringConvertible {
  var tensor = 1
  var pipeline = 1
  var data = 1
  /// Replicas that divide the losses of the same sequences.
  var perturbation = 1
  /// Slices of each part.
  var slices = 1
  /// Layers of each stage on the host; nil: all is on the devices.
  var hosted: Int?
  var directions = 1
  var layers = 4
  var microBatch = 1
  var sequenceParallel = false
  var model: @Sendable (Int) throws -> ModelDescription = { try ZerothOrderLayout.gpt(layers: $0, isTied: true) }
  var precision = Precision.fp32
  var learningRate = 0.01
  var globalBatch = 8

  var testDescription: String {
    "tensor \(tensor), pipeline \(pipeline), data \(data), perturbation \(perturbation), slices \(slices), hosted "
      + "\(hosted.map(String.init) ?? "none"), directions \(directions), layers \(layers), micro-batch \(microBatch)"
      + (sequenceParallel ? ", sequence parallel" : "")
  }

  /// Has dropout, which zeroth-order training leaves out.
  static func gpt(layers: Int, isTied: Bool) throws -> ModelDescription {
    try ModelDescription(
      name: "gpt", family: .gpt, layerCount: layers, hiddenSize: 16, headCount: 4, feedForwardSize: 24,
      vocabularySize: 13, hasGatedFeedForward: false, hasTiedEmbeddings: isTied, positionCount: 8)
  }

  static func llama(layers: Int) throws -> ModelDescription {
    try ModelDescription(
      name: "llama", family: .llama, layerCount: layers, hiddenSize: 16, headCount: 4, keyValueHeadCount: 2,
      feedForwardSize: 20, vocabularySize: 14, hasGatedFeedForward: true, hasTiedEmbeddings: false)
  }

  func with<Value>(_ part: WritableKeyPath<Self, Value>, _ value: Value) -> Self {
    var copy = self
    copy[keyPath: part] = value
    return copy
  }

  func job(seed: Int = 5) throws -> TrainingJob {
    var job = try TrainingJob(
      model: model(layers), sequenceLength: 8, globalBatch: globalBatch, precision: precision)
    job.zerothOrder = ZerothOrder(directionCount: directions, epsilon: 1e-3, learningRate: learningRate, seed: seed)
    return job
  }

  var strategy: Strategy {
    var strategy = Strategy(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: data], microBatch: microBatch,
      sharding: slices == 1
        ? nil : Sharding(weightDegree: slices, gradientDegree: slices, optimizerDegree: slices),
      usesSequenceParallelism: sequenceParallel)
    strategy.update = .zerothOrder
    strategy.perturbationDegree = perturbation
    strategy.hosting.holdsWeights = hosted != nil
    return strategy
  }

  func shape(seed: Int = 5) throws -> IterationShape {
    let job = try job(seed: seed), strategy = strategy
    #expect(
      strategy.violation(job: job, deviceCount: strategy.worldSize, hasFlashAttention: true, hasHost: true) == nil)
    let own = layers / pipeline
    return try IterationShape(
      job: job, strategy: strategy,
      split: Split(
        (0..<pipeline).map { $0 == 0 ? layers - own * (pipeline - 1) : own },
        choices: hosted.map { hosted in
          (0..<pipeline).map { _ in StageChoice(recomputedLayerCount: 0, hostedLayerCount: hosted) }
        }),
      schedule: PipelineSchedule(
        strategy.schedule, stageCount: pipeline, microBatchCount: strategy.microBatchCount(globalBatch: globalBatch)),
      paddedVocabularySize: 16, maximumGradientNorm: nil, routes: .inRankOrder(ofScalars: .ring))
  }

  func setting(seed: Int = 5, corpus: [Int] = []) throws -> ExecutionSetting {
    try ExecutionSetting(
      shape: shape(seed: seed), optimizer: OptimizerSettings(clippingNorm: nil), seed: 3, arithmetic: precision,
      corpus: corpus)
  }

  /// What is to be compared after each iteration.
  struct Step: Equatable {
    var losses: [Float]
    var parameters: [ModelPart: [Float]]
  }

  struct Result {
    var steps: [Step] = []
    var copiesAgree: [Bool] = []
    /// By rank, in one iteration.
    var uploadedBytes: [Int] = []
    var offloadedBytes: [Int] = []
    /// By sender, receiver and kind, in one iteration.
    var sentBytes: [[Int]] = []
  }

  /// Runs the layout's own programs, or others made of them.
  func run(
    _ stepCount: Int = 3, corpus: [Int] = [], usesThreads: Bool = false, seedOfRank: [Int: Int] = [:],
    _ edit: (inout [RankProgram]) -> Void = { _ in }
  ) throws -> Result {
    let setting = try setting(corpus: corpus)
    var programs = setting.shape.programs()
    #expect(setting.shape.defect(in: programs) == nil)
    edit(&programs)
    var settings: [Int: ExecutionSetting] = [:]
    for (rank, seed) in seedOfRank { settings[rank] = try self.setting(seed: seed, corpus: corpus) }
    var run = MiniatureRun(
      setting: setting, programs: programs, usesThreads: usesThreads, settingOfRank: settings)
    var result = Result()
    for _ in 0..<stepCount {
      try run.iterate()
      let parameters = run.parameters
      result.steps.append(
        Step(losses: run.ranks[0].machine.state.scalars, parameters: parameters.values))
      result.copiesAgree.append(parameters.replicasAgree)
    }
    result.uploadedBytes = run.ranks.map { $0.machine.uploadedBytes / stepCount }
    result.offloadedBytes = run.ranks.map { $0.machine.offloadedBytes / stepCount }
    result.sentBytes = run.ranks.map { $0.machine.sentBytes.map { $0 / stepCount } }
    return result
  }

  /// What one rank makes of it, with the same sequences in as many groups.
  func reference(_ stepCount: Int = 3, corpus: [Int] = []) throws -> [Step] {
    let setting = try setting(corpus: corpus)
    return SerialZerothOrder(
      model: SerialReference(
        shard: setting.referenceShard, globalBatch: globalBatch, microBatch: microBatch, settings: setting.optimizer),
      settings: setting.job.zerothOrder, shareCount: strategy.batchDegree
    ).run(stepCount: stepCount).map { Step(losses: $0.losses, parameters: $0.parameters) }
  }
}
