import Documents
import Training

/// The groups of each stage that one sharding communicates in, priced; see ``Documents/Sharding/Family``.
///
/// A reference, since all strategies of a layout with the same sharding have the same.
final class ShardGroups: Sendable {
  /// One stage's groups, each family's by its slowest.
  struct Families: Sendable, Equatable {
    let weights: ShardGroup
    let secondary: ShardGroup
    let gradients: ShardGroup
    let optimizer: ShardGroup
    let replicas: ShardGroup

    fileprivate init(_ group: (Sharding.Family) -> ShardGroup) {
      weights = group(.weights)
      secondary = group(.secondary)
      gradients = group(.gradients)
      optimizer = group(.optimizer)
      replicas = group(.replicas)
    }

    fileprivate func slower(_ other: Self) -> Self {
      Families { self[$0].slower(other[$0]) }
    }

    /// The groups of replicas that exchange; others are no replicas.
    subscript(exchange: Exchange) -> ShardGroup { exchange.family.map { self[$0] } ?? .alone }

    private subscript(family: Sharding.Family) -> ShardGroup {
      switch family {
      case .weights: weights
      case .secondary: secondary
      case .gradients: gradients
      case .optimizer: optimizer
      case .replicas: replicas
      }
    }
  }

  let sharding: Sharding
  /// Ranks from one replica to the next.
  let spacing: Int
  /// What its exchanges need of memory.
  let buffers: ExchangeBuffers
  /// What replicas exchange, by moment.
  private let exchanges: [[Exchange]]
  /// One entry if all stages are alike.
  private let stages: [Families]
  /// Of all stages, which wait for each other in every micro-batch.
  let slowest: Families

  /// - Precondition: the degrees divide each other, see ``Sharding``.
  init(_ sharding: Sharding, in layout: LayoutLinks) {
    self.sharding = sharding
    spacing = layout.mesh.replicas.stride
    buffers = ExchangeBuffers(sharding, in: layout.mesh, devicesPerNode: layout.devicesPerNode)
    exchanges = Moment.allCases.map { moment in
      sharding.exchanges(at: moment, in: layout.mesh).filter { $0.family != nil }
    }
    let replicaCount = layout.mesh.replicaCount
    let families = Sharding.Family.allCases.map { family in
      layout.subgroups(
        sharding.spacing(of: family, replicaCount: replicaCount), withHops: sharding.isQuantised)
    }
    stages = (0..<(families.map(\.count).max() ?? 1)).map { stage in
      Families { family in
        let groups = families[Sharding.Family.allCases.firstIndex(of: family) ?? 0]
        return groups.count == 1 ? groups[0] : groups[stage]
      }
    }
    slowest = stages.dropFirst().reduce(stages[0]) { $0.slower($1) }
  }

  /// What replicas exchange at a moment.
  func exchanges(at moment: Moment) -> [Exchange] { exchanges[moment.rawValue] }

  /// The groups of a stage's replicas that exchange; others are no replicas.
  func group(of exchange: Exchange, ofStage stage: Int) -> ShardGroup {
    // One family alone is read: copying all of them is what pricing a tail would mostly do.
    let place = stages.count == 1 ? 0 : stage
    return switch exchange.family {
    case .weights?: stages[place].weights
    case .secondary?: stages[place].secondary
    case .gradients?: stages[place].gradients
    case .optimizer?: stages[place].optimizer
    case .replicas?: stages[place].replicas
    case nil: .alone
    }
  }
}
