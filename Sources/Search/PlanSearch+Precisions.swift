import Costing
import Documents

/// The number format of products, where a plan may choose it: the question in each of them is a search of its own, and what
/// is found in one is what the next have to beat.
///
/// Precision is of the job and not of a strategy, since all that a device does follows from it: its rates, what lies beside
/// weights, what backward keeps, what a framework offers. So there is a model of each precision, and whoever prices a
/// completion asks for its own.
extension PlanSearch {
  /// The model in every precision that a plan may have, the job's own first, see
  /// ``Allowance/exclusion(of:job:devices:capabilities:)``.
  static func models(
    of model: CostModel, allowance: Allowance, capabilities: Capabilities?
  ) -> [CostModel] {
    let devices = model.cluster.devices
    let others = Precision.allCases.filter {
      $0 != model.job.precision
        && allowance.exclusion(of: $0, job: model.job, devices: devices, capabilities: capabilities) == nil
    }
    return [model]
      + others.compactMap { precision in
        guard let job = try? model.job.with(precision: precision) else { return nil }
        return try? CostModel(cluster: model.cluster, job: job, frameworkName: model.framework.name)
          .arranged(model.nodeOrder)
      }
  }

  /// The model in one of the precisions that are searched.
  func model(in precision: Precision) -> CostModel {
    models.first { $0.job.precision == precision } ?? model
  }

  /// The model that a completion is priced by, with the nodes as the question has them.
  func model(of completion: Completion) -> CostModel { model(in: completion.precision) }

  /// The best in every other precision than the answer's, with its family's name; nil where nothing fits in it.
  func otherPrecisions(
    than answer: Completion, among searches: inout [OrderedSearch], steps: inout SearchSteps
  ) -> [(name: String, completion: Completion?)] {
    var families: [(name: String, completion: Completion?)] = []
    for precision in models.map(\.job.precision) where precision != answer.precision {
      var best: Completion?
      var isPossible = false, isKnown = true
      for place in searches.indices where searches[place].model.job.precision == precision {
        isPossible = isPossible || !searches[place].priced.candidates.isEmpty || !searches[place].priced.unfit.isEmpty
        let found = searches[place].best(among: searches[place].priced.order, steps: &steps)
        isKnown = isKnown && found.isKnown
        if let other = found.completion, other.scoreSeconds < best?.scoreSeconds ?? .infinity { best = other }
      }
      // Of nothing found where not all was looked at nobody knows anything.
      if isPossible, best != nil || isKnown {
        families.append((Plan.Alternative.products(in: precision), best))
      }
    }
    return families
  }
}
