import Costing
import Documents
import TestSupport
import Testing

@testable import Search

@Suite("Which shard degrees the search looks at")
struct ShardingChoicesTests {
  private static func choices(
    _ cluster: String, tensor: Int = 1, data: Int, pipeline: Int = 1, fix: String = "", tolerance: Double? = nil
  ) throws -> [Sharding] {
    let pattern = fix.isEmpty ? StrategyPattern() : try StrategyPattern(text: fix, source: "--fix")
    return ShardingChoices(
      cluster: try Shipped.catalog.cluster(cluster), pattern: pattern,
      allowance: Allowance(quantisationTolerance: tolerance)
    ).choices([.tensor: tensor, .data: data, .pipeline: pipeline]).all.map {
      $0.sharding ?? Sharding($0.zeroStage, replicaCount: data)
    }
  }

  private static func triple(_ sharding: Sharding) -> [Int] {
    [sharding.weightDegree, sharding.gradientDegree, sharding.optimizerDegree]
  }

  @Test("Every nesting of 1, the cluster's levels and all, ZeRO's stages first, each once")
  func nestings() throws {
    let all = try Self.choices("frontier-16", data: 128)
    #expect(all.prefix(4).map(Self.triple) == [[1, 1, 1], [1, 1, 128], [1, 128, 128], [128, 128, 128]])
    #expect(Set(all).count == all.count)
    // 20 nestings of {1, 2, 8, 128}; with weights in 8 a second copy in 2, with weights in 128 one in 2 or 8.
    #expect(all.count { $0.secondaryDegree == nil } == 20)
    #expect(all.count { $0.secondaryDegree != nil } == 5)
    #expect(all.contains(Sharding(weightDegree: 2, gradientDegree: 8, optimizerDegree: 128)))
    #expect(all.allSatisfy { !$0.isQuantised })
  }

  @Test("Levels inside a tensor group, and levels that no replicas fill, are no degrees")
  func tensorGroups() throws {
    let degrees = try Set(Self.choices("frontier-16", tensor: 4, data: 32).map(\.weightDegree))
    #expect(degrees == [1, 2, 32])
    #expect(try Set(Self.choices("frontier-16", tensor: 8, data: 16).map(\.weightDegree)) == [1, 16])
    // Six replicas: two nodes' worth of three do not fill a node of eight.
    #expect(try Set(Self.choices("frontier-16", data: 6).map(\.weightDegree)) == [1, 2, 6])
  }

  @Test("In a pipeline only optimizer states are divided by levels")
  func pipelines() throws {
    let all = try Self.choices("dgx-h100-16", data: 64, pipeline: 2)
    #expect(all.map(Self.triple) == [[1, 1, 1], [1, 1, 64], [1, 64, 64], [64, 64, 64], [1, 1, 8]])
  }

  @Test("What is fixed stays, levels or not")
  func fixedDegrees() throws {
    let fixed = try Self.choices("frontier-16", data: 128, fix: "weight_shards=4,optimizer_shards=64")
    #expect(Set(fixed.map(Self.triple)) == [[4, 8, 64]])
    #expect(Set(fixed.map(\.secondaryDegree)) == [nil, 2])
    let secondary = try Self.choices("frontier-16", data: 128, fix: "secondary_shards=4")
    #expect(!secondary.isEmpty && secondary.allSatisfy { $0.secondaryDegree == 4 })
    let single = try Self.choices("frontier-16", data: 128, fix: "secondary_shards=1")
    #expect(single.count == 20 && single.allSatisfy { $0.secondaryDegree == nil })
    #expect(try Set(Self.choices("frontier-16", data: 128, fix: "zero_stage=2").map(\.stage)) == [.gradients])
    #expect(try Self.choices("frontier-16", data: 128, fix: "gradient_shards=3").isEmpty)
    #expect(try Self.choices("frontier-16", data: 128, pipeline: 2, fix: "weight_shards=2").isEmpty)
    #expect(try Self.choices("frontier-16", data: 1, fix: "weight_shards=2").isEmpty)
  }

  @Test("Quantised where that is allowed, gains something, and errs little enough")
  func quantisation() throws {
    let exact = try Self.choices("dgx-h100-16", data: 128)
    let weights = try Self.choices("dgx-h100-16", data: 128, tolerance: 0.02)
    let all = try Self.choices("dgx-h100-16", data: 128, tolerance: 0.2)
    #expect(Array(weights.prefix(exact.count)) == exact && Array(all.prefix(exact.count)) == exact)
    #expect(weights.dropFirst(exact.count).allSatisfy { $0.quantisesWeights && !$0.quantisesGradients })
    #expect(all.contains { $0.quantisesWeights && $0.quantisesGradients })
    for sharding in all where sharding.isQuantised {
      // Something crosses nodes.
      #expect(sharding.optimizerDegree == 128)
    }
    // One node, or groups that stay in theirs: nothing to gain.
    #expect(try Self.choices("dgx-h100-1", data: 8, tolerance: 1).allSatisfy { !$0.isQuantised })
    #expect(try Self.choices("dgx-h100-16", data: 64, pipeline: 2, tolerance: 1).allSatisfy { !$0.isQuantised })
  }
}
