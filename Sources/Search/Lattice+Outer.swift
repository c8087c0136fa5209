import Costing
import Documents

/// The strategies of outer steps, where they are allowed: the devices are divided among workers, each of which trains as
/// one of the lattice's strategies by gradients does.
///
/// | axis | values |
/// |---|---|
/// | workers | every divisor of the nodes from 2 on: a worker has whole nodes |
/// | inside a worker | all that trains by gradients on its devices, with its part of the batch, and that the framework offers |
/// | staleness | 0 and 1 |
/// | format | fp32; bf16 and INT8 where the tolerance admits their error, INT8 where no two ranks hold the same parameters for good |
/// | outer states | on the devices; on the hosts where that is asked for, or nothing fits without |
/// | period | the upper end of what is allowed |
///
/// An iteration takes no longer with a longer period, so that no other has to be searched: what is best at the upper end
/// is the best there is, see ``PlanSearch/withLeastDelay(_:within:)``.
struct OuterChoices: Sendable {
  /// Ascending, from 2 on.
  let workerDegrees: [Int]
  /// The plainest first.
  let steps: [OuterStep]

  /// Whether a pattern matches strategies without workers.
  static func areNone(in pattern: StrategyPattern) -> Bool {
    let plain = OuterStep()
    return (pattern.workerDegree ?? 1) == 1
      && pattern[dynamicMember: \.outer.period] ?? plain.period == plain.period
      && pattern[dynamicMember: \.outer.staleness] ?? plain.staleness == plain.staleness
      && pattern[dynamicMember: \.outer.format] ?? plain.format == plain.format
      && pattern[dynamicMember: \.outer.isHosted] ?? plain.isHosted == plain.isHosted
  }

  /// - Returns: nil where there are none.
  init?(model: CostModel, pattern: StrategyPattern, allowance: Allowance, searchesHosting: Bool) {
    guard let periods = allowance.outerPeriods else { return nil }
    let period = pattern[dynamicMember: \.outer.period] ?? periods.upperBound
    guard periods.contains(period) else { return nil }
    let nodeCount = model.nodeOrder.count
    workerDegrees = divisors(of: nodeCount).filter { $0 > 1 && pattern.workerDegree ?? $0 == $0 }
    let hosts = searchesHosting && model.cluster.host != nil ? [false, true] : [false]
    func values<Value>(_ fixed: Value?, _ all: [Value]) -> [Value] { fixed.map { [$0] } ?? all }
    let formats = values(pattern[dynamicMember: \.outer.format], OuterStep.Format.allCases)
      .filter { $0.relativeError <= allowance.outerTolerance ?? 0 }
    steps = values(pattern[dynamicMember: \.outer.isHosted], hosts).flatMap { isHosted in
      values(pattern[dynamicMember: \.outer.staleness], [0, 1]).flatMap { staleness in
        formats.map { OuterStep(period: period, staleness: staleness, format: $0, isHosted: isHosted) }
      }
    }
    if workerDegrees.isEmpty || steps.isEmpty { return nil }
  }
}

extension Lattice {
  /// All points of a mesh of several workers.
  ///
  /// - Parameters:
  ///   - keys: what the cost of a micro-batch depends on, to which new ones are appended.
  ///   - rejections: by rule, to which cuts are added.
  func outerPoints(
    _ mesh: Mesh, of outer: OuterChoices, keys: inout [MicroBatchKey], rejections: inout [String: Int]
  ) -> [Point] {
    let workers = mesh.degree(of: .worker), worker = mesh.ofOneWorker, batch = model.job.globalBatch
    // To its framework a worker is all there is.
    guard batch % (workers * worker.degree(of: .data)) == 0,
      let job = try? model.job.with(globalBatch: batch / workers)
    else { return [] }
    return firstOrderPoints(worker, job: job, keys: &keys, rejections: &rejections).flatMap { point in
      outer.steps.compactMap { step in
        var strategy = point.strategy.of(workers: workers, step: step)
        // Outer steps move weights as they are stored.
        if pattern.holdsNarrowWeights == nil { strategy.holdsNarrowWeights = false }
        if let violation = strategy.violation(
          job: model.job, deviceCount: mesh.worldSize, hasFlashAttention: hasFlashAttention,
          interleavesLargerGroups: interleavesLargerGroups, hasHost: hasHost)
          ?? strategy.outerExclusion(job.model)
        {
          rejections[violation.rule, default: 0] += 1
          return nil
        }
        return Point(strategy: strategy, freedom: point.freedom, microBatchCostIndex: point.microBatchCostIndex)
      }
    }
  }
}

extension Strategy {
  /// What each of some workers does inside an outer step, where this is what it does alone.
  func of(workers: Int, step: OuterStep) -> Strategy {
    var outer = self
    outer.update = .outer
    outer.workerDegree = workers
    outer.outer = step
    return outer
  }
}
