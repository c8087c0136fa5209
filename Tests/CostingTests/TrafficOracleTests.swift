import Documents
import Oracles
import Testing

@testable import Costing

/// The bytes that are counted from the recipe are those of an account in textbook form.
@Suite struct TrafficOracleTests {
  private static func model(
    _ model: ModelDescription, deviceCount: Int, microBatchCount: Int = 3, devicesPerNode: Int = 4
  ) throws -> CostModel {
    try CostModel(
      cluster: Fixture.cluster(
        nodeCount: deviceCount / devicesPerNode, devicesPerNode: devicesPerNode,
        levels: [
          .init(name: "node", span: devicesPerNode, bytesPerSecond: 100e9),
          .init(name: "net", span: deviceCount, bytesPerSecond: 10e9),
        ]),
      job: Fixture.job(model, globalBatch: 8 * microBatchCount, accumulatesGradientsInFP32: true))
  }

  private func agree(_ model: CostModel, _ strategy: Strategy, _ split: Split) {
    #expect(model.violation(of: strategy) == nil, "\(strategy)")
    #expect(
      model.traffic(of: strategy, split: split) == TrafficOracle.traffic(model, strategy, split), "\(strategy)")
  }

  /// Every division of eight replicas, with every secondary copy, exact and quantised.
  @Test(arguments: [1, 2])
  func shardDegrees(tensorDegree: Int) throws {
    let divisors = [1, 2, 4, 8]
    for isTied in [true, false] {
      let model = try Self.model(Fixture.gpt(isTied: isTied), deviceCount: 8 * tensorDegree)
      var count = 0
      for w in divisors {
        for g in divisors where g % w == 0 {
          for o in divisors where o % g == 0 {
            for s in [nil] + divisors.dropFirst().filter({ $0 < w }).map(Optional.some) {
              for quantises in o > 1 ? [false, true] : [false] {
                let sharding = Sharding(
                  weightDegree: w, gradientDegree: g, optimizerDegree: o, secondaryDegree: s,
                  quantisesWeights: quantises, quantisesGradients: quantises)
                agree(model, Strategy(mesh: [.tensor: tensorDegree, .data: 8], sharding: sharding), Split([4]))
                count += 1
              }
            }
          }
        }
      }
      #expect(count > 40)
    }
  }

  @Test func pipelines() throws {
    for shape in [try Fixture.gpt(isTied: true), try Fixture.llama()] {
      let model = try Self.model(shape, deviceCount: 16, microBatchCount: 4)
      for stage in [Strategy.ZeroStage.none, .optimizer, .gradients, .weights] {
        for isSequenceParallel in [false, true] {
          let strategy = Strategy(
            mesh: [.tensor: 2, .data: 4, .pipeline: 2], zeroStage: stage, recompute: .full,
            usesSequenceParallelism: isSequenceParallel)
          agree(model, strategy, Split([1, 3]))
          agree(
            model, strategy.with(\.schedule, .interleaved(chunkCount: 2)), Split([1, 1, 1, 1], stageCount: 2))
        }
      }
    }
  }
}
