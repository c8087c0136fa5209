import Costing
import Documents
import Training

/// What the ranks of a timed run have in common: which of them are simulated, and how long their steps take.
///
/// The ranks of a tensor group compute the same on equal shards and meet several times in every layer: one stands for all.
/// Where all links of a level are alike and stages fill whole instances of them, one rank stands for all replicas of its
/// stage, too, in all workers; otherwise every tensor group is simulated.
final class ClockSetting: Sendable {
  let model: CostModel
  let cost: IterationCost
  let shape: IterationShape
  /// The ranks that are simulated, ascending.
  let ranks: [Int]
  /// Whether one rank stands for all replicas of its stage.
  let areReplicasAlike: Bool

  private let places: [Int: Int]
  private let stages: [Int]
  /// By virtual stage: passes through its embedding, its recomputed and its kept layers, its head.
  private let passes: [[StagePart: StageCost.PartPasses]]
  /// By stage.
  let tails: [StageCost.Tail]
  /// By stage, the outer step and the all-reduce before it.
  let outer: [(step: Double, allReduce: Double)]
  /// By model of device, the steps of passes.
  private let steps: [StepSeconds]
  /// Whether flows share links.
  let contends: Bool

  /// - Parameters:
  ///   - contends: whether flows share links; the scalars that all ranks exchange are then priced, too, which the cost model
  ///     leaves out.
  ///   - roundIterationCount: of iterations in the programs of a round; nil is the strategy's period.
  init(
    _ model: CostModel, strategy: Strategy, split: Split, contends: Bool, roundIterationCount: Int? = nil
  ) {
    self.model = model
    self.contends = contends
    cost = model.cost(of: strategy)
    shape = IterationShape(
      model, strategy: strategy.with(\.outer.period, roundIterationCount ?? strategy.outer.period), split: split)
    let mesh = strategy.mesh
    areReplicasAlike = cost.areReplicasAlike
    let groups = mesh.groups(along: .tensor).map(\.first)
    ranks =
      areReplicasAlike
      ? groups.filter { rank in [.context, .data, .worker].allSatisfy { mesh.coordinate(ofRank: rank, along: $0) == 0 }
      } : groups
    places = Dictionary(uniqueKeysWithValues: ranks.enumerated().map { ($1, $0) })
    stages = ranks.map { mesh.coordinate(ofRank: $0, along: .pipeline) }
    let p = strategy.pipelineDegree, cost = cost
    passes = split.layerRanges.enumerated().map { virtualStage, range in
      let stage = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: p).stage
      let content = StageLayers(range, of: cost.kinds).content(split.choices?[stage])
      return Dictionary(
        uniqueKeysWithValues: [
          StagePart.embedding, .layer(.dense, isKept: false), .layer(.dense, isKept: true),
          .layer(.experts, isKept: false), .layer(.experts, isKept: true), .head,
        ].map { part in
          (
            part,
            cost[stage].passes(
              through: part, of: content, isLast: virtualStage == split.layerCounts.count - 1)
          )
        })
    }
    steps = model.stepSeconds(of: strategy, layout: cost.layout)
    tails = (0..<p).map { cost.tail(stage: $0, cost.content(of: split, stage: $0)) }
    outer = (0..<p).map { cost.outerSeconds(ofStage: $0, cost.content(of: split, stage: $0)) }
  }

  var mesh: Mesh { shape.mesh }

  /// Of the ranks that are simulated.
  var programs: [RankProgram] { shape.programs(ofRanks: ranks, in: .parts) }

  /// Where a rank is among those that are simulated; nil if another stands for it.
  func place(ofRank rank: Int) -> Int? { places[rank] }

  func stage(ofPlace place: Int) -> Int { stages[place] }

  // MARK: Computation

  /// A pass through a part of a stage's chunk, by cause.
  func causes(of part: ModelPart, _ step: PipelineStep, stage: Int) -> PassCauses {
    let virtualStage = shape.schedule.virtualStageIndex(stage: stage, chunk: step.chunkIndex)
    // The head's seconds are those of further predictions as well.
    if case .prediction = part { return PassCauses() }
    guard let passes = passes[virtualStage][stagePart(part)] else { return PassCauses() }
    return switch step.pass {
    case .forward: passes.forward
    case .backward: passes.backward
    case .inputGradient: passes.inputGradient
    case .weightGradient: passes.weightGradient
    }
  }

  /// The pieces and collectives of a pass, and the share of its time that each takes.
  func steps(of part: ModelPart, _ step: PipelineStep, stage: Int) -> [(step: Recipe.Step, share: Double)] {
    let own = steps[cost.paces[stage]]
    let passes: [Recipe.Pass] =
      switch step.pass {
      case .forward: [.forward]
      case .backward: shape.passesBack(through: part)
      case .inputGradient: shape.passesBack(through: part, .inputGradient)
      case .weightGradient: [.weightGradient]
      }
    let timed = passes.flatMap { own.steps(shape.recipe(of: part), $0) }
    let sum = timed.reduce(0) { $0 + $1.seconds }
    return sum > 0 ? timed.map { ($0.step, $0.seconds / sum) } : []
  }

  func stagePart(_ part: ModelPart) -> StagePart {
    switch part {
    case .embedding: .embedding
    case .layer, .experts:
      .layer(
        shape.recipe(of: part) == .expertBlock ? .experts : .dense,
        isKept: shape.strategy.recompute == .full && !shape.recomputes(part))
    case .head, .prediction: .head
    }
  }

  func seconds(of operation: ProgramStep.Operation, place: Int) -> Double {
    let stage = stages[place]
    switch operation {
    case .upload(let transfer), .offload(let transfer): return seconds(of: transfer, stage: stage)
    case .compute(let computation):
      guard !shape.isZerothOrder else {
        return visitSeconds(
          of: computation, stage: stage, replica: mesh.coordinate(ofRank: ranks[place], along: .data))
      }
      return seconds(of: computation, stage: stage)
    case .collective, .send, .receive: return 0
    }
  }

  private func seconds(of computation: Computation, stage: Int) -> Double {
    switch computation {
    case .pass(let part, let step): causes(of: part, step, stage: stage).seconds
    case .updateParameters: tails[stage].optimizerSeconds + tails[stage].quantisingSeconds + fixedSecondsInIteration
    case .outerStep: outer[stage].step
    default: 0
    }
  }

  /// What is paid once an iteration whatever the strategy. In a round it takes its time within each iteration, with its
  /// optimizer's step: what is in flight goes on meanwhile.
  var fixedSecondsInIteration: Double { shape.strategy.update == .outer ? cost.fixedSeconds : 0 }

  // MARK: Links

  /// Members of a collective that are simulated.
  func memberCount(_ collective: Collective) -> Int { collective.group.count { places[$0] != nil } }

  /// A transfer between two stages.
  func price(of transfer: Transfer, from place: Int, to other: Int) -> FlowPrice {
    let from = ranks[place], to = ranks[other]
    let byteCount = transfer.elementCount * transfer.elementByteCount
    let seconds = model.transferSeconds(fromRank: from, toRank: to, byteCount: byteCount)
    let gather = max(cost[stages[place]].boundaryGatherSeconds, cost[stages[other]].boundaryGatherSeconds)
    let senders =
      areReplicasAlike ? mesh.blockSize(below: .pipeline) : mesh.degree(of: .tensor)
    return FlowPrice(
      // Ranks that hold the whole tensor gather what others of their group have received.
      latencySeconds: seconds.latencySeconds + gather, bytesSeconds: seconds.bytesSeconds,
      uses: contends && seconds.bytesSeconds > 0
        ? model.uses(
          fromRank: from, toRank: to, senderCount: senders,
          bytesPerSecond: Double(byteCount) / seconds.bytesSeconds) : [])
  }
}
