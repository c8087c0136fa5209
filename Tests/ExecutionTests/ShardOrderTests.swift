import Documents
import Testing
import Training

@testable import Execution

/// How shards are cut of which weights of products are gathered in a format of their own, and how such weights become bytes.
@Suite struct ShardOrderTests {
  /// Every shard, on every level, has as many elements as it has without the order, and its even share of both kinds.
  @Test(arguments: [[1, 1, 3], [1, 1, 5], [1, 4, 4], [7, 7, 7], [2, 10, 10], [2, 4, 8], [1, 1, 1]])
  func shardsHaveTheirShareOfBoth(degrees: [Int]) throws {
    let model = try SmallModels.mixture(.plain)
    let sharding = Sharding(
      weightDegree: degrees[0], gradientDegree: degrees[1], optimizerDegree: degrees[2])
    let shard = ModelShard(model: model, sequenceLength: 8, seed: 1)
    let layouts = [
      ParameterLayout(.embedding, shard: shard), ParameterLayout(.layer(0), shard: shard),
      ParameterLayout(experts: 0..<2, ofLayer: 0, model),
    ]
    for replica in 0..<degrees[2] {
      for scope in degrees[1] == 1 ? [Array(layouts[..<2])] : layouts.map({ [$0] }) {
        let orders = ShardOrder.orders(of: scope, sharding, ofReplica: replica, replicaCount: degrees[2])
        let count = scope.reduce(0) { $0 + $1.count }
        let narrowCount = scope.reduce(0) { $0 + $1.narrowCount }
        for (layout, order) in zip(scope, orders) {
          #expect(order.elements.sorted() == Array(0..<layout.count))
          for (place, element) in order.elements.enumerated() {
            let tensor = try #require(layout.tensors.first { $0.range.contains(element) })
            #expect(order.isNarrow[place] == tensor.name.isOfLinearLayer)
          }
          // Runs of a shard's elements are these.
          let own = order.ranges(sharding).optimizer
          #expect(order.runs(of: own).flatMap { Array($0) } == Array(order.elements[own]))
        }
        func lengths(_ range: (ShardRanges) -> Range<Int>) -> (all: Int, narrow: Int) {
          zip(scope, orders).reduce((0, 0)) { sum, it in
            let places = range(it.1.ranges(sharding))
            return (sum.0 + places.count, sum.1 + it.1.isNarrow[places].count { $0 })
          }
        }
        func expected(_ elements: Int) -> ShardRanges {
          sharding.ranges(ofReplica: replica, replicaCount: degrees[2], elementCount: elements)
        }
        for range in [{ $0.weights }, { $0.gradients }, { $0.optimizer }] as [(ShardRanges) -> Range<Int>] {
          let found = lengths(range)
          #expect(found.all == range(expected(count)).count && found.narrow == range(expected(narrowCount)).count)
        }
      }
    }
  }

  /// Weights of products are those that the model of costs counts as such.
  @Test func linearLayersAreWhatIsCounted() throws {
    for pattern in ["tensor=2,data=2,sequence_parallel=true,expert=2,zero_stage=1", "data=2,expert=2,zero_stage=2"] {
      for kind in [SmallModels.ExpertKind.grouped, .gated, .plain, .latent] {
        let plan = try SmallPlans.expertPlan(pattern + ",narrow_weights=true", kind, precision: .fp8Current)
        let miniature = try Miniature(of: plan, rankLimit: 8), shape = miniature.shape
        var setting = ExecutionSetting(
          shape: shape, optimizer: OptimizerSettings(rule: .sgd, clippingNorm: nil), seed: 1, arithmetic: .fp32)
        setting.casting = miniature.casting(seed: 1)
        let run = MiniatureRun(setting: setting, programs: shape.programs(), usesThreads: false)
        for rank in run.ranks {
          for part in rank.machine.state.parts {
            #expect(part.layout.narrowCount == shape.productParameterCount(of: part.part), "\(kind) \(part.part)")
          }
        }
      }
    }
  }

  /// Every number of a format has bits of its own, a byte or half of one, and what is no number stays none where there is such a
  /// code.
  @Test(arguments: NarrowNumber.allCases)
  func numbersHaveTheirBits(format: NarrowNumber) {
    let numbers = NarrowNumberTests.numbers(format)
    for (index, number) in numbers.enumerated() {
      #expect(format.code(of: number) == UInt8(index))
      #expect(format.value(ofCode: UInt8(index)) == number)
      let code = format.code(of: -number)
      #expect(format.value(ofCode: code) == -number && code >> 7 == (format == .e2m1 ? 0 : 1))
      #expect(code == UInt8(index) + (format == .e2m1 ? 8 : 128))
    }
    #expect(format == .e2m1 || format.value(ofCode: format.code(of: .nan)).isNaN)
  }
}

extension ParameterLayout {
  /// Elements that are weights of products.
  fileprivate var narrowCount: Int {
    tensors.reduce(0) { $0 + ($1.name.isOfLinearLayer ? $1.range.count : 0) }
  }
}
