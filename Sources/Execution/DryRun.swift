import Costing
package import Documents
import Training

/// A miniature that was executed, and how what happened compares with a serial reference, with the counts of the cost
/// model and with the schedule.
package struct DryRun: Sendable {
  /// How to execute.
  package struct Options: Sendable, Equatable {
    package enum Optimizer: String, Sendable, CaseIterable {
      /// The plan's own.
      case planned
      case adam, sgd
    }

    /// Optimizer steps, at least 1.
    package var stepCount: Int
    package var optimizer: Optimizer
    /// Whether every rank has a thread of its own; the numbers are the same.
    package var usesThreads: Bool
    /// Whether what is kept or sent is rounded to the job's precision.
    package var emulatesPrecision: Bool
    /// Of parameters, data and dropout.
    package var seed: UInt64
    /// Whether tokens are dealt out to experts in turn, so that all have as many, as the plan counts them; otherwise they go
    /// where routers send them.
    package var balancesExperts: Bool
    /// Whether quantised exchanges of gradients make up for what they left out; nil if not.
    package var errorFeedback: ErrorFeedback?

    package init(
      stepCount: Int = 3, optimizer: Optimizer = .planned, usesThreads: Bool = false, emulatesPrecision: Bool = false,
      seed: UInt64 = 1, errorFeedback: ErrorFeedback? = nil, balancesExperts: Bool = true
    ) {
      self.stepCount = stepCount
      self.optimizer = optimizer
      self.usesThreads = usesThreads
      self.emulatesPrecision = emulatesPrecision
      self.seed = seed
      self.errorFeedback = errorFeedback
      self.balancesExperts = balancesExperts
    }
  }

  /// One number of a run beside the same of the reference.
  package struct Comparison: Sendable, Equatable {
    package let executed: Double
    package let reference: Double

    /// Difference, relative to the reference.
    package var relativeError: Double {
      executed == reference ? 0 : abs(executed - reference) / max(abs(reference), .leastNormalMagnitude)
    }
  }

  /// One optimizer step; of workers one round of them, with its outer step.
  package struct Step: Sendable, Equatable {
    /// Mean over all tokens, before the update; of a round over all its iterations and workers.
    package let loss: Comparison
    /// Of the whole model, before clipping; of a round the mean, too.
    package let gradientNorm: Comparison
    /// Of all parameters after the update: the largest difference over the largest change since the beginning.
    package let parameterError: Double
    /// The part of the model in which that is.
    package let worstPart: String
    /// Whether replicas that should hold the same parameters do, bit for bit: after outer steps those of all workers.
    package let replicasAgree: Bool
    /// Whether ranks that hold the same weights have cast them to the same numbers.
    package let castsAgree: Bool
  }

  /// Bytes of a kind that crossed a level of links in one iteration, over all ranks; of outer steps in one round.
  package struct Traffic: Sendable, Equatable {
    package let kind: String
    package let level: String
    package let executedBytes: Int
    package let countedBytes: Int
    /// Ranks that did not send what was counted for them.
    package let disagreeingRankCount: Int
  }

  /// The most bytes that ranks of a stage held of a kind at once.
  package struct Memory: Sendable, Equatable {
    package let stage: Int
    package let kind: String
    package let executedBytes: Int
    package let countedBytes: Int
  }

  /// Idle passes of the stage that idles longest, all passes taken to be of one length.
  package struct Bubble: Sendable, Equatable {
    package let executedPasses: Int
    package let expectedPasses: Int
  }

  /// Largest errors that are agreement.
  package struct Tolerances: Sendable, Equatable {
    /// Of the first step's loss, relative: parameters are still the same.
    package let firstLoss: Double
    /// Of its gradient norm.
    package let firstScalars: Double
    /// Of those of later steps.
    package let laterScalars: Double
    /// Of a part's parameters, relative to their largest change.
    package let parameters: Double
  }

  package let options: Options
  /// The optimizer that ran.
  package let optimizer: Documents.Optimizer
  package let steps: [Step]
  package let traffic: [Traffic]
  package let memory: [Memory]
  package let bubble: Bubble
  /// Steps of all programs in one iteration.
  package let programStepCount: Int
  /// How large errors may be.
  package let tolerances: Tolerances
  /// What does not agree, a sentence each; empty when everything does.
  package let disagreements: [String]

  /// Why a plan's miniature could not be executed to its end.
  package struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
  }

  /// Executes a miniature.
  ///
  /// - Throws: ``Failure``, with the reason, when its programs contradict each other or come to no end.
  package init(_ miniature: Miniature, options: Options = Options()) throws(Failure) {
    if let sentence = miniature.unsupported(options) { throw Failure(description: sentence) }
    let shape = miniature.shape
    let programs = shape.programs()
    for stretch in Stretch.allCases where stretch == .usual || shape.isLate {
      let programs = stretch == .usual ? programs : shape.programs(stretch)
      if let defect = shape.defect(in: programs, stretch) { throw Failure(description: "\(defect)") }
    }
    try self.init(miniature, options: options, shape: shape, programs: programs)
  }
}

extension Strategy {
  /// What the executor does not do, neither on numbers nor on a clock; nil where it does.
  package var notExecuted: String? {
    // Of weights on the host it runs zeroth-order training, which takes a layer up once for all that it is needed for.
    let parts = [
      hosting.holdsWeights && update.hasGradients ? "weights on the host" : nil,
      hosting.activations != .onDevice ? "activations on the host" : nil,
    ].compactMap { $0 }
    return parts.isEmpty ? nil : "\(parts.joined(separator: " and ")) are not executed"
  }
}

extension Miniature {
  /// What the executor does not do; nil if it can run the miniature.
  package func unsupported(_ options: DryRun.Options = DryRun.Options()) -> String? {
    if let sentence = strategy.notExecuted { return sentence }
    if strategy.update == .zerothOrder { return nil }
    if let sentence = options.unsupported(for: model.job) { return sentence }
    if strategy.zeroStage >= .gradients, strategy.copiesTokenTable(of: model.job.model) {
      let what = model.job.model.hasTiedEmbeddings ? "tied embeddings" : "the token table of further predictions"
      return "ZeRO \(strategy.zeroStage.rawValue) with \(what) on two pipeline stages is not executed: "
        + "their shards differ"
    }
    if strategy.sharding.isQuantised, strategy.tensorDegree > 1 {
      return
        "quantised collectives with a tensor degree of \(strategy.tensorDegree) are not executed: ranks of a tensor "
        + "group quantise the parameters that all of them hold with steps of their own, and let them drift apart"
    }
    if strategy.outerExclusion(model.job.model) != nil {
      return
        "progress that workers quantise is not executed where ranks of a tensor group, or two stages, hold the same "
        + "parameters: each would quantise them with steps of its own, and let them drift apart"
    }
    return nil
  }

  /// What its programs are lowered from.
  var shape: IterationShape {
    IterationShape(model, strategy: strategy, split: split, routes: routes, gatheredFormat: gatheredFormat)
  }

  /// The routes that the plan's messages would take over the miniature's groups: its own are so small that all would go by the
  /// way of least latency.
  var routes: CollectiveRoutes {
    let model = model, scale = messageScale, isZerothOrder = strategy.update == .zerothOrder
    let isRagged = strategy.dispatcher != .allGather
    return CollectiveRoutes { question in
      // Wherever the plan's own would be added up: in the order of ranks losses are the serial reference's to the bit.
      if isZerothOrder, question.operand.isOfScalars { return .direct }
      // Rows of which every rank has others go straight to where they belong.
      if case .routed = question.operand, isRagged, question.kind != .allToAll { return .direct }
      let planned = Double(question.byteCount) * scale.factor(of: question.operand)
      return model.route(of: question.kind, over: question.group, byteCount: Int(planned.rounded()))
    }
  }
}

/// By how much a plan's messages are larger than its miniature's.
package struct MessageScale: Sendable, Equatable {
  /// Of whole activations.
  let activations: Double
  /// Of one number a token.
  let tokens: Double
  /// Of weights and gradients, a layer's.
  let parameters: Double

  init(from planned: TrainingJob, _ strategy: Strategy, to job: TrainingJob, _ small: Strategy) {
    func tokens(_ job: TrainingJob, _ strategy: Strategy) -> Double {
      Double(strategy.tokenCount(job))
    }
    func layer(_ job: TrainingJob, _ strategy: Strategy) -> Double {
      Double(job.model.layerParameters(.dense).perRank(tensorDegree: strategy.tensorDegree))
    }
    self.tokens = tokens(planned, strategy) / tokens(job, small)
    activations = self.tokens * Double(planned.model.hiddenSize) / Double(job.model.hiddenSize)
    parameters = layer(planned, strategy) / layer(job, small)
  }

  func factor(of operand: Operand) -> Double {
    switch operand {
    case .stream, .branch, .columnInput, .joined, .columns, .arrived, .attention, .routed: activations
    case .tokenMaximum, .tokenTarget, .tokenSum: tokens
    case .exchanged(let exchange, _, _): [.scalars, .anchorStep].contains(exchange.content) ? 1 : parameters
    }
  }
}
