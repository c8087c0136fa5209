package import Costing
package import Documents
import JSONText

/// Whether a plan holds: its question asked again, and everything that it states compared with the answer.
package struct PlanVerification: Sendable {
  /// Something the plan states that the answer does not say.
  package struct Disagreement: Sendable, Equatable {
    /// The JSON path in the plan.
    package let path: String
    /// What the plan states.
    package let stated: String
    /// What it should state.
    package let computed: String
  }

  /// In the plan's order; empty when all of it holds.
  package let disagreements: [Disagreement]
  /// The certificate of the search made again.
  package let certificate: Certificate

  /// Asks a plan's question again.
  ///
  /// A search that was stopped from outside is repeated up to where it was.
  ///
  /// - Parameter threadCount: threads that price the lattice.
  /// - Throws: `CostModel.Refusal` when the plan's inputs cannot be priced at all.
  package init(_ plan: Plan, threadCount: Int = 1) throws(CostModel.Refusal) {
    let search = try PlanSearch(plan.question, stoppedAs: plan.certificate, threadCount: threadCount)
    let result = search.run()
    certificate = result.certificate
    guard var answer = search.plan(of: result, toolVersion: plan.toolVersion) else {
      disagreements = [Disagreement(path: "/strategy", stated: plan.strategy.text, computed: "no plan")]
      return
    }
    // Plans of earlier versions do not say how sure they are.
    if plan.prediction.iterationSecondsRange == nil { answer.prediction.iterationSecondsRange = nil }
    disagreements = Self.disagreements(of: plan, with: answer)
  }

  /// Where a plan states something else than another, in the first one's order.
  static func disagreements(of plan: Plan, with answer: Plan) -> [Disagreement] {
    var comparison = JSONComparison(wholeSeconds: answer.prediction.iterationSeconds)
    comparison.compare(plan.json, with: answer.json)
    return comparison.disagreements
  }

  /// Where a plan states of itself what the model does not say: its time and memory, what its nodes' order is worth, and
  /// its comparison with other shard degrees. That is all that needs no search; what a plan states of other strategies
  /// and of its search is not looked at.
  ///
  /// - Throws: `CostModel.Refusal` when the plan's inputs cannot be priced at all.
  package static func disagreementsWithoutSearch(of plan: Plan) throws(CostModel.Refusal) -> [Disagreement] {
    let given = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
      .arranged(Array(0..<plan.question.nodeCount))
    let model = given.arranged(plan.arrangement.nodeOrder)
    var prediction = model.prediction(of: model.cost(of: plan.strategy), split: plan.split)
    if plan.prediction.iterationSecondsRange == nil { prediction.iterationSecondsRange = nil }
    var comparison = JSONComparison(wholeSeconds: prediction.iterationSeconds)
    comparison.compare(plan.prediction.json, with: prediction.json, at: "/prediction")
    guard comparison.disagreements.isEmpty else { return comparison.disagreements }
    comparison.compare(
      .array(plan.measuredPrices.map(\.json)), with: .array(model.measuredPrices(of: plan.strategy).map(\.json)),
      at: "/measured_prices")
    let arrangement = NodeArranger(model: given).arrangement(
      of: PlanSearch.Completion(
        strategy: plan.strategy, precision: plan.job.precision, split: plan.split,
        nodeOrder: plan.arrangement.nodeOrder, iterationSeconds: prediction.iterationSeconds,
        scoreSeconds: prediction.iterationSeconds),
      wasSearched: plan.arrangement.reason != .stopped)
    comparison.compare(
      plan.arrangement.json(cluster: plan.cluster), with: arrangement.json(cluster: plan.cluster), at: "/arrangement")
    let options = ShardingComparison.options(of: plan.strategy, split: plan.split, model: model)
    comparison.compare(
      .array(plan.shardingOptions.map(\.json)), with: .array(options.map(\.json)), at: "/sharding_options")
    return comparison.disagreements
  }
}

extension PlanSearch {
  /// The search that a plan's question asks for.
  ///
  /// - Parameter certificate: where it says that the search was stopped from outside, this one stops there, too.
  /// - Throws: `CostModel.Refusal` when cluster and job cannot be priced together.
  init(
    _ question: Plan.Question, stoppedAs certificate: Certificate, threadCount: Int
  ) throws(CostModel.Refusal) {
    let model = try CostModel(
      cluster: question.cluster, job: question.job, frameworkName: question.coefficientName)
    // The search starts from the cluster's own order of the nodes.
    self.init(
      model: model.arranged(Array(0..<question.nodeCount)), pattern: question.fixed, allowance: question.allowance,
      capabilities: question.capabilities,
      options: Options(
        resultCount: question.resultCount, completionLimit: question.completionLimit, margin: question.margin,
        threadCount: threadCount,
        repeatedStop: certificate.stoppedAfter.map { ($0, certificate.ending == .timeLimit ? .timeLimit : .user) }))
  }
}

/// Two documents, value by value.
private struct JSONComparison {
  /// Share by which numbers may differ: plans are read back exactly, but may have been made with another mathematical
  /// library.
  static let tolerance = 1e-9

  /// Of an iteration.
  let wholeSeconds: Double
  private(set) var disagreements: [PlanVerification.Disagreement] = []

  init(wholeSeconds: Double) { self.wholeSeconds = wholeSeconds }

  mutating func compare(_ stated: JSON, with computed: JSON, at path: String = "") {
    switch (stated, computed) {
    case (.object(let members), .object(let others)):
      for member in members {
        let other = others.first { $0.key == member.key }?.value
        compare(member.value, with: other ?? .null, at: "\(path)/\(member.key)")
      }
      for other in others where !members.contains(where: { $0.key == other.key }) {
        compare(.null, with: other.value, at: "\(path)/\(other.key)")
      }
    case (.array(let values), .array(let others)):
      if values.count != others.count {
        disagree("\(path): count", "\(values.count)", "\(others.count)")
      }
      for (index, pair) in zip(values, others).enumerated() { compare(pair.0, with: pair.1, at: "\(path)/\(index)") }
    default:
      if let number = stated.double, let other = computed.double {
        // Parts of a time are differences of times as large as the whole.
        let slack = path.hasPrefix("/prediction/time/") ? 1e-12 * wholeSeconds : 0
        // Written so that what is no number disagrees. Whole numbers are counts, and exact.
        let isCount = if case (.integer, .integer) = (stated, computed) { true } else { false }
        if isCount ? number != other : !(abs(number - other) <= Self.tolerance * max(abs(number), abs(other)) + slack) {
          disagree(path, "\(stated.text(style: .compact))", "\(computed.text(style: .compact))")
        }
      } else if stated != computed {
        disagree(path, stated.brief, computed.brief)
      }
    }
  }

  private mutating func disagree(_ path: String, _ stated: String, _ computed: String) {
    disagreements.append(PlanVerification.Disagreement(path: path, stated: stated, computed: computed))
  }
}

extension JSON {
  fileprivate var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number): number
    default: nil
    }
  }

  /// The value, or what it is; `nothing` where there is none.
  fileprivate var brief: String {
    switch self {
    case .null: "nothing"
    case .string(let text): String(text.oneLine.prefix(200))
    default: briefDescription
    }
  }
}
