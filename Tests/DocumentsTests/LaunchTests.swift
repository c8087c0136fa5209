import JSONText
import TestSupport
import Testing

@testable import Documents

/// What a plan tells each framework about how replicas divide their states, and when it tells nothing.
@Suite struct LaunchTests {
  /// The example's plan with eight replicas, or with four in a pipeline of two stages.
  private static func plan(_ sharding: Sharding, pipeline: Int = 1) throws -> Plan {
    let example = try examplePlan()
    let cluster = try #require(example.cluster.resized(nodeCount: 4))
    let memory = example.prediction.stageMemory[0]
    return Plan(
      toolVersion: "0.0.0", cluster: cluster, job: example.job, frameworkName: "megatron-lm",
      fixed: StrategyPattern(), allowance: Allowance(quantisationTolerance: 0.5),
      strategy: Strategy(
        mesh: [.pipeline: pipeline, .data: 8 / pipeline], sharding: sharding),
      split: Split(pipeline == 1 ? [4] : [2, 2]),
      arrangement: NodeArrangement(nodeOrder: [0, 1, 2, 3], reason: .notMeasured, givenOrderSeconds: 1, moments: []),
      prediction: Prediction(
        iterationSeconds: 1, timeSplit: example.prediction.timeSplit,
        stageMemory: [Prediction.StageMemory](repeating: memory, count: pipeline), verdict: .fits,
        tokensPerSecondPerDevice: 1, modelFLOPUtilization: 0.5),
      certificate: example.certificate, alternatives: [], impossibleFamilies: [])
  }

  private static func value(after flag: String, in arguments: [String]?) -> String? {
    guard let arguments, let index = arguments.firstIndex(of: flag), index + 1 < arguments.count else { return nil }
    return arguments[index + 1]
  }

  @Test func optimizerStatesOfFewerReplicasAreInstancesOfTheDistributedOptimizer() throws {
    for (pipeline, instances) in [(1, "4"), (2, "2")] {
      let plan = try Self.plan(
        Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 2), pipeline: pipeline)
      let arguments = plan.megatronArguments
      #expect(arguments?.contains("--use-distributed-optimizer") == true)
      #expect(arguments?.contains("--use-megatron-fsdp") == false)
      #expect(Self.value(after: "--num-distributed-optimizer-instances", in: arguments) == instances)
      #expect(plan.launchFrameworks == [.megatronLM])
    }
  }

  @Test func groupsLargerThanTheStagesAreNamed() throws {
    let example = try Self.plan(.init(.none, replicaCount: 4), pipeline: 2)
    func arguments(globalBatch: Int) throws -> [String]? {
      let job = try TrainingJob(
        model: example.job.model, sequenceLength: example.job.sequenceLength, globalBatch: globalBatch,
        precision: example.job.precision, accumulatesGradientsInFP32: true)
      return Plan(
        toolVersion: "0.0.0", cluster: example.cluster, job: job, frameworkName: "megatron-lm",
        fixed: StrategyPattern(), allowance: .exact,
        strategy: example.strategy.with(\.schedule, .interleaved(chunkCount: 2)),
        split: Split([1, 1, 1, 1], stageCount: 2),
        arrangement: example.arrangement, prediction: example.prediction, certificate: example.certificate,
        alternatives: [], impossibleFamilies: []
      ).megatronArguments
    }
    let flag = "--microbatch-group-size-per-virtual-pipeline-stage"
    #expect(Self.value(after: flag, in: try arguments(globalBatch: 12)) == "3")
    #expect(try arguments(globalBatch: 16)?.contains(flag) == false)
  }

  @Test func aHybridIsKnownToThreeFrameworks() throws {
    let plan = try Self.plan(Sharding(weightDegree: 2, gradientDegree: 2, optimizerDegree: 2))
    #expect(plan.launchFrameworks == [.megatronLM, .deepSpeed, .torchtitan])
    #expect(Self.value(after: "--num-distributed-optimizer-instances", in: plan.megatronArguments) == "4")
    #expect(Self.value(after: "--outer-dp-sharding-strategy", in: plan.megatronArguments) == "no_shard")
    #expect(plan.deepSpeedConfiguration?.member("zero_optimization")?.member("mics_shard_size") == .integer(2))
    let titan = plan.torchtitanArguments
    #expect(Self.value(after: "--parallelism.data_parallel_replicate_degree", in: titan) == "4")
    #expect(Self.value(after: "--parallelism.data_parallel_shard_degree", in: titan) == "2")
  }

  @Test func optimizerStatesOfAllReplicasOverAHybridAreMegatronsOuterSharding() throws {
    let plan = try Self.plan(Sharding(weightDegree: 2, gradientDegree: 2, optimizerDegree: 8))
    #expect(plan.launchFrameworks == [.megatronLM])
    #expect(Self.value(after: "--outer-dp-sharding-strategy", in: plan.megatronArguments) == "optim")
  }

  @Test func secondaryPartitionsAndQuantisationAreDeepSpeeds() throws {
    let plan = try Self.plan(
      Sharding(
        weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 2, quantisesWeights: true,
        quantisesGradients: true))
    #expect(plan.launchFrameworks == [.deepSpeed])
    let zero = plan.deepSpeedConfiguration?.member("zero_optimization")
    #expect(zero?.member("stage") == .integer(3))
    #expect(zero?.member("zero_hpz_partition_size") == .integer(2))
    #expect(zero?.member("zero_quantized_weights") == .boolean(true))
    #expect(zero?.member("zero_quantized_gradients") == .boolean(true))
    #expect(zero?.member("mics_shard_size") == nil)
  }

  @Test(arguments: [
    Sharding(weightDegree: 2, gradientDegree: 4, optimizerDegree: 8),
    Sharding(weightDegree: 1, gradientDegree: 2, optimizerDegree: 8),
    Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 4, secondaryDegree: 2),
    Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 8, quantisesGradients: true),
  ])
  func whatNoFrameworkOffersIsLaunchedByNone(sharding: Sharding) throws {
    let plan = try Self.plan(sharding)
    #expect(plan.launchFrameworks.isEmpty)
    let launch = plan.json.member("launch")
    #expect(launch?.member("frameworks") == .array([]))
    #expect(launch?.member("megatron_lm_arguments") == nil)
  }

  @Test(arguments: Strategy.ZeroStage.allCases)
  func zerosStagesAreLaunchedAsBefore(stage: Strategy.ZeroStage) throws {
    let arguments = try #require(Self.plan(Sharding(stage, replicaCount: 8)).megatronArguments)
    #expect(arguments.contains("--use-distributed-optimizer") == (stage >= .optimizer))
    #expect(arguments.contains("--use-megatron-fsdp") == (stage >= .gradients))
    #expect(!arguments.contains("--num-distributed-optimizer-instances"))
  }
}
