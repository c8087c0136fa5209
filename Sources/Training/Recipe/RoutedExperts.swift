package import Documents

/// The experts of a layer as one rank of an expert grid holds them, and what of its tokens goes where.
package struct RoutedExperts: Sendable, Equatable {
  /// Of a layer, E.
  package let count: Int
  /// Experts of a token, k.
  package let perToken: Int
  /// The rank's part of each expert's width, f / ETP.
  package let feedForwardSize: Int
  /// The rank's part of the width of shared experts, f_s / TP.
  package let sharedFeedForwardSize: Int
  package let hasSharedGate: Bool
  /// EP: ranks that divide the experts.
  package let expertDegree: Int
  /// ETP: ranks that divide the width of each.
  package let expertTensorDegree: Int
  package let dispatcher: Strategy.Dispatcher
  /// Tokens of the fullest expert rank over the mean, λ ≥ 1.
  package let load: Double
  /// Nodes that the ranks of an expert group lie on, evenly.
  package let nodeCount: Int
  /// Groups of experts that a token's are from a few of.
  private let groups: ModelDescription.Experts.Groups?

  /// - Parameter devicesPerNode: consecutive ranks of a node.
  package init?(
    _ job: TrainingJob, tensorDegree: Int, _ division: Strategy.ExpertDivision, devicesPerNode: Int
  ) {
    guard let experts = job.model.experts else { return nil }
    count = experts.count
    perToken = experts.perToken
    feedForwardSize = experts.feedForwardSize / division.tensorDegree
    sharedFeedForwardSize = experts.sharedFeedForwardSize / tensorDegree
    hasSharedGate = experts.hasSharedGate
    expertDegree = division.expertDegree
    expertTensorDegree = division.tensorDegree
    dispatcher = division.dispatcher
    load = job.expertLoad
    groups = experts.groups
    // A group that leaves its node has neighbours there, or none.
    let extent = expertDegree * expertTensorDegree
    nodeCount = extent > devicesPerNode && extent % devicesPerNode == 0 ? min(expertDegree, extent / devicesPerNode) : 1
  }

  /// Experts on the rank.
  package var localCount: Int { count / expertDegree }

  /// Rows that the experts of a rank compute for so many tokens of every rank, all ranks' in the mean: with the width of
  /// experts divided, those of all ranks that divide it.
  package func rowCount(tokenCount: Int) -> Int { tokenCount * perToken * expertTensorDegree }

  /// Groups that the experts of a token lie in, the mean of tokens whose experts are chosen at random:
  /// `G·(1 − C(E − E/G, k)/C(E, k))` (DeepEP's `get_expected_topk`). Where a token's experts are from M of R groups of the
  /// router's, those count alone that the M lie in.
  ///
  /// - Parameter groupCount: ranks, or nodes, that divide the experts.
  package func distinctGroupCount(of groupCount: Int) -> Double {
    if let groups, groupCount % groups.count == 0 {
      return Self.distinct(
        groupCount / groups.count * groups.kept, of: count / groups.count * groups.kept, chosen: perToken)
    }
    return Self.distinct(groupCount, of: count, chosen: perToken)
  }

  private static func distinct(_ groupCount: Int, of count: Int, chosen: Int) -> Double {
    let rest = count - count / groupCount
    // What is chosen is in none of a group's.
    var missing = 1.0
    for index in 0..<chosen { missing *= max(0, Double(rest - index)) / Double(count - index) }
    return Double(groupCount) * (1 - missing)
  }
}

/// The grouped products of the experts on a rank: so many rows divided among them, each row times its expert's matrix.
package struct GroupedLayer: Sendable, Equatable {
  /// Rows of all experts on the rank together, of the fullest rank.
  package let rowCount: Double
  package let expertCount: Int
  package let inputCount: Int
  package let outputCount: Int

  /// Rows of each expert, the mean.
  package var rowsPerExpert: Double { rowCount / Double(expertCount) }
  /// Weights on the rank.
  package var weightCount: Int { expertCount * inputCount * outputCount }
  /// `2·rows·n·k`, once forward and twice backward.
  package var forwardFLOP: Double { 2 * rowCount * Double(inputCount) * Double(outputCount) }
}
