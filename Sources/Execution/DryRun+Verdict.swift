import Costing
import Documents
import Training

extension DryRun {
  /// Executes given programs of a miniature: its own, or others that a test made of them.
  ///
  /// - Parameter castingOfRank: of ranks that a test lets cast otherwise.
  init(
    _ miniature: Miniature, options: Options, shape: IterationShape, programs: [RankProgram],
    castingOfRank: [Int: (Casting?) -> Casting?] = [:]
  ) throws(Failure) {
    let job = miniature.model.job
    let arithmetic = options.emulatesPrecision ? job.precision : .fp32
    let optimizer = options.executed(for: job)
    let clippingNorm = shape.maximumGradientNorm.map(Float.init)
    guard
      let settings = shape.isZerothOrder
        ? OptimizerSettings(rule: .sgd, clippingNorm: nil)
        : OptimizerSettings(optimizer, arithmetic: arithmetic, clippingNorm: clippingNorm)
    else { throw Failure(description: options.unsupported(for: job) ?? "") }
    var setting = ExecutionSetting(
      shape: shape, optimizer: settings, seed: options.seed, arithmetic: arithmetic,
      errorFeedback: options.errorFeedback, keepsMastersBesideHost: miniature.model.framework.keepsMastersBesideHost,
      balancesExperts: options.balancesExperts)
    setting.casting = miniature.casting(seed: options.seed)
    let tolerances = Self.tolerances(
      of: arithmetic, optimizer.rule, quantisations: programs.quantisations,
      outerFormat: miniature.strategy.outer.format, iterationCount: shape.iterationCount())
    // Where sums alone make a difference, numbers that they may round either way are followed.
    let record = RoundingRecord()
    let follows = setting.casting != nil && arithmetic == .fp32 && programs.quantisations.isEmpty
    if follows {
      setting.casting?.windows = .init(
        first: 2 * Float(tolerances.firstScalars), later: 2 * Float(tolerances.laterScalars))
      setting = setting.rounding(.noted(record))
    }

    let initial = setting.initialParameters
    var run = MiniatureRun(
      setting: setting, programs: programs, usesThreads: options.usesThreads,
      settingOfRank: castingOfRank.mapValues { change in
        var other = setting
        other.casting = change(setting.casting)
        return other
      })
    var ran: [(loss: Double, norm: Double, parameters: [ModelPart: [Float]], replicasAgree: Bool, castsAgree: Bool)] =
      []
    var passes = (idle: 0, busy: 0)
    let stretches = shape.stretches(count: options.stepCount)
    var loaded = Stretch.usual
    func iterate(_ stretch: Stretch) throws(Failure) {
      if stretch != loaded { run.load(stretch == .usual ? programs : shape.programs(stretch)) }
      loaded = stretch
      do { try run.iterate() } catch { throw Failure(description: "\(error)") }
    }
    // Of iterations; what closes a training gathers weights once more.
    var sentInIterations: [[Int]] = []
    for index in 0..<options.stepCount {
      try iterate(stretches[index])
      let makespan = run.ranks.map(\.machine.clock).max() ?? 0
      passes = (makespan - (run.ranks.map(\.machine.passCount).min() ?? 0), makespan)
      let loss = run.loss, norm = run.gradientNorm
      if index == options.stepCount - 1 {
        sentInIterations = run.ranks.map(\.machine.sentBytes)
        if stretches.count > options.stepCount { try iterate(.closing) }
      }
      let parameters = run.parameters
      ran.append((loss, norm, parameters.values, parameters.replicasAgree, run.castWeightsAgree))
    }
    // After the run, whose roundings it may follow.
    let reference = (follows ? setting.rounding(.followed(record.codes)) : setting)
      .reference(microBatch: miniature.strategy.microBatch, stepCount: options.stepCount)
    steps = zip(ran, reference).map { ran, expected in
      let (error, part) = Self.largestError(ran.parameters, reference: expected.parameters, since: initial)
      return Step(
        loss: Comparison(executed: ran.loss, reference: expected.loss),
        gradientNorm: Comparison(executed: ran.norm, reference: expected.gradientNorm),
        parameterError: error, worstPart: part, replicasAgree: ran.replicasAgree, castsAgree: ran.castsAgree)
    }
    self.options = options
    self.optimizer = optimizer
    programStepCount = programs.reduce(0) { $0 + $1.steps.count }
    traffic =
      Self.traffic(
        of: run, sentInIterations, stepCount: options.stepCount, miniature: miniature, choices: reference.map(\.choices)
      )
      + Self.hostTraffic(of: run, stepCount: options.stepCount, miniature: miniature)
      + Self.updateTraffic(of: run, stepCount: options.stepCount, miniature: miniature)
    do {
      memory = Self.memory(of: run, miniature: miniature, job: try job.with(optimizer))
      bubble = Bubble(
        executedPasses: passes.idle, expectedPasses: try shape.schedule.bubblePassCount() * shape.iterationCount())
    } catch {
      throw Failure(description: "\(error)")
    }
    self.tolerances =
      shape.isZerothOrder ? Self.tolerances(of: arithmetic, shape, reference: reference) : tolerances
    disagreements =
      Self.disagreements(
        steps: steps, traffic: traffic, memory: memory, bubble: bubble, tolerances: self.tolerances)
      + (record.conflictCount == 0 ? [] : ["ranks have rounded the same number differently"])
  }

  /// What may remain between sums in one order and in another: of losses and norms some units in the last place of the
  /// format, from the second step on with what the parameters differ by. A step of Adam divides a gradient by its own
  /// size, so that where that is near epsilon a difference of one unit becomes many; descent along the gradient does not.
  ///
  /// Quantised numbers are off by up to one code: 2⁻⁷ of a group's largest weight, 2⁻³ of its largest gradient, the latter
  /// in each of two hops. So the first loss may differ by two codes of the weights, or not at all where those are not
  /// quantised; the first norm by two codes; under plain descent a parameter by both hops' codes of gradients that are twice
  /// as large on one replica as in the mean, 4 · 2⁻³ of the largest change, and by what a network makes of weights that
  /// are off, 32 · 2⁻⁷; later norms with the parameters. Adam's change of a parameter has its size whatever the
  /// gradient's, and a gradient below its code may have either sign: it may differ by two changes.
  ///
  /// What workers have moved by is rounded once by each and once more, and by the reference in another place: by up to two
  /// codes of the largest change in a parameter, 2 · 2⁻⁷ or 2 · 2⁻⁸, and again in each round that is pending.
  ///
  /// - Parameters:
  ///   - quantisations: how what replicas send each other is quantised, as far as it is.
  ///   - outerFormat: how workers send each other what they have moved by.
  ///   - iterationCount: of a step: after the first iteration of a round parameters are not the same any more.
  static func tolerances(
    of arithmetic: Precision, _ rule: Documents.Optimizer.Rule, quantisations: Set<Quantisation> = [],
    outerFormat: OuterStep.Format = .fp32, iterationCount: Int = 1
  ) -> Tolerances {
    let unit = arithmetic.unitRoundoff
    let isAdam = rule == .adam
    let weightCode = quantisations.contains(.weights) ? 0x1p-7 : 0
    let gradientCode = quantisations.contains(.gradients) ? 0x1p-3 : 0
    let outerCode: Double =
      switch outerFormat {
      case .fp32: 0
      case .bf16: 0x1p-8
      case .int8: 0x1p-7
      }
    let code = max(weightCode, gradientCode), spread = 32 * weightCode + 4 * gradientCode
    let first = 0x1p6 * unit, later = max((isAdam ? 0x1p10 : 0x1p8) * unit, spread, 4 * outerCode)
    return Tolerances(
      firstLoss: iterationCount > 1 ? later : max(first, 2 * weightCode),
      firstScalars: iterationCount > 1 ? later : max(first, 2 * code), laterScalars: later,
      parameters: max((isAdam ? 0x1p18 : 0x1p10) * unit, spread > 0 && isAdam ? 2 : spread, 4 * outerCode))
  }

  /// The part of the model that is furthest from the reference, in units of the largest change of any of its parameters. The
  /// routed experts of a layer are one part: of one that few tokens count for, a change may be as small as rounding.
  private static func largestError(
    _ values: [ModelPart: [Float]], reference: [ModelPart: [Float]], since initial: [ModelPart: [Float]]
  ) -> (error: Double, part: String) {
    var worst = (error: 0.0, part: "none")
    var ofExperts: [Int: Double] = [:]
    for (part, expected) in reference {
      guard case .experts(let layer, _) = part, let before = initial[part] else { continue }
      let largest = zip(expected, before).reduce(0) { max($0, abs(Double($1.0) - Double($1.1))) }
      ofExperts[layer] = max(ofExperts[layer] ?? 0, largest)
    }
    for (part, expected) in reference.sorted(by: { $0.key < $1.key }) {
      guard let found = values[part], let before = initial[part] else { return (.infinity, "\(part)") }
      var change = 0.0, difference = 0.0
      if case .experts(let layer, _) = part { change = ofExperts[layer] ?? 0 }
      for index in expected.indices {
        guard found[index].isFinite else { return (.infinity, "\(part)") }
        change = max(change, abs(Double(expected[index]) - Double(before[index])))
        difference = max(difference, abs(Double(expected[index]) - Double(found[index])))
      }
      let error = difference == 0 ? 0 : difference / max(change, .leastNormalMagnitude)
      if error > worst.error { worst = (error, "\(part)") }
    }
    return worst
  }

  // MARK: Bytes

  /// - Parameters:
  ///   - sentInIterations: by rank, up to the last iteration.
  ///   - choices: by step, what the reference's tokens were sent to: bytes that go where routers say are counted by them.
  private static func traffic(
    of run: MiniatureRun, _ sentInIterations: [[Int]], stepCount: Int, miniature: Miniature,
    choices: [[Int: [Int: [Int]]]]
  ) -> [Traffic] {
    let model = miniature.model
    var counted = model.traffic(
      of: miniature.strategy, split: miniature.split, routes: miniature.routes,
      gatheredFormat: miniature.gatheredFormat)
    if let routed = RoutedTraffic(run.setting, choices: choices) {
      counted.removeAll(.expert)
      for from in run.ranks.indices {
        for to in run.ranks.indices where to != from {
          counted.add(
            routed.byteCount(from: from, to: to) / stepCount, kind: .expert, fromRank: from,
            level: model.linkLevel(fromRank: from, toRank: to))
        }
      }
    }
    var executed = TrafficCount(rankCount: run.ranks.count, levelCount: model.cluster.levels.count)
    for rank in run.ranks {
      for receiver in run.ranks.indices where receiver != rank.number {
        let level = model.linkLevel(fromRank: rank.number, toRank: receiver)
        for kind in TrafficKind.allCases {
          let index = receiver * TrafficKind.allCases.count + kind.index
          // What is sent once a round.
          let bytes =
            kind == .outer
            ? rank.machine.sentBytes[index] / stepCount
            : sentInIterations[rank.number][index] / (stepCount * run.setting.shape.iterationCount())
          executed.add(bytes, kind: kind, fromRank: rank.number, level: level)
        }
      }
    }
    return TrafficKind.allCases.flatMap { kind in
      model.cluster.levels.enumerated().compactMap { level, description -> Traffic? in
        let row = Traffic(
          kind: kind.rawValue, level: description.name, executedBytes: executed.byteCount(kind, level: level),
          countedBytes: counted.byteCount(kind, level: level),
          disagreeingRankCount: run.ranks.indices.count {
            executed.byteCount(kind, level: level, fromRank: $0) != counted.byteCount(kind, level: level, fromRank: $0)
          })
        return row.executedBytes == 0 && row.countedBytes == 0 ? nil : row
      }
    }
  }

  /// - Parameter job: the miniature's, with the optimizer that ran, which may keep less than the plan's.
  private static func memory(of run: MiniatureRun, miniature: Miniature, job: TrainingJob) -> [Memory] {
    let model = miniature.model, p = miniature.strategy.pipelineDegree
    let memoryModel = MemoryModel(
      job: job, device: model.cluster.device, framework: model.framework, strategy: miniature.strategy)
    return (0..<p).flatMap { stage in
      let content = miniature.split.stage(stage, of: LayerKinds(of: job.model))
      // Each kind has its own worst moment: offloaded optimizer states are as large as any others during the step.
      let onDevice = content.choice.map {
        StageChoice(recomputedLayerCount: $0.recomputedLayerCount, hostedLayerCount: $0.hostedLayerCount)
      }
      let counted = memoryModel.stageMemory(stage: stage, content.with(choice: onDevice))
      let offloaded = memoryModel.stageMemory(stage: stage, content).hostBytes
      // Where a stage's chunks are not alike, what is in flight depends on which of them it is of.
      let schedule = run.setting.shape.schedule
      let activations =
        miniature.split.hasUnlikeChunks(ofStage: stage, LayerKinds(of: job.model), schedule)
        ? memoryModel.walkedActivationBytes(stage: stage, miniature.split, LayerKinds(of: job.model), schedule)
        : counted.activationBytes
      let ranks = run.ranks.filter { $0.machine.state.place[.pipeline] == stage }
      func row(_ kind: MemoryAccount.Kind, _ name: String, _ bytes: Int) -> Memory {
        Memory(
          stage: stage, kind: name, executedBytes: ranks.map { $0.machine.state.memory.peakBytes(kind) }.max() ?? 0,
          countedBytes: bytes)
      }
      return [
        row(.weights, "weights", counted.weightBytes), row(.gradients, "gradients", counted.gradientBytes),
        row(.optimizer, "optimizer", counted.optimizerBytes),
        row(.activations, "activations", activations),
        row(.outer, "outer", counted.outerBytes), row(.host, "offloaded", offloaded),
      ]
      // Rows of experts are counted as many on every rank, and are where routers send them, unless all are filled up.
      .filter {
        run.setting.balancesExperts || job.expertCapacity.pads || job.model.experts == nil || $0.kind != "activations"
      }
      .filter { $0.executedBytes != 0 || $0.countedBytes != 0 || !["outer", "offloaded"].contains($0.kind) }
    }
  }

  // MARK: Verdict

  private static func disagreements(
    steps: [Step], traffic: [Traffic], memory: [Memory], bubble: Bubble, tolerances: Tolerances
  ) -> [String] {
    var sentences: [String] = []
    for (index, step) in steps.enumerated() {
      let scalars = index == 0 ? tolerances.firstScalars : tolerances.laterScalars
      for (name, error, limit) in [
        ("the loss", step.loss.relativeError, index == 0 ? tolerances.firstLoss : scalars),
        ("the gradient's norm", step.gradientNorm.relativeError, scalars),
        ("the update of \(step.worstPart)", step.parameterError, tolerances.parameters),
      ] where !(error <= limit) {
        sentences.append("step \(index): \(name) differs from the serial reference's by \(error), more than \(limit)")
      }
      if !step.replicasAgree { sentences.append("step \(index): replicas hold different parameters") }
      if !step.castsAgree { sentences.append("step \(index): replicas multiply by different weights") }
    }
    for row in traffic where row.executedBytes != row.countedBytes || row.disagreeingRankCount > 0 {
      sentences.append(
        "\(row.kind) traffic across \(row.level): \(row.executedBytes) bytes were sent, \(row.countedBytes) are counted"
          + (row.disagreeingRankCount > 0 ? ", \(row.disagreeingRankCount) ranks differ" : ""))
    }
    for row in memory where row.executedBytes != row.countedBytes {
      sentences.append(
        "\(row.kind) of stage \(row.stage): \(row.executedBytes) bytes were held, \(row.countedBytes) are counted")
    }
    if bubble.executedPasses != bubble.expectedPasses {
      sentences.append(
        "\(bubble.executedPasses) passes of bubble were executed, the schedule says \(bubble.expectedPasses)")
    }
    return sentences
  }
}

extension [RankProgram] {
  /// How what their collectives move is quantised, as far as it is.
  fileprivate var quantisations: Set<Quantisation> {
    var found: Set<Quantisation> = []
    for program in self {
      for case .collective(let collective) in program.steps.map(\.operation) where collective.traffic != .outer {
        if let quantisation = collective.quantisation { found.insert(quantisation) }
      }
    }
    return found
  }
}

extension Split {
  /// Whether a stage's chunks have layers of different kinds, or other numbers of them, and backward passes are whole; or of
  /// passes that run beside each other layer by layer, whether these keep different amounts.
  fileprivate func hasUnlikeChunks(ofStage stage: Int, _ kinds: LayerKinds, _ schedule: PipelineSchedule) -> Bool {
    guard !schedule.splitsBackward else { return false }
    let chunks = (0..<schedule.chunkCount).map {
      kinds.counts(in: layerRanges[schedule.virtualStageIndex(stage: stage, chunk: $0)])
    }
    let isCombined = schedule.steps(ofStage: stage).indices.contains { schedule.isPaired($0, ofStage: stage) }
    return chunks.contains { $0 != chunks[0] } || isCombined && chunks[0].dense > 0 && chunks[0].experts > 0
  }
}

extension ExecutionSetting {
  /// The whole model on one rank. The vocabulary is padded as for the ranks, so that padded rows exist in neither.
  var referenceShard: ModelShard {
    ModelShard(
      model: job.model, sequenceLength: job.sequenceLength, usesFlashAttention: strategy.usesFlashAttention,
      paddedVocabularySize: shape.paddedVocabularySize, seed: seed, elementByteCount: job.precision.byteCount,
      arithmetic: arithmetic, dropsOut: !shape.isZerothOrder, corpus: corpus, balancesExperts: balancesExperts,
      expertCapacity: job.expertCapacity,
      sources: TokenSources(division: strategy.contextDivision, tensorDegree: strategy.tensorDegree),
      casting: referenceCasting)
  }

  /// What one rank makes of the same training.
  func reference(microBatch: Int, stepCount: Int) -> [SerialReference.Step] {
    let model = SerialReference(
      shard: referenceShard, globalBatch: strategy.workerBatch(globalBatch: job.globalBatch), microBatch: microBatch,
      settings: optimizer)
    if strategy.update == .outer {
      return SerialOuter(
        model: model, workerCount: strategy.workerDegree, step: strategy.outer, settings: job.outer
      ).steps(roundCount: stepCount)
    }
    guard shape.isZerothOrder else { return model.run(stepCount: stepCount).steps }
    return SerialZerothOrder(model: model, settings: job.zerothOrder, shareCount: strategy.batchDegree)
      .run(stepCount: stepCount).map {
        SerialReference.Step(
          loss: $0.losses.mean, gradientNorm: $0.gradients.rootMeanSquare, parameters: $0.parameters)
      }
  }

  /// Layouts of all parts at tensor degree 1, each expert by itself.
  var referenceLayouts: [ParameterLayout] {
    SerialReference(shard: referenceShard, globalBatch: 1, microBatch: 1, settings: optimizer).layouts
  }

  var initialParameters: [ModelPart: [Float]] {
    Dictionary(uniqueKeysWithValues: referenceLayouts.map { ($0.part, $0.initialValues(seed: seed)) })
  }
}

extension DryRun.Options {
  /// Why a job's optimizer is not executed; nil if it is.
  func unsupported(for job: TrainingJob) -> String? {
    let optimizer = executed(for: job)
    guard OptimizerSettings(optimizer, arithmetic: .fp32, clippingNorm: nil) == nil else { return nil }
    return "steps of \(optimizer.words) are not executed: --optimizer adam or sgd runs the plan with others"
  }

  /// The optimizer that runs: the plan's own, or one with its master weights.
  fileprivate func executed(for job: TrainingJob) -> Documents.Optimizer {
    switch optimizer {
    case .planned: job.optimizer
    case .adam: Documents.Optimizer(masterWeights: job.optimizer.masterWeights)
    case .sgd: Documents.Optimizer(.sgd, masterWeights: job.optimizer.masterWeights)
    }
  }
}

extension OptimizerSettings {
  /// How a miniature is trained by an optimizer; nil where it is none that is executed.
  ///
  /// - Parameter arithmetic: the format to which the weights are rounded; moments are rounded to theirs where that is
  ///   not fp32.
  fileprivate init?(_ optimizer: Documents.Optimizer, arithmetic: Precision, clippingNorm: Float?) {
    // Blocks of 8-bit codes are cut where a shard begins, so that no division gives the same numbers as another.
    guard optimizer.moments != .int8 else { return nil }
    switch optimizer.rule {
    case .adam: self.init(rule: .adam(), learningRate: 1e-3, clippingNorm: clippingNorm)
    case .momentum: self.init(rule: .momentum(), learningRate: 0.1, clippingNorm: clippingNorm)
    case .sgd: self.init(rule: .sgd, learningRate: 0.1, clippingNorm: clippingNorm)
    case .muon, .adafactor: return nil
    }
    kept = optimizer
    if arithmetic.is16Bit, optimizer.moments == .bf16 { momentFormat = .bf16 }
    if optimizer.masterWeights == .none { masterFormat = arithmetic }
  }
}
