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

  /// Every exchange of divided sequences, with what divides tokens, layers and states besides.
  @Test func dividedSequences() throws {
    let kinds: [(Strategy.ContextExchange, Int, Int)] = [
      (.ring, 2, 1), (.ring, 4, 1), (.allGather, 2, 1), (.allGather, 4, 1), (.allToAll, 2, 1), (.allToAll, 4, 1),
      (.allToAllRing, 4, 2), (.allToAllRing, 8, 2),
    ]
    for (exchange, context, inner) in kinds {
      for (tensor, pipeline) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
        let model = try Self.model(Fixture.llama(), deviceCount: 32, microBatchCount: 4)
        for zero in [Strategy.ZeroStage.none, .optimizer, .weights] {
          for recompute in [Strategy.Recompute.none, .full] {
            var strategy = Strategy(
              mesh: [
                .tensor: tensor, .context: context, .pipeline: pipeline, .data: 32 / tensor / pipeline / context,
              ], zeroStage: zero, recompute: recompute, usesSequenceParallelism: tensor > 1, usesFlashAttention: true)
            strategy.contextExchange = exchange
            strategy.contextInnerDegree = inner
            // Two key-value heads go to two ranks.
            if 2 / tensor % strategy.contextDivision.headDegree != 0 { continue }
            agree(model, strategy, pipeline == 1 ? Split([4]) : Split([1, 3]))
          }
        }
      }
    }
  }

  /// With the copy of the token table on the last stage, or its own table in place, under every division of states.
  @Test func furtherPredictions() throws {
    for (isTied, depth) in [(false, 1), (true, 2)] {
      let model = try Self.model(
        Fixture.llama(isTied: isTied, predictionDepth: depth), deviceCount: 16, microBatchCount: 4)
      for (tensor, context, pipeline) in [(1, 1, 1), (2, 1, 1), (2, 1, 2), (1, 2, 2), (2, 2, 1)] {
        for zero in [Strategy.ZeroStage.none, .optimizer, .gradients, .weights] {
          for recompute in [Strategy.Recompute.none, .full] {
            for isSequenceParallel in tensor > 1 ? [false, true] : [false] {
              let strategy = Strategy(
                mesh: [
                  .tensor: tensor, .context: context, .pipeline: pipeline, .data: 16 / tensor / pipeline / context,
                ], zeroStage: zero, recompute: recompute, usesSequenceParallelism: isSequenceParallel,
                usesFlashAttention: true)
              agree(model, strategy, pipeline == 1 ? Split([4]) : Split([1, 3]))
            }
          }
        }
      }
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
          guard stage <= .optimizer else { continue }
          for schedule in [Strategy.Schedule.zeroBubble(chunkCount: 2), .zeroBubbleV, .dualPipeV] {
            agree(
              model, strategy.with(\.schedule, schedule), Split([1, 1, 1, 1], stageCount: 2, isV: schedule.isV))
          }
        }
      }
    }
  }
}
