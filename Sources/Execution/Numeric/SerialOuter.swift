import Documents
import Training

/// Workers with outer steps, one after the other on one rank: what plans of such have to agree with.
///
/// Where a worker is one rank, and what workers have moved by is added up in their order, the agreement is to the bit. Codes
/// are cut by rank, so that what is sent in 8 bits is here exact.
struct SerialOuter: Sendable {
  /// What one round did.
  struct Round: Sendable {
    /// By worker, of every iteration, before its update.
    let losses: [[Double]]
    let gradientNorms: [[Double]]
    /// The anchor after the round's outer step, by part, as full tensors (tensor degree 1): where every worker goes on.
    let parameters: [ModelPart: [Float]]
    /// What the outer step kept, by part; empty without momentum.
    let momenta: [[Float]]
    /// Λ of the round's outer step; nil where it took none.
    let penalty: Float?
  }

  /// Of one worker: its global batch is a worker's own.
  let model: SerialReference
  let workerCount: Int
  let step: OuterStep
  let settings: OuterOptimizer

  /// Trains from the initial values.
  ///
  /// - Returns: every round, and where steps are late one more of no iterations, by what was still in flight.
  func run(roundCount: Int) -> [Round] {
    let layouts = model.layouts, isLate = step.staleness > 0
    let initial = layouts.map { $0.initialValues(seed: model.shard.seed) }
    var workers = (0..<workerCount).map { _ in initial.map { OptimizerState(masters: $0, settings: model.settings) } }
    var anchors = initial.map { OuterState(anchor: $0, settings: settings) }
    var steps = AnchorSteps()
    var pending: [[Float]]?
    var rounds: [Round] = []

    /// - Parameter sums: by part; nil is no step.
    func turn(by sums: [[Float]]?, _ losses: [[Double]], _ norms: [[Double]]) {
      var penalty: Float?
      if let sums {
        let divisor = steps.penalty(settings.penalty)
        var squares = 0.0
        for part in anchors.indices {
          let moved = anchors[part].step(
            bySum: sums[part][...], workerCount: workerCount, penalty: divisor, settings: settings)
          squares += layouts[part].sumOfSquares(gradient: moved[...], range: 0..<moved.count)
        }
        steps.lastSquares = Float(squares)
        penalty = divisor
      }
      for worker in workers.indices {
        for part in anchors.indices {
          workers[worker][part].replaceMasters(with: anchors[part].anchor, settings: model.settings)
        }
      }
      rounds.append(
        Round(
          losses: losses, gradientNorms: norms,
          parameters: Dictionary(uniqueKeysWithValues: zip(layouts.map(\.part), workers[0].map(\.masters))),
          momenta: anchors.map(\.momentum), penalty: penalty))
    }

    for round in 0..<roundCount {
      var losses: [[Double]] = [], norms: [[Double]] = []
      for worker in workers.indices {
        let first = worker * model.globalBatch
        let results = (0..<step.period).map { iteration in
          model.step(
            round * step.period + iteration, sequences: first..<first + model.globalBatch, states: &workers[worker])
        }
        losses.append(results.map(\.loss))
        norms.append(results.map(\.gradientNorm))
      }
      let sums = anchors.indices.map { part in
        sum(workers.map { anchors[part].progress(of: $0[part].masters) })
      }
      turn(by: isLate ? pending : sums, losses, norms)
      pending = sums
    }
    if isLate { turn(by: pending, [], []) }
    return rounds
  }

  /// What a dry run compares: of every round the means of all its iterations and workers, and the anchor after it; after the
  /// last one what is in flight has been stepped by, too.
  func steps(roundCount: Int) -> [SerialReference.Step] {
    let rounds = run(roundCount: roundCount)
    func mean(_ values: [[Double]]) -> Double {
      let all = values.flatMap(\.self)
      return all.reduce(0, +) / Double(max(1, all.count))
    }
    return (0..<roundCount).map { index in
      let after = index == roundCount - 1 ? rounds[rounds.count - 1] : rounds[index]
      return SerialReference.Step(
        loss: mean(rounds[index].losses), gradientNorm: mean(rounds[index].gradientNorms), parameters: after.parameters)
    }
  }

  /// Over workers, in their order, in the format in which they send it.
  private func sum(_ values: [[Float]]) -> [Float] {
    func sent(_ values: [Float]) -> [Float] {
      step.format == .bf16 ? values.map(Precision.bf16.rounded) : values
    }
    var sum = sent(values[0])
    for other in values.dropFirst() {
      for (index, value) in sent(other).enumerated() { sum[index] += value }
    }
    return sent(sum)
  }
}
