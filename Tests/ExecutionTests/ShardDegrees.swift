import Documents
import TestSupport
import Training

@testable import Execution

/// Shard degrees of so many replicas, and small runs of them.
struct ShardDegrees: Sendable, CustomStringConvertible {
  let weights: Int
  let gradients: Int
  let optimizer: Int
  let replicas: Int
  var secondary: Int?

  /// All that divide each other.
  static func legal(replicas n: Int) -> [ShardDegrees] {
    let divisors = (1...n).filter { n % $0 == 0 }
    return divisors.flatMap { w in
      divisors.filter { $0 % w == 0 }.flatMap { g in
        divisors.filter { $0 % g == 0 }.map { ShardDegrees(weights: w, gradients: g, optimizer: $0, replicas: n) }
      }
    }
  }

  /// The same with every secondary partition.
  static func withSecondary(replicas n: Int) -> [ShardDegrees] {
    legal(replicas: n).flatMap { degrees in
      (1..<degrees.weights).filter { degrees.weights % $0 == 0 }.map { secondary in
        var copy = degrees
        copy.secondary = secondary
        return copy
      }
    }
  }

  var description: String {
    "\(weights)|\(gradients)|\(optimizer)|\(replicas)" + (secondary.map { " secondary \($0)" } ?? "")
  }

  var pattern: String {
    "data=\(replicas),weight_shards=\(weights),gradient_shards=\(gradients),optimizer_shards=\(optimizer)"
      + (secondary.map { ",secondary_shards=\($0)" } ?? "")
  }

  /// Ranks at each level at which sums of replicas are made, innermost first.
  var levels: [Int] { [weights, gradients / weights, optimizer / gradients, replicas / optimizer] }
}

/// A miniature that is run with routes of one's own, without clipping: the norm's sum
/// is in another order when shards are.
struct RoutedRun {
  var run: MiniatureRun
  let shape: IterationShape

  /// - Parameters:
  ///   - route: how each family's groups are routed.
  ///   - layers: of the model.
  ///   - isExact: whether nothing is quantised although the pattern says so; the model is the pattern's.
  init(
    _ pattern: String, microBatches: Int, family: ModelDescription.Family = .gpt, isTied: Bool = false,
    devicesPerNode: Int = 4, layers: Int = 2, isExact: Bool = false, errorFeedback: ErrorFeedback? = nil,
    usesThreads: Bool = false,
    route: (Sharding.Family) -> Route
  ) throws {
    let miniature = try Self.miniature(
      pattern, microBatches: microBatches, family: family, isTied: isTied, layers: layers)
    let own = miniature.shape, mesh = own.mesh
    var routes = CollectiveRoutes()
    for data in mesh.groups(along: .data) {
      for family in Sharding.Family.allCases {
        for group in own.sharding.groups(of: family, inDataGroup: data) where group.count > 1 {
          routes[group] = route(family)
        }
      }
    }
    let strategy = own.strategy
    shape = IterationShape(
      job: own.job,
      strategy: isExact
        ? Strategy(
          mesh: strategy.mesh, microBatch: strategy.microBatch, sharding: strategy.sharding.exact,
          recompute: strategy.recompute, usesSequenceParallelism: strategy.usesSequenceParallelism,
          usesFlashAttention: strategy.usesFlashAttention)
        : strategy,
      split: own.split, schedule: own.schedule,
      paddedVocabularySize: own.paddedVocabularySize, maximumGradientNorm: nil, devicesPerNode: devicesPerNode,
      routes: routes)
    let programs = shape.programs()
    if let defect = shape.defect(in: programs) { throw DryRun.Failure(description: "\(defect)") }
    var setting = ExecutionSetting(
      shape: shape, optimizer: OptimizerSettings(clippingNorm: nil), seed: 3, arithmetic: .fp32)
    setting.errorFeedback = errorFeedback
    run = MiniatureRun(setting: setting, programs: programs, usesThreads: usesThreads)
  }

  static func miniature(
    _ pattern: String, microBatches: Int, family: ModelDescription.Family = .gpt, isTied: Bool = false, layers: Int = 2
  ) throws -> Miniature {
    let text = Dictionary(
      uniqueKeysWithValues: pattern.split(separator: ",").map { part in
        let halves = part.split(separator: "=")
        return (String(halves[0]), String(halves[1]))
      })
    let data = Int(text["data"] ?? "") ?? 1, world = data * (Int(text["tensor"] ?? "") ?? 1)
    return try Miniature(
      of: statedPlan(
        "\(pattern),micro_batch=1", cluster: Shipped.smallCluster(world),
        model: SmallPlans.model(family, isTied: isTied, layers: layers), globalBatch: data * microBatches,
        sequenceLength: 64), rankLimit: 64)
  }

  /// Parameters after so many steps.
  mutating func parameters(steps: Int = 2) throws -> [ModelPart: [Float]] {
    for _ in 0..<steps { try run.iterate() }
    let parameters = run.parameters
    guard parameters.replicasAgree else { throw DryRun.Failure(description: "replicas hold different parameters") }
    return parameters.values
  }
}
