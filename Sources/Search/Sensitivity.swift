package import Costing
package import Documents

/// What a plan hangs on: how its time follows the rate of every resource, and by how much a rate
/// would have to change for one of its alternatives to win.
///
/// The plan and its alternatives keep their layers, choices and nodes, and are priced again with one rate changed. The
/// search is not made again: another strategy than the listed ones might win earlier.
package struct Sensitivity: Sendable {
  /// One resource.
  package struct Entry: Sendable, Equatable {
    /// What is made faster or slower.
    package let resource: CostModel.Resource
    /// Share by which an iteration is shorter where the resource is 1 % faster, over 1 %: 1 if all time is spent there.
    package let timeShare: Double
    /// The change of rate nearest to none with which an alternative scores less, and that alternative's index in the
    /// plan; nil if none does between a quarter and four times the rate.
    package let turningPoint: TurningPoint?
  }

  /// Where another plan begins to win.
  package struct TurningPoint: Sendable, Equatable {
    /// Times the rate.
    package let factor: Double
    /// Index of the alternative.
    package let alternativeIndex: Int
  }

  /// Rates are asked about from a quarter to four times what they are, in steps of a tenth, then by bisection.
  static let span = 4.0, step = 1.1

  /// By resource, in a fixed order.
  package let entries: [Entry]

  /// - Throws: `CostModel.Refusal` when the plan's inputs cannot be priced at all.
  package init(_ plan: Plan) throws(CostModel.Refusal) {
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
      .arranged(plan.arrangement.nodeOrder)
    var scratch = EvaluationScratch()
    func seconds(_ model: CostModel, _ strategy: Strategy, _ split: Split) -> Double {
      model.cost(of: strategy).iterationSeconds(of: split, scratch: &scratch)
    }
    /// Of the alternatives that multiply in another precision than the plan.
    var others: [Precision: CostModel] = [:]
    for precision in Precision.allCases
    where precision != plan.job.precision && plan.alternatives.contains(where: { $0.precision == precision }) {
      guard let job = try? plan.job.with(precision: precision) else { continue }
      others[precision] = try CostModel(cluster: plan.cluster, job: job, frameworkName: plan.coefficientName)
        .arranged(plan.arrangement.nodeOrder)
    }
    func score(_ model: CostModel, of alternative: Plan.Alternative) -> Double {
      seconds(model, alternative.strategy, alternative.split)
        * (alternative.verdict == .fits ? 1 : PlanSearch.headroomSurcharge)
    }
    let surcharge = plan.prediction.verdict == .fits ? 1 : PlanSearch.headroomSurcharge
    /// The alternative that scores least, if it scores less than the plan.
    func winner(_ resource: CostModel.Resource, _ factor: Double, among indices: [Int]) -> Int? {
      let scaled = model.scaling(resource, by: factor)
      let scaledOthers = others.mapValues { $0.scaling(resource, by: factor) }
      var least = seconds(scaled, plan.strategy, plan.split) * surcharge * (1 - 1e-9)
      var winner: Int?
      for index in indices {
        let alternative = plan.alternatives[index]
        let other = score(alternative.precision.flatMap { scaledOthers[$0] } ?? scaled, of: alternative)
        if other < least { (least, winner) = (other, index) }
      }
      return winner
    }
    // What already scores less where nothing changes, on these nodes, is no alternative to turn to.
    let rivals = plan.alternatives.indices.filter {
      let alternative = plan.alternatives[$0]
      return Self.canBePriced(alternative, model: alternative.precision.flatMap { others[$0] } ?? model)
        && winner(.computation, 1, among: [$0]) == nil
    }
    let own = seconds(model, plan.strategy, plan.split)
    entries = CostModel.Resource.all(of: plan.cluster).map { resource in
      let faster = seconds(
        model.scaling(resource, by: 1.01), plan.strategy, plan.split)
      return Entry(
        resource: resource, timeShare: max(0, (own - faster) / own) * 101,
        turningPoint: Self.turningPoint { factor in winner(resource, factor, among: rivals) })
    }
  }

  /// Whether an alternative keeps the model's rules, which a reader of plans does not look at.
  private static func canBePriced(_ alternative: Plan.Alternative, model: CostModel) -> Bool {
    model.violation(of: alternative.strategy) == nil
  }

  /// The factor nearest to 1 at which there is a winner, on either side.
  private static func turningPoint(_ winner: (_ factor: Double) -> Int?) -> TurningPoint? {
    var inside = 1.0
    while inside < span {
      let outside = min(span, inside * step)
      for (near, far) in [(inside, outside), (1 / inside, 1 / outside)] {
        guard var index = winner(far) else { continue }
        var (without, with) = (near, far)
        // To a relative 1e-6, enough for people and the same everywhere.
        while abs(with / without - 1) > 1e-6 {
          let middle = (without * with).squareRoot()
          if let found = winner(middle) { (with, index) = (middle, found) } else { without = middle }
        }
        return TurningPoint(factor: with, alternativeIndex: index)
      }
      inside = outside
    }
    return nil
  }
}
