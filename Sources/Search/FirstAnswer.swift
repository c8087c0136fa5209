import Costing
import Documents

/// What a search answers that was stopped before it completed any strategy.
extension PlanSearch {
  /// Strategies that are priced here and there in the lattice where it was not priced as a whole.
  private static let pointLimit = 1_024
  /// Micro-batches times virtual stages that are evaluated at most: a count, so that the answer does not depend on
  /// speed, and some hundredths of a second.
  private static let eventLimit = 2_000_000
  /// Strategies at most whose memory is looked at.
  private static let lookLimit = 1_024

  /// The best of a few strategies whose layers are split as evenly as can be; without one, a result without an answer.
  ///
  /// The bounds of the orders that were priced hold, nothing else does.
  func stoppedEarly(_ searches: [OrderedSearch], orders: [CostModel], steps: SearchSteps) -> Result {
    var searches = searches
    // The sample is no step: it takes about as long as what is asked of a search that is stopped.
    if searches.isEmpty, let order = orders.first,
      let sample = try? OrderedSearch.priced(self, models: [order], pointLimit: Self.pointLimit)
    {
      searches = sample
    }
    let answer = searches.compactMap { firstAnswer(in: $0) }.stablySorted(by: \.scoreSeconds).first
    return Result(
      best: answer.map { [$0] } ?? [], fastest: nil,
      arrangement: answer.map { NodeArranger(model: model(of: $0)).arrangement(of: $0, wasSearched: false) },
      certificate: certificate(
        of: searches, orderCount: orders.count, answer: answer, fastest: answer, plainerCount: 0, steps: steps),
      families: [], shortage: nil, changes: nil)
  }

  /// The best of the most promising strategies of an order, on the nodes as they stand, with the layers that the
  /// framework gives to the stages, or as many for all as can be; nil if none of those looked at fits so.
  private func firstAnswer(in search: OrderedSearch) -> Completion? {
    let model = search.model, layerCount = model.job.model.layerCount
    var scratch = EvaluationScratch()
    var best: Completion?
    var eventCount = 0
    let plain = search.priced.order.lazy.map { search.priced.candidates[$0] }.filter { $0.freedom == .none }
    for candidate in plain.prefix(Self.lookLimit) {
      let strategy = candidate.strategy
      let cost = search.cost(of: candidate)
      let split =
        (capabilities?.layerSplit ?? .any).split(of: model.job.model, among: strategy)
        ?? cost.memory.fewSplits?.first
        ?? .even(layerCount: layerCount, stageCount: strategy.pipelineDegree, chunkCount: strategy.virtualStageCount)
      let memory = cost.memory.stageMemory(of: split), verdict = cost.memory.verdict(of: memory)
      guard verdict != .unfit, cost.memory.hostHolds(memory) else { continue }
      let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
      let score = seconds * (verdict == .fits ? 1 : Self.headroomSurcharge)
      if score < best?.scoreSeconds ?? .infinity {
        best = Completion(
          strategy: strategy, precision: model.job.precision, split: split, nodeOrder: model.nodeOrder,
          iterationSeconds: seconds, scoreSeconds: score)
      }
      eventCount += cost.evaluatedPassCount
      if eventCount >= Self.eventLimit { break }
    }
    return best
  }
}
