import Costing
import Documents
import IntegerProgramming

/// The split of layers and the options of all stages together, as integer programs.
///
/// With R the round trip of a micro-batch through all stages and θ_i what further micro-batches add on stage i,
///
///     θ_i = max((m − 1) b_i + max(0, m − p + i) f_i, (m − 1) f_i + max(0, m − p + i) b_i),
///
/// an iteration takes at least R + θ_i + tail_0 for every stage i (``OneForwardOneBackwardBound``). R and the tail are
/// sums over stages, the largest θ a bottleneck. A row for each stage below a variable is what a solver cannot prove,
/// so the bottleneck is taken out: it is one of finitely many values, and for each threshold T a program
///
///     minimise Σ work · x + tail_0 · x  subject to  one option a stage, Σ layers · x = L, the nodes' memory, θ · x ≤ T
///
/// gives the least sum. What a stage does after its last pass may outlast all that: options whose own work and tail
/// take as long as the best split known are left out, too. T and the least sum are a lower bound for all splits whose
/// bottleneck is T. Thresholds are taken in ranges, (a, b] bounded by its least value and the sum under b, and the
/// range with the least bound is halved, until no bound is below the best split or a count of programs is reached.
///
/// Where micro-batches pass the stages once, R is one way, θ_i = (m − 1) f_i, and the tail is the last stage's.
struct SplitProgram {
  /// Programs that may be solved for one strategy, and nodes of each: counts, so that answers do not depend on speed.
  static let programLimit = 24
  static let nodeLimit = 2_000
  /// Of these, programs that look for an answer where tails decide.
  private static let halvingCount = 6
  /// At which a program's answer is good enough; its bound counts.
  static let relativeGap = 1e-4
  /// How far the solver's bound is taken to be off, relative.
  private static let boundTolerance = 1e-7

  /// An option of a stage with what it adds to the sum and to the bottleneck.
  private struct Candidate {
    let option: StageOption
    let stage: Int
    let sumSeconds: Double
    let bottleneckSeconds: Double
    /// No iteration with it takes less: the stage's own work and what follows.
    let endSeconds: Double
  }

  /// Thresholds by index, with a bound on all splits whose bottleneck is among them.
  private struct Range {
    let thresholds: ClosedRange<Int>
    let boundSeconds: Double
  }

  private let options: StageOptions
  private let candidates: [Candidate]
  private let thresholds: [Double]
  /// What every split has beside sum and bottleneck.
  private let constantSeconds: Double

  init(cost: IterationCost, options: StageOptions) {
    self.options = options
    let p = options.stageCount, m = cost.microBatchCount
    let isForwardOnly = cost.strategy.schedule == .forwardOnly
    let tailStage = isForwardOnly ? p - 1 : 0
    var candidates: [Candidate] = []
    for stage in 0..<p {
      // Micro-batches after the first whose other pass no warm-up has done.
      let steady = Double(max(0, m - p + stage)), further = Double(m - 1)
      for layers in 1...options.capacities[stage] {
        for option in options.options(stage: stage, layers: layers) {
          let f = option.forwardSeconds, b = option.backwardSeconds
          candidates.append(
            Candidate(
              option: option, stage: stage,
              sumSeconds: option.workSeconds + (stage == tailStage ? option.tailSeconds : 0),
              bottleneckSeconds: isForwardOnly
                ? further * f : max(further * b + steady * f, further * f + steady * b),
              endSeconds: cost.fixedSeconds + Double(m) * option.workSeconds + option.tailSeconds))
        }
      }
    }
    self.candidates = candidates
    thresholds = Set(candidates.map(\.bottleneckSeconds)).sorted()
    constantSeconds =
      cost.fixedSeconds + (isForwardOnly ? 1 : 2) * (0..<p - 1).reduce(0) { $0 + cost.transferSeconds(afterStage: $1) }
  }

  /// A lower bound on every split.
  ///
  /// - Parameters:
  ///   - limitSeconds: splits that do not take less are of no interest.
  ///   - found: told of every split that a program answers with; says what is of interest from then on.
  /// - Throws: ``Stopped``.
  func leastSeconds(
    limitSeconds: Double, watch: StopWatch = .never, found: (_ chosen: [StageOption]) -> Double
  ) throws(Stopped) -> (seconds: Double, programCount: Int) {
    var limit = limitSeconds
    // What a threshold holds, every larger one does.
    var least = 0, holding = thresholds.count
    while least < holding {
      let middle = (least + holding) / 2
      if holdsAllLayers(middle) { holding = middle } else { least = middle + 1 }
    }
    guard least < thresholds.count else { return (.infinity, 0) }
    var count = 0
    var closed = Double.infinity
    // The bound of thresholds without a look at sums: any least sum is that under the last.
    var ranges: [Range] = []
    func examine(_ range: ClosedRange<Int>) throws(Stopped) {
      count += 1
      let solved = solve(threshold: thresholds[range.upperBound], limitSeconds: limit, watch: watch)
      try watch.check()
      guard let answer = solved else { return }
      let bound = constantSeconds + thresholds[range.lowerBound] + answer.boundSeconds
      if let chosen = answer.chosen { limit = min(limit, found(chosen)) }
      if range.count == 1 {
        closed = min(closed, bound)
      } else {
        ranges.append(Range(thresholds: range, boundSeconds: bound))
      }
    }
    try examine(least...thresholds.count - 1)
    // Where tails decide, sums say little: halfway between bound and answer, stages that end later are left out. It
    // gives answers only; what it rules out it has not proven.
    var low = min(closed, ranges.map(\.boundSeconds).min() ?? .infinity)
    for _ in 0..<Self.halvingCount where low < limit * (1 - Self.relativeGap) && limit.isFinite {
      let middle = (low + limit) / 2
      count += 1
      let solved = solve(threshold: thresholds[thresholds.count - 1], limitSeconds: middle, watch: watch)
      try watch.check()
      guard let chosen = solved?.chosen else {
        low = middle
        continue
      }
      let better = min(limit, found(chosen))
      if better >= limit { low = middle }
      limit = better
    }
    while let next = ranges.indices.min(by: { ranges[$0].boundSeconds < ranges[$1].boundSeconds }),
      ranges[next].boundSeconds < limit, ranges[next].boundSeconds < closed, count + 2 <= Self.programLimit
    {
      let range = ranges.remove(at: next)
      // Only thresholds that could still be below the limit are worth a program.
      let sum = range.boundSeconds - thresholds[range.thresholds.lowerBound]
      let middle: Int
      if let first = range.thresholds.first(where: { thresholds[$0] + sum >= limit }),
        first > range.thresholds.lowerBound,
        first < range.thresholds.upperBound
      {
        closed = min(closed, thresholds[first] + sum)
        try examine(range.thresholds.lowerBound...first - 1)
        continue
      }
      middle = (range.thresholds.lowerBound + range.thresholds.upperBound) / 2
      try examine(range.thresholds.lowerBound...middle)
      try examine(middle + 1...range.thresholds.upperBound)
    }
    let bound = min(closed, ranges.map(\.boundSeconds).min() ?? .infinity)
    return (bound, count)
  }

  /// Whether stages below a threshold hold all layers, nodes aside.
  private func holdsAllLayers(_ threshold: Int) -> Bool {
    var most = [Int](repeating: 0, count: options.stageCount)
    for candidate in candidates where candidate.bottleneckSeconds <= thresholds[threshold] {
      most[candidate.stage] = max(most[candidate.stage], candidate.option.layers)
    }
    return !most.contains(0) && most.reduce(0, +) >= options.layerCount
  }

  /// The least sum of options below a threshold that could be part of a split below a limit; nil if there is none.
  private func solve(
    threshold: Double, limitSeconds: Double, watch: StopWatch
  ) -> (boundSeconds: Double, chosen: [StageOption]?)? {
    let allowed = candidates.filter { $0.bottleneckSeconds <= threshold && $0.endSeconds < limitSeconds }
    guard Set(allowed.map(\.stage)).count == options.stageCount else { return nil }
    do {
      var program = IntegerProgram()
      var stages = [[IntegerProgram.Term]](repeating: [], count: options.stageCount)
      var layers: [IntegerProgram.Term] = [], experts = layers
      var hosts = [[IntegerProgram.Term]](repeating: [], count: options.hosts.shares.count)
      for candidate in allowed {
        let variable = try program.addVariable(
          "stage \(candidate.stage), \(candidate.option.layers) layers", kind: .binary, objective: candidate.sumSeconds)
        stages[candidate.stage].append(1 * variable)
        layers.append(Double(candidate.option.layers) * variable)
        if candidate.option.expertLayers > 0 { experts.append(Double(candidate.option.expertLayers) * variable) }
        guard candidate.option.hostBytes > 0 else { continue }
        for (index, share) in options.hosts.shares.enumerated() {
          let devices = share.first { $0.stage == candidate.stage }?.deviceCount ?? 0
          // In parts of the limit: the solver likes numbers near 1.
          let part = Double(devices * candidate.option.hostBytes) / Double(max(1, options.hosts.limitBytes))
          if part > 1e-9 { hosts[index].append(part * variable) }
        }
      }
      for (stage, terms) in stages.enumerated() {
        try program.addRow("one option of stage \(stage)", terms, lower: 1, upper: 1)
      }
      try program.addRow("layers", layers, lower: Double(options.layerCount), upper: Double(options.layerCount))
      // Which layers they are it does not say: what it answers with is looked at.
      let kinds = options.variants.kinds
      if !kinds.areAlike {
        let count = Double(kinds.counts.experts)
        try program.addRow("layers with experts", experts, lower: count, upper: count)
      }
      for terms in hosts where !terms.isEmpty { try program.addRow("memory of a node", terms, upper: 1) }
      let solution = try program.solve(
        limits: .init(nodeCount: Self.nodeLimit, relativeGap: Self.relativeGap, cuts: [.mixedIntegerRounding, .cover])
      ) { watch.isRequested }
      if solution.status == .infeasible { return nil }
      guard let objective = solution.objective else { return (max(0, finite(solution.bestBound)), nil) }
      var chosen = [StageOption?](repeating: nil, count: options.stageCount)
      for (candidate, value) in zip(allowed, solution.values) where value > 0.5 {
        chosen[candidate.stage] = candidate.option
      }
      let split = chosen.compactMap { $0 }
      let isSplit =
        split.count == options.stageCount && options.hosts.hold(split)
        && split.reduce(0) { $0 + $1.layers } == options.layerCount && isOfTheModel(split)
      let bound = solution.status == .optimal ? objective : finite(solution.bestBound)
      return (bound - Self.boundTolerance * abs(objective), isSplit ? split : nil)
    } catch {
      // A program that the solver refuses says nothing; thresholds are a bound all the same.
      return (0, nil)
    }
  }

  /// Whether every stage has as many layers with experts as there are where its layers lie.
  private func isOfTheModel(_ split: [StageOption]) -> Bool {
    var used = 0
    return split.allSatisfy { option in
      defer { used += option.layers }
      return options.variants.kinds.counts(in: used..<used + option.layers).experts == option.expertLayers
    }
  }

  private func finite(_ bound: Double) -> Double { bound.isFinite ? bound : 0 }
}
