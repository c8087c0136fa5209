import Costing
import Documents

/// Which of a strategy's collectives measured collectives price, or why they price none; nothing where none was measured.
struct CollectivesReport {
  private let prices: [MeasuredPrice]
  private let unused: String?
  private let sources: [String]

  init(model: CostModel, strategy: Strategy) {
    self.init(
      prices: model.measuredPrices(of: strategy), unused: model.unusedCollectives(of: strategy), cluster: model.cluster)
  }

  init(plan: Plan) {
    let model = try? CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
      .arranged(plan.arrangement.nodeOrder)
    self.init(
      prices: plan.measuredPrices, unused: model?.unusedCollectives(of: plan.strategy), cluster: plan.cluster)
  }

  private init(prices: [MeasuredPrice], unused: String?, cluster: ClusterDescription) {
    self.prices = prices
    self.unused = unused
    var sources: [String] = []
    if let links = cluster.measured {
      for one in links.collectives where links.origins.indices.contains(one.originIndex) {
        let source = links.origins[one.originIndex].source
        if !sources.contains(source) { sources.append(source) }
      }
    }
    self.sources = sources
  }

  var text: String {
    if prices.isEmpty { return unused.map { "Collectives: \($0)\n" } ?? "" }
    let from = sources.isEmpty ? "" : " (\(sources.prefix(3).joined(separator: ", ")))"
    return "Priced by measured collectives\(from), others by the links:\n"
      + prices.map { "  \($0.words)\n" }.joined()
  }
}
