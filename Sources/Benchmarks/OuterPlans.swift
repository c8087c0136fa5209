import Costing
import Documents
import Search

/// Plans with workers and their outer steps allowed: three sites behind wide-area links, and what they add to a large lattice.
extension Benchmarks {
  static func reportOuterPlans(catalog: Catalog) throws {
    print("plan with outer steps of workers allowed, wall time")
    for (cluster, name, batch, periods) in [
      ("h100-sites-12", "llama-3-8b", 768, 50...500), ("h100-sites-12", "llama-3-70b", 768, 50...500),
      ("dgx-h100-128", "llama-3-70b", 1_024, 12...48), ("dgx-h100-128", "gpt3-175b", 2_048, 12...48),
    ] {
      try reportPlan(
        "\(name) on \(cluster)", model: model(cluster, name, batch, catalog), runCount: 3,
        allowing: Allowance(quantisationTolerance: nil, outerPeriods: periods))
    }
  }
}
