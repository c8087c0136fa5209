import Documents
import Sextant

/// What a person sees of a plan: the strategy, the best, where time and memory go, and how sure the search is.
struct PlanReport {
  let plan: Documents.Plan
  /// What of its question nobody stated, where that is known.
  var defaults: [Planner.Default] = []

  var text: String {
    [
      QuestionReport(of: plan, defaults: defaults).text,
      EstimateReport.notes(
        of: plan.job, on: plan.cluster, framework: plan.cluster.device.framework(named: plan.question.coefficientName)),
      strategySection,
      DecisionsReport(plan: plan).text, ZerothOrderReport(plan: plan).text, OuterReport(plan: plan).text, bestSection,
      PredictionReport(prediction: plan.prediction).text,
      HostMemoryReport(prediction: plan.prediction, strategy: plan.strategy, cluster: plan.cluster).text, stagesSection,
      ShardingReport(plan: plan).text, nodesSection,
      unmeasuredSection, CollectivesReport(plan: plan).text, searchSection, familiesSection,
    ]
    .filter { !$0.isEmpty }.joined(separator: "\n")
  }

  private var strategySection: String {
    let prediction = plan.prediction
    let stage = plan.tightestStageIndex
    return """
      \(plan.strategy.words(of: plan.split))\(precision), \(Format.count(plan.microBatchCount, of: "micro-batch"))
      \(Format.seconds(prediction.iterationSeconds)) an iteration, \
      \(Format.rate(prediction.tokensPerSecondPerDevice)) tokens/s per device, \
      MFU \(Format.percent(prediction.modelFLOPUtilization)), peak \(Format.gigabytes(prediction.stageMemory[stage].peakBytes)) of \
      \(Format.gigabytes(plan.smallestDevice(ofStage: stage).datasheet.memoryBytes)) (\(Self.words(prediction.verdict)))
      \(PredictionReport(prediction: prediction).range(by: accuracy))
      """
  }

  private var precision: String { plan.chosenPrecision.map { ", products in \($0.rawValue)" } ?? "" }

  /// How sure predictions of the job are.
  private var accuracy: DeviceProfile.Accuracy { plan.cluster.accuracy(for: runs) }

  /// Which measured runs are of the plan's kind.
  private var runs: DeviceProfile.Accuracy.Scope {
    DeviceProfile.Accuracy.Scope(
      framework: plan.question.coefficientName, hasExperts: plan.job.model.experts != nil,
      spansNodes: plan.question.nodeCount > 1)
  }

  private var bestSection: String {
    var table = Table(
      header: ["", "strategy", "time", "tokens/s", "MFU", "peak", "memory"], leftColumns: [0, 1, 6])
    let own = plan.prediction
    table.add([
      "1", plan.strategy.short(of: plan.split, in: plan.chosenPrecision), Format.seconds(own.iterationSeconds),
      Format.rate(own.tokensPerSecondPerDevice),
      Format.percent(own.modelFLOPUtilization), Format.gigabytes(own.peakBytes), own.verdict.rawValue,
    ])
    // The fastest, if it is not the plan, stands before the second.
    let first = plan.alternatives.contains { $0.family == Documents.Plan.Alternative.fastest } ? 1 : 2
    let listed = plan.alternatives.filter { [nil, Documents.Plan.Alternative.fastest].contains($0.family) }
    // Closer to the plan than measured runs of a job tell two strategies apart.
    let resolution = plan.cluster.resolution(for: runs) ?? 0
    var hasEqual = false
    for (index, other) in listed.enumerated() {
      let isEqual = abs(other.iterationSeconds / own.iterationSeconds - 1) < resolution
      hasEqual = hasEqual || isEqual
      table.add([
        (other.family == nil ? "\(index + first)" : "fastest") + (isEqual ? " ≈" : ""),
        other.strategy.short(of: other.split, in: other.precision),
        Format.seconds(other.iterationSeconds), Format.rate(other.tokensPerSecondPerDevice),
        Format.percent(other.modelFLOPUtilization),
        Format.gigabytes(other.peakBytes), other.verdict.rawValue,
      ])
    }
    let equality =
      hasEqual
      ? "  ≈ less than \(Format.percent(resolution)) from the plan: measured runs of one job do not tell so little apart\n"
      : ""
    return "The best, per device\n" + table.text + equality
  }

  private var stagesSection: String {
    guard plan.strategy.pipelineDegree > 1 else { return choicesSection }
    return "Layers of each virtual stage: \(Self.runs(plan.split.layerCounts))\n" + choicesSection
  }

  /// What stages trade for memory, where they choose for themselves.
  private var choicesSection: String {
    guard let choices = plan.split.choices else { return "" }
    var text = ""
    if choices.contains(where: { $0.recomputedLayerCount > 0 }) {
      let what = plan.strategy.virtualStageCount > 1 ? "each chunk, by stage," : "each stage"
      text += "Of these, recomputed in \(what): \(Self.runs(choices.map(\.recomputedLayerCount)))\n"
    }
    let offloading = choices.indices.filter { choices[$0].offloadsOptimizer }
    if !offloading.isEmpty {
      let stages = offloading.count == choices.count ? "all stages" : "stages \(Self.ranges(offloading))"
      let host = offloading.map { plan.prediction.stageMemory[$0].hostBytes }.max() ?? 0
      text += "Optimizer states on the host but for the step: \(stages), up to \(Format.gigabytes(host)) a device\n"
    }
    return text
  }

  /// `0–3, 7` for neighbours 0 to 3 and a 7.
  private static func ranges(_ numbers: [Int]) -> String {
    var ranges: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = ranges.last, last.upperBound + 1 == number {
        ranges[ranges.count - 1] = last.lowerBound...number
      } else {
        ranges.append(number...number)
      }
    }
    return ranges.map { $0.count > 1 ? "\($0.lowerBound)–\($0.upperBound)" : "\($0.lowerBound)" }.joined(
      separator: ", ")
  }

  private var nodesSection: String {
    let arrangement = plan.arrangement
    let isMoved = arrangement.nodeOrder != Array(arrangement.nodeOrder.indices)
    let isUsed = Set(arrangement.nodeOrder)
    let spares = plan.cluster.nodeNames.indices.filter { !isUsed.contains($0) }.map { plan.cluster.nodeNames[$0] }
    let leftOut =
      spares.isEmpty || spares.count > 32 ? "" : "  left out: \(spares.joined(separator: " "))\n"
    switch arrangement.reason {
    case .notMeasured: return ""
    case .withinNoise:
      return "Nodes: in the cluster's order; their links differ no more than from one measurement to the next\n"
    case .notSearched:
      return "Nodes: in the cluster's order; for tensor groups or stages across parts of nodes no other is searched\n"
    case .byDevice:
      let order = arrangement.nodeOrder.map { plan.cluster.devices[plan.cluster.deviceOfNode[$0]].title }
      let runs = order.indices.filter { $0 == 0 || order[$0] != order[$0 - 1] }.map { order[$0] }
      return "Nodes: those with the same device together, \(runs.joined(separator: " before "))\n"
    case .stopped: return "Nodes: in the cluster's order; the search was stopped before it looked for others\n"
    case .searched where !isMoved: return "Nodes: in the cluster's order; no faster one was found\n"
    case .searched:
      // How much longer or shorter the iteration is than in the cluster's order.
      func change(_ seconds: Double, _ given: Double) -> String {
        (seconds <= given ? "−" : "+") + Format.percent(abs(seconds / given - 1))
      }
      let gain = change(plan.prediction.iterationSeconds, arrangement.givenOrderSeconds)
      let moments = arrangement.moments.map { "\($0.name) \(change($0.iterationSeconds, $0.givenOrderSeconds))" }
      let names = arrangement.nodeOrder.map { plan.cluster.nodeNames[$0] }
      let shown = names.prefix(32).joined(separator: " ")
      let rest = names.count > 32 ? " and \(Format.count(names.count - 32)) more" : ""
      return "Nodes: \(gain) against the cluster's order (\(moments.joined(separator: ", ")))\n  \(shown)\(rest)\n"
        + leftOut
    }
  }

  /// Pairs of the plan's nodes that are priced without a measurement, though others have one.
  private var unmeasuredSection: String {
    guard let links = plan.cluster.measured else { return "" }
    let nodes = plan.arrangement.nodeOrder
    let missing = nodes.reduce(0) { count, from in
      count + nodes.count { $0 != from && links.medianBytesPerSecond(from: from, to: $0) == nil }
    }
    guard missing > 0 else { return "" }
    let all = nodes.count * (nodes.count - 1)
    return """
      Links: \(Format.count(missing)) of \(Format.count(all)) between these nodes were not measured and count at the \
      cluster's nominal rate

      """
  }

  private var searchSection: String {
    let certificate = plan.certificate
    guard certificate.completedCount > 0 else {
      let reason = certificate.ending == .timeLimit ? "stopped by the time limit" : "interrupted"
      return """
        Search: \(reason) before any strategy was completed; this is the best of a few with even layers, and \
        \(certificate.lowerBoundSeconds > 0 ? "no strategy scores below \(Format.seconds(certificate.lowerBoundSeconds))" : "how good it is nobody knows")

        """
    }
    let proof =
      switch (certificate.ending, certificate.proofGap) {
      case (.exhausted, 0): "\(certificate.plainnessCost > 0 ? "the fastest is " : "")optimal under the model"
      case (.exhausted, let gap): "within \(Format.percent(gap)) of the best under the model"
      case (.completionLimit, let gap): "stopped at its limit of completions, within \(Format.percent(gap)) of the best"
      case (.timeLimit, let gap): "stopped by the time limit, within \(Format.percent(gap)) of the best"
      case (.interrupted, let gap): "interrupted, within \(Format.percent(gap)) of the best"
      }
    var text = """
      Search: \(proof); no strategy scores below \(Format.seconds(certificate.lowerBoundSeconds))
        \(Format.count(certificate.enumeratedCount)) enumerated, \(Format.count(certificate.memoryRejectedCount)) do not \
      fit, \(Format.count(certificate.closedByBoundCount)) closed by bound, \
      \(Format.count(certificate.completedCount)) completed

      """
    if plan.question.margin > 0 {
      text +=
        certificate.plainnessCost > 0
        ? "  the plan gives up \(Format.percent(certificate.plainnessCost)) of the fastest to be plainer (margin \(Format.percent(plan.question.margin)))\n"
        : "  none within \(Format.percent(plan.question.margin)) is plainer\n"
    }
    if certificate.programCount > 0 {
      text += "  \(Format.count(certificate.programCount, of: "integer program")) solved for stages that choose\n"
    }
    for rejection in certificate.rejections {
      text += "  \(Format.count(rejection.count)) left out: \(rejection.rule)\n"
    }
    return text
  }

  private var familiesSection: String {
    let families = plan.alternatives.filter { ![nil, Documents.Plan.Alternative.fastest].contains($0.family) }
    guard !families.isEmpty || !plan.impossibleFamilies.isEmpty else { return "" }
    var table = Table(header: ["", "", ""], leftColumns: [0, 1, 2])
    for other in families {
      table.add([other.family ?? "", other.strategy.short(of: other.split, in: other.precision), other.reason])
    }
    for name in plan.impossibleFamilies { table.add([name, "", "does not fit into memory"]) }
    return "The best of every other family, and why it lost" + table.text
  }

  static func words(_ verdict: Documents.Prediction.Verdict) -> String {
    switch verdict {
    case .fits: "fits"
    case .risky: "risky: little headroom"
    case .unfit: "does not fit"
    }
  }

  /// `6 × 12, 5` for six twelves and a five.
  static func runs(_ counts: [Int]) -> String {
    var runs: [(count: Int, value: Int)] = []
    for value in counts {
      if runs.last?.value == value { runs[runs.count - 1].count += 1 } else { runs.append((1, value)) }
    }
    return runs.map { $0.count > 1 ? "\($0.count) × \($0.value)" : "\($0.value)" }.joined(separator: ", ")
  }
}
