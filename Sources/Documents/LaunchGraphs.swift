/// What of an iteration is launched as recorded graphs and not kernel by kernel: `graphs` of a job.
package enum LaunchGraphs: String, Sendable, CaseIterable {
  case none
  /// Routers of experts.
  case router
  /// Attention and routers, and not what experts compute, whose rows are known only then.
  case partial
  /// A whole iteration, for which experts' rows have to be bounded before.
  case fullIteration = "full-iteration"

  /// Share of a layer's launches that is left to the host. A block's halves launch about as many kernels each; a judgement,
  /// not a fit.
  package var launchedShare: Double {
    switch self {
    case .none, .router: 1
    case .partial: 0.5
    case .fullIteration: 0
    }
  }
}
