import Documents
import Training

/// The slowest groups of ranks among which tokens go to their experts and back.
struct ExpertGroups: Sendable {
  private let experts, inside, across, tensor, tokens: CommunicationGroup
  /// Whether one kernel sends a token to all ranks that have any of its experts, its weights with it.
  private let sendsOnce: Bool

  static let none = ExpertGroups(sendsOnce: false) { _ in .alone }

  private init(sendsOnce: Bool, _ group: (TensorCollective.Ranks) -> CommunicationGroup) {
    self.sendsOnce = sendsOnce
    experts = group(.expertGroup)
    inside = group(.expertsInside)
    across = group(.expertsAcross)
    tensor = group(.expertTensorGroup)
    tokens = group(.expertTokens)
  }

  /// - Parameter nodeCount: nodes that the ranks of a group which divide experts lie on.
  init(_ strategy: Strategy, nodeCount: Int, links: LayoutLinks) {
    self.init(sendsOnce: strategy.dispatcher.sendsOnce) {
      links.slowest(strategy.expertSpacing($0, nodeCount: nodeCount))
    }
  }

  /// Seconds on the links of one collective, whatever hides it.
  func seconds(of collective: TensorCollective) -> Double {
    let group = group(of: collective.ranks), byteCount = Double(collective.byteCount)
    guard sendsOnce, collective.kind == .allToAll else {
      return group.seconds(of: collective.kind, byteCount: byteCount)
    }
    switch collective.operand {
    // What is sent anyway has them in its messages.
    case .routed(.weights), .routed(.weightsGradient): return group.addedAllToAllSeconds(byteCount: byteCount)
    default: return group.allToAllSeconds(byteCount: byteCount, isOneKernel: true)
    }
  }

  /// Seconds of a block's exchanges in one pass: nothing hides them.
  func seconds(_ pass: Account) -> Double {
    pass.expertCollectives.reduce(0) { $0 + Double($1.count) * seconds(of: $1.collective) }
  }

  private func group(of ranks: TensorCollective.Ranks) -> CommunicationGroup {
    switch ranks {
    case .expertsInside: inside
    case .expertsAcross: across
    case .expertTensorGroup: tensor
    case .expertTokens: tokens
    case .expertGroup, .tensorGroup, .headGroup, .sequenceGroup: experts
    }
  }
}

extension LayoutLinks {
  /// The groups that the tokens of a recipe go among.
  func expertGroups(of strategy: Strategy, _ recipe: Recipe) -> ExpertGroups {
    guard let experts = recipe.experts, experts.expertDegree * experts.expertTensorDegree > 1 else { return .none }
    return ExpertGroups(strategy, nodeCount: experts.nodeCount, links: self)
  }

  /// The groups in which ranks that hold the same experts divide and exchange those experts' states.
  func expertShardGroups(of strategy: Strategy) -> ShardGroups {
    expertLinks(strategy.expertMesh).shardGroups(strategy.expertSharding)
  }
}
