import Testing
import Training

@testable import Documents
@testable import Execution

/// However workers with outer steps are divided inside, the numbers are those of one rank; and rounds in which little is done
/// are the methods that they are said to be.
@Suite struct OuterAgreementTests {
  typealias Layout = OuterLayout

  static let steps: [OuterStep] = [1, 3].flatMap { period in
    [0, 1].map { OuterStep(period: period, staleness: $0) }
  }

  // MARK: The serial reference

  /// Workers of one rank, three of them so that the order of sums shows: to the bit.
  @Test(arguments: steps)
  func workersOfOneRankAgreeWithTheSerialReferenceToTheBit(step: OuterStep) throws {
    for format in [OuterStep.Format.fp32, .bf16] {
      for outer in [
        OuterOptimizer(), OuterOptimizer(momentum: 0, learningRate: 0.7), OuterOptimizer(clip: 1e-3),
        OuterOptimizer(penalty: .constant(2)), OuterOptimizer(penalty: .gapAware(1.5)),
      ] {
        var layout = Layout(workers: 3, step: step, outer: outer)
        layout.step.format = format
        let run = try layout.run(), reference = try layout.reference()
        #expect(run.parameters.count == 4 + step.staleness && reference.count == run.parameters.count)
        for (round, (found, expected)) in zip(run.parameters, reference).enumerated() {
          #expect(found == expected.parameters, "round \(round), \(outer), \(format)")
        }
        for (loss, expected) in zip(run.losses, try layout.losses()) { #expect(abs(loss - expected) < 1e-6) }
        #expect(run.agrees)
        #expect(run.parameters[1] != run.parameters[3])
      }
    }
  }

  static let divided: [Layout] = [
    Layout(data: 2), Layout(data: 2, zero: 1), Layout(data: 2, zero: 2), Layout(data: 2, zero: 3),
    Layout(tensor: 2), Layout(tensor: 2, data: 2, zero: 3), Layout(pipeline: 2), Layout(pipeline: 2, data: 2, zero: 1),
    Layout(tensor: 2, pipeline: 2), Layout(workers: 4, tensor: 2),
    Layout(pipeline: 2, model: { try ZerothOrderLayout.gpt(layers: 2, isTied: true) }),
    Layout(data: 2, zero: 1, model: { try ZerothOrderLayout.llama(layers: 2) }),
  ]

  /// Inside, a worker may be anything: as near to the serial reference as other layouts are.
  @Test(arguments: divided)
  func dividedWorkersAgree(layout: Layout) throws {
    for step in Self.steps {
      let layout = layout.with(\.step, step).with(\.rule, .sgd).with(\.learningRate, 0.1)
      let run = try layout.run(), reference = try layout.reference()
      let initial = try layout.setting().initialParameters
      for (found, expected) in zip(run.parameters, reference) {
        let error = outerError(found, expected.parameters, since: initial)
        #expect(error < 1e-4, "\(layout.testDescription)")
      }
      #expect(run.agrees, "\(layout.testDescription)")
    }
  }

  /// Check C.6: outer states that are divided as the optimizer is change no bit, where the inner gradients are the same
  /// numbers: added up in the order of ranks, over one micro-batch.
  @Test(arguments: steps, OuterStep.Format.allCases.filter { $0 != .int8 })
  func shardedOuterStatesEqualWholeOnesBitForBit(step: OuterStep, format: OuterStep.Format) throws {
    var plain = Layout(workers: 3, data: 4, step: step, microBatches: 1)
    plain.step.format = format
    let whole = try plain.run(3)
    for stage in 1...3 {
      let sharded = try plain.with(\.zero, stage).run(3)
      #expect(sharded.parameters == whole.parameters, "ZeRO \(stage)")
      #expect(sharded.agrees)
      let owned = sharded.ranks.map { $0.machine.state.parts.reduce(0) { $0 + ($1.outer?.anchor.count ?? 0) } }
      let all = whole.ranks[0].machine.state.parts.reduce(0) { $0 + ($1.outer?.anchor.count ?? 0) }
      for worker in 0..<3 { #expect(owned[worker * 4..<worker * 4 + 4].reduce(0, +) == all) }
    }
  }

  @Test func threadsGiveTheSameBits() throws {
    let layout = Layout(workers: 3, data: 2, zero: 3, step: OuterStep(period: 2, staleness: 1, format: .bf16))
    #expect(try layout.run(usesThreads: true).parameters == layout.run().parameters)
  }

  // MARK: What it is the same as

  /// Data-parallel training of as many replicas.
  private static func dataParallel(_ layout: Layout, _ stepCount: Int) throws -> [[ModelPart: [Float]]] {
    let setting = try layout.setting()
    return SerialReference(
      shard: setting.referenceShard, globalBatch: setting.job.globalBatch, microBatch: 1, settings: setting.optimizer
    ).run(stepCount: stepCount).steps.map(\.parameters)
  }

  static let plain = OuterOptimizer(momentum: 0, learningRate: 1)

  @Test func aPeriodOfOneOnTimeIsDataParallelSGD() throws {
    let layout = Layout(
      workers: 4, step: OuterStep(), outer: Self.plain, rule: .sgd, learningRate: 0.1)
    let run = try layout.run(5), reference = try Self.dataParallel(layout, 5)
    let initial = try layout.setting().initialParameters
    for (found, expected) in zip(run.parameters, reference) {
      // x − (x − γg) is γg but for a rounding of x.
      #expect(outerError(found, expected, since: initial) < 1e-5)
    }
  }

  /// x_{t+1} = x_t − γ·g(x_{t−1}): the first step does nothing.
  @Test func aPeriodOfOneAndLateIsSGDWithADelayOfOne() throws {
    let layout = Layout(
      workers: 2, step: OuterStep(period: 1, staleness: 1), outer: Self.plain, rule: .sgd, learningRate: 0.1)
    let run = try layout.run(5), tiny = try TinyTrainer(layout)
    let initial = try layout.setting().initialParameters
    #expect(run.parameters[0] == initial)
    var weights = tiny.initial, last: [[Float]]?
    for round in 0..<6 {
      let gradient = tiny.meanGradient(step: round, weights: weights)
      if let last {
        for part in weights.indices {
          for index in weights[part].indices { weights[part][index] -= 0.1 * last[part][index] }
        }
      }
      last = gradient
      if round < run.parameters.count {
        #expect(outerError(run.parameters[round], tiny.named(weights), since: initial) < 1e-5, "round \(round)")
      }
    }
  }

  /// Local SGD, written down once more by itself: workers step apart and meet at their mean; to the bit.
  @Test(arguments: [1, 2, 5])
  func onTimeWithoutMomentumIsLocalSGDToTheBit(period: Int) throws {
    let layout = Layout(
      workers: 3, step: OuterStep(period: period), outer: Self.plain, rule: .sgd, learningRate: 0.1)
    let run = try layout.run(3), tiny = try TinyTrainer(layout)
    var weights = tiny.initial
    for round in 0..<3 {
      let ends = tiny.localSteps(round: round, period: period, from: weights)
      for part in weights.indices {
        for index in weights[part].indices {
          let x = weights[part][index]
          weights[part][index] = x - ends.map { x - $0[part][index] }.reduce(0, +) / 3
        }
      }
      #expect(run.parameters[round] == tiny.named(weights), "round \(round)")
    }
  }

  /// SlowMo (Wang et al. 2020, algorithm 1): u ← β·u + (x − x̄)/γ, x ← x − α·γ·u, with γ constant.
  @Test func onTimeWithMomentumIsSlowMo() throws {
    let layout = Layout(
      workers: 3, step: OuterStep(period: 3), outer: OuterOptimizer(momentum: 0.6, learningRate: 0.9), rule: .sgd,
      learningRate: 0.1)
    let run = try layout.run(4), tiny = try TinyTrainer(layout)
    let initial = try layout.setting().initialParameters
    var weights = tiny.initial
    var slow = weights.map { [Float](repeating: 0, count: $0.count) }
    for round in 0..<4 {
      let ends = tiny.localSteps(round: round, period: 3, from: weights)
      for part in weights.indices {
        for index in weights[part].indices {
          let mean = ends.map { $0[part][index] }.reduce(0, +) / 3
          slow[part][index] = 0.6 * slow[part][index] + (weights[part][index] - mean) / 0.1
          weights[part][index] -= 0.9 * 0.1 * slow[part][index]
        }
      }
      #expect(outerError(run.parameters[round], tiny.named(weights), since: initial) < 1e-4, "round \(round)")
    }
  }

  /// PCCL's example: train a round, wait for the mean of the round before, step by it with SGD, and go on from there.
  @Test func lateWithoutMomentumIsAsynchronousDiLoCo() throws {
    let layout = Layout(
      workers: 3, step: OuterStep(period: 2, staleness: 1), outer: OuterOptimizer(momentum: 0, learningRate: 0.7),
      rule: .sgd, learningRate: 0.1)
    let run = try layout.run(4), tiny = try TinyTrainer(layout)
    var outer = tiny.initial
    var inFlight: [[Float]]?
    for round in 0...4 {
      // What closes a training trains no more.
      let ends = round < 4 ? tiny.localSteps(round: round, period: 2, from: outer) : []
      let progress = outer.indices.map { part in
        outer[part].indices.map { index in ends.map { outer[part][index] - $0[part][index] }.reduce(0, +) }
      }
      if let sum = inFlight {
        for part in outer.indices {
          for index in outer[part].indices { outer[part][index] -= 0.7 * (sum[part][index] / 3) }
        }
      }
      inFlight = progress
      #expect(run.parameters[round] == tiny.named(outer), "round \(round)")
    }
  }

  /// A single worker that steps all the way to where it has got trains as it would without outer steps.
  @Test func oneWorkerOnTimeIsPlainTraining() throws {
    for rule in [OptimizerSettings.Rule.adam(), .sgd] {
      let layout = Layout(workers: 1, step: OuterStep(period: 3), outer: Self.plain, rule: rule)
      let run = try layout.run(3), reference = try Self.dataParallel(layout, 9)
      let initial = try layout.setting().initialParameters
      for round in 0..<3 {
        // x − (x − w) is w but for a rounding.
        #expect(outerError(run.parameters[round], reference[3 * round + 2], since: initial) < 1e-4)
      }
    }
  }

  /// Late, it steps by its own last round, and by the last one at the end.
  @Test func oneWorkerMayBeLate() throws {
    let layout = Layout(workers: 1, data: 2)
    let run = try layout.run(), reference = try layout.reference()
    let initial = try layout.setting().initialParameters
    for (found, expected) in zip(run.parameters, reference) {
      #expect(outerError(found, expected.parameters, since: initial) < 1e-2)
    }
    #expect(run.parameters[0] == initial && run.parameters[4] != run.parameters[3])
  }

  // MARK: Clip and penalty

  @Test func aWideClipChangesNothingAndANarrowOneHolds() throws {
    let layout = Layout(data: 2, zero: 1), free = try layout.run()
    #expect(try layout.with(\.outer.clip, 1e6).run().parameters == free.parameters)
    let limit: Float = 1e-3
    let clipped = try layout.with(\.outer.clip, Double(limit)).run()
    #expect(clipped.parameters[3] != free.parameters[3])
    var largest: Float = 0
    for rank in clipped.ranks {
      for part in rank.machine.state.parts {
        for value in part.outer?.momentum ?? [] { largest = max(largest, abs(value)) }
      }
    }
    #expect(largest <= limit && largest > 0.9 * limit)
  }

  @Test func penaltiesOnlyShrink() throws {
    for penalty in [OuterOptimizer.Penalty.constant(3), .gapAware(1)] {
      let layout = Layout(outer: OuterOptimizer(penalty: penalty))
      for round in try layout.reference(6) { if let penalty = round.penalty { #expect(penalty >= 1) } }
      let free = try layout.with(\.outer.penalty, .constant(1)).reference(6)
      let some = try layout.reference(6)
      let initial = try layout.setting().initialParameters
      func moved(_ rounds: [SerialOuter.Round], _ round: Int) -> Double {
        rounds[round].parameters.reduce(0) { sum, part in
          zip(part.value, initial[part.key] ?? []).reduce(sum) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        }
      }
      // Of the first step Λ is 1 where nothing has moved before it.
      let isConstant = penalty == .constant(3)
      #expect(isConstant ? moved(some, 1) < moved(free, 1) : some[1].penalty == 1)
      #expect(moved(some, 2) < moved(free, 2))
    }
  }

  /// The norm of a gap-aware penalty is that of the whole anchor, however it is divided.
  @Test func gapAwareNormsAreOfTheWholeAnchor() throws {
    let outer = OuterOptimizer(penalty: .gapAware(2))
    for layout in [
      Layout(tensor: 2, outer: outer), Layout(data: 2, zero: 3, outer: outer), Layout(data: 4, outer: outer),
      Layout(pipeline: 2, data: 2, zero: 1, outer: outer),
      Layout(pipeline: 2, outer: outer, model: { try ZerothOrderLayout.gpt(layers: 2, isTied: true) }),
    ] {
      let layout = layout.with(\.rule, .sgd).with(\.learningRate, 0.1)
      let run = try layout.run(5), reference = try layout.reference(5)
      let initial = try layout.setting().initialParameters
      for (found, expected) in zip(run.parameters, reference) {
        #expect(outerError(found, expected.parameters, since: initial) < 1e-4, "\(layout.testDescription)")
      }
      #expect(run.agrees)
      #expect(reference.contains { ($0.penalty ?? 1) > 2 })
    }
  }

  // MARK: Rounded sums

  /// Check E.6: all workers are bit-identical after every reduce, rounded or not; and near what is not rounded.
  @Test(arguments: OuterStep.Format.allCases, steps)
  func roundedReducesLeaveAllWorkersIdentical(format: OuterStep.Format, step: OuterStep) throws {
    var layout = Layout(workers: 4, data: 2, zero: 1, step: step, rule: .sgd, learningRate: 0.1)
    let exact = try layout.run(3)
    layout.step.format = format
    let run = try layout.run(3)
    #expect(run.agrees)
    let initial = try layout.setting().initialParameters
    let error = outerError(run.parameters[2], exact.parameters[2], since: initial)
    #expect(format == .fp32 ? error == 0 : error > 0 && error < (format == .bf16 ? 0.01 : 0.05))
  }
}

/// Gradients of the small transformer for update rules that a test writes down by itself.
struct TinyTrainer {
  private let layout: OuterLayout
  private let setting: ExecutionSetting
  private let model: SerialReference
  let initial: [[Float]]
  var parts: [ModelPart] { model.layouts.map(\.part) }

  init(_ layout: OuterLayout) throws {
    self.layout = layout
    setting = try layout.setting()
    model = SerialReference(
      shard: setting.referenceShard, globalBatch: setting.job.globalBatch / layout.workers, microBatch: 1,
      settings: setting.optimizer)
    initial = model.layouts.map { $0.initialValues(seed: 3) }
  }

  func named(_ weights: [[Float]]) -> [ModelPart: [Float]] {
    Dictionary(uniqueKeysWithValues: zip(model.layouts.map(\.part), weights))
  }

  /// Of a worker's own sequences.
  func gradient(step: Int, worker: Int, weights: [[Float]]) -> [[Float]] {
    var gradients = weights.map { [Float](repeating: 0, count: $0.count) }
    for sequence in worker * model.globalBatch..<(worker + 1) * model.globalBatch {
      _ = model.pass(MicroBatch(step: step, sequences: [sequence]), weights: weights, gradients: &gradients)
    }
    return gradients
  }

  func meanGradient(step: Int, weights: [[Float]]) -> [[Float]] {
    let all = (0..<layout.workers).map { gradient(step: step, worker: $0, weights: weights) }
    return weights.indices.map { part in
      weights[part].indices.map { index in all.map { $0[part][index] }.reduce(0, +) / Float(layout.workers) }
    }
  }

  /// Where every worker gets to by SGD in a round.
  func localSteps(round: Int, period: Int, from weights: [[Float]]) -> [[[Float]]] {
    (0..<layout.workers).map { worker in
      var own = weights
      for step in round * period..<(round + 1) * period {
        let gradient = gradient(step: step, worker: worker, weights: own)
        for part in own.indices {
          for index in own[part].indices { own[part][index] -= layout.learningRate * gradient[part][index] }
        }
      }
      return own
    }
  }
}

extension OuterLayout {
  /// Of every round the mean over workers and iterations, by the serial reference.
  fileprivate func losses(_ roundCount: Int = 4) throws -> [Double] {
    try reference(roundCount).prefix(roundCount).map { round in
      let all = round.losses.flatMap(\.self)
      return all.reduce(0, +) / Double(all.count)
    }
  }
}
