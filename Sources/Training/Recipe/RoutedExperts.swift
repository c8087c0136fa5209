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
  /// Width of what routed experts read and give; nil where they read tokens as they are.
  package let latentSize: Int?
  /// EP: ranks that divide the experts.
  package let expertDegree: Int
  /// ETP: ranks that divide the width of each.
  package let expertTensorDegree: Int
  package let dispatcher: Strategy.Dispatcher
  /// Tokens of the fullest expert rank over the mean, λ ≥ 1.
  package let load: Double
  /// How many tokens experts take.
  package let capacity: ExpertCapacity
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
    latentSize = experts.latentSize
    expertDegree = division.expertDegree
    expertTensorDegree = division.tensorDegree
    dispatcher = division.dispatcher
    load = job.expertLoad
    capacity = job.expertCapacity
    groups = experts.groups
    // A group that leaves its node has neighbours there, or none.
    let extent = expertDegree * expertTensorDegree
    nodeCount = extent > devicesPerNode && extent % devicesPerNode == 0 ? min(expertDegree, extent / devicesPerNode) : 1
  }

  /// Experts on the rank.
  package var localCount: Int { count / expertDegree }

  /// Rows that a rank sends of so many tokens, and gets, all ranks in the mean: every token to each of its experts; what these
  /// take of it where others are dropped, E·C, whether or not it is filled where it is padded.
  package func sentRowCount(tokenCount: Int) -> Int {
    let all = tokenCount * perToken
    guard let taken = takenRowCount(tokenCount: tokenCount) else { return all }
    return capacity.pads ? taken : min(all, taken)
  }

  /// Rows that the experts of the fullest rank compute for so many tokens of every rank: with the width of experts divided,
  /// those of all ranks that divide it. None is fuller than what is taken of it.
  package func fullestRowCount(tokenCount: Int) -> Double {
    let all = Double(tokenCount * perToken) * load
    guard let taken = takenRowCount(tokenCount: tokenCount) else { return all * Double(expertTensorDegree) }
    return (capacity.pads ? Double(taken) : min(all, Double(taken))) * Double(expertTensorDegree)
  }

  /// Rows that all experts together take of a rank's tokens, E·C; nil where they take all.
  private func takenRowCount(tokenCount: Int) -> Int? {
    capacity.rowCount(tokenCount: tokenCount, perToken: perToken, expertCount: count).map { $0 * count }
  }

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
  /// Whether they multiply in the job's narrow format, where that has one.
  package var isNarrow = false

  /// Rows of each expert, the mean.
  package var rowsPerExpert: Double { rowCount / Double(expertCount) }
  /// Weights on the rank.
  package var weightCount: Int { expertCount * inputCount * outputCount }
  /// `2·rows·n·k`, once forward and twice backward.
  package var forwardFLOP: Double { 2 * rowCount * Double(inputCount) * Double(outputCount) }
}
