import JSONText
import TestSupport

@testable import Documents

/// The example documents of a kind: the files `Inputs/examples/KIND.json` and `KIND-*.json`, and one plan made here.
///
/// The plan's strategy also has the keys that are read and never written.
func exampleDocuments(of kind: DocumentSchema) throws -> [(name: String, json: JSON)] {
  var examples: [(name: String, json: JSON)] = []
  let folder = "Tests/DocumentsTests/Inputs/examples"
  for name in Checkout.names(in: folder) where name == kind.name || name.hasPrefix("\(kind.name)-") {
    examples.append((name, try Checkout.json("\(folder)/\(name).json")))
  }
  if kind == .plan {
    let unwritten = [
      JSONMember("context", .integer(1)), JSONMember("context_exchange", .string("ring")),
      JSONMember("context_inner", .integer(1)), JSONMember("expert", .integer(1)),
      JSONMember("expert_tensor", .integer(1)), JSONMember("moe_dispatcher", .string("alltoall")),
      JSONMember("moe_overlap", .boolean(false)), JSONMember("recompute_modules", .array([])),
      JSONMember("fsdp", .boolean(false)), JSONMember("host_update_percent", .integer(0)),
      JSONMember("host_weights", .boolean(false)), JSONMember("host_activations", .boolean(false)),
      JSONMember("narrow_weights", .boolean(false)),
      JSONMember("update", .string("first-order")), JSONMember("perturbation", .integer(1)),
    ]
    let plan = try examplePlan().json
    if case .object(let members)? = plan.member("strategy") {
      examples.append(("the plan of the tests", plan.replacing("/strategy", with: .object(members + unwritten))))
    }
    examples.append(("the plan of ZeRO++", try exampleShardedPlan().json))
    examples.append(("the plan of shards within the node", try exampleHybridPlan().json))
    examples.append(("the plan of zeroth order", try exampleZerothOrderPlan().json))
    examples.append(("the plan of workers", try exampleOuterPlan().json))
    examples.append(("the plan of divided sequences", try exampleContextPlan().json))
    examples.append(("the plan of divided experts", try exampleExpertPlan().json))
    examples.append(("the plan of narrower products", try exampleNarrowPlan().json))
  }
  return examples
}

/// A plan with every part, whose figures are invented.
func examplePlan() throws -> Plan {
  let catalog = Catalog(root: Checkout.root)
  let strategy = Strategy(
    mesh: [.tensor: 2, .pipeline: 2], microBatch: 2, zeroStage: .none,
    recompute: .full, usesSequenceParallelism: false, usesFlashAttention: true, overlapsGradientReduce: false)
  let memory = Prediction.StageMemory(
    weightBytes: 1, gradientBytes: 2, optimizerBytes: 3, activationBytes: 4, workspaceBytes: 5, reservedBytes: 6,
    fragmentationBytes: 7, hostBytes: 8)
  let prediction = Prediction(
    iterationSeconds: 0.5,
    timeSplit: Prediction.TimeSplit(
      computeSeconds: 0.25, recomputeSeconds: 0, launchSeconds: 0, tensorSeconds: 0.125, pipelineSeconds: 0.0625,
      dataSeconds: 0,
      bubbleSeconds: 0.03125, optimizerSeconds: 0.015625, fixedSeconds: 0.015625),
    stageMemory: [memory, memory], verdict: .fits, tokensPerSecondPerDevice: 512, modelFLOPUtilization: 0.25,
    iterationSecondsRange: 0.4...0.625)
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(
      cluster: try catalog.cluster("\(Checkout.inputs)/examples/cluster.json"),
      job: try TrainingJob(contentsOf: "\(Checkout.inputs)/examples/job.json", catalog: catalog),
      coefficientName: "megatron-lm", margin: 0.01),
    strategy: strategy,
    split: Split(
      [2, 2],
      choices: [
        StageChoice(recomputedLayerCount: 1, offloadsOptimizer: true), StageChoice(recomputedLayerCount: 0),
      ]),
    arrangement: NodeArrangement(
      nodeOrder: [0, 1], reason: .searched, givenOrderSeconds: 0.625,
      moments: [NodeArrangement.Moment(name: "morning", givenOrderSeconds: 0.75, iterationSeconds: 0.5)]),
    prediction: prediction,
    measuredPrices: [
      MeasuredPrice(
        group: "replicas", collective: .init(kind: .allReduce, rankCount: 2, nodeCount: 2),
        sources: [.init(kind: .reduceScatter, rankCount: 2, nodeCount: 2)], isInferred: true)
    ],
    certificate: Certificate(
      ending: .timeLimit, lowerBoundSeconds: 0.25, scoreSeconds: 0.5, fastestScoreSeconds: 0.375, enumeratedCount: 10,
      rejections: [Certificate.Rejection(rule: "global batch does not divide", count: 3)], memoryRejectedCount: 2,
      closedByBoundCount: 4, completedCount: 1, unprovenCount: 0, programCount: 3, plainerCount: 2, stoppedAfter: 7,
      proofs: [
        Certificate.Proof(
          strategy: "t2 p2", stagesChoose: true, scoreSeconds: 0.5, lowerBoundSeconds: 0.5, split: .integerPrograms,
          order: .bound)
      ]),
    alternatives: [
      Plan.Alternative(
        strategy: strategy, split: Split([3, 1]), prediction: prediction, family: "without pipeline", reason: "slower")
    ],
    impossibleFamilies: ["without tensor parallelism"])
}

/// The same with replicas that divide their states as ZeRO++ does.
func exampleShardedPlan() throws -> Plan {
  try examplePlan(
    sharding: Sharding(
      weightDegree: 4, gradientDegree: 4, optimizerDegree: 4, secondaryDegree: 2, quantisesWeights: true,
      quantisesGradients: true),
    allowance: Allowance(quantisationTolerance: 0.2))
}

/// The same with replicas that divide their states within the node.
func exampleHybridPlan() throws -> Plan {
  try examplePlan(
    sharding: Sharding(weightDegree: 2, gradientDegree: 2, optimizerDegree: 2), allowance: .exact,
    framework: "deepspeed")
}

/// A plan that trains by losses alone, with slices and layers on the host.
func exampleZerothOrderPlan() throws -> Plan {
  let plan = try examplePlan()
  var strategy = Strategy(
    mesh: [.data: 4], microBatch: 2, sharding: Sharding(weightDegree: 2, gradientDegree: 2, optimizerDegree: 2))
  strategy.update = .zerothOrder
  strategy.perturbationDegree = 2
  strategy.hosting = Hosting(holdsWeights: true)
  var timeSplit = plan.prediction.timeSplit
  timeSplit.hostSeconds = 0.0625
  var job = plan.job
  job.zerothOrder = ZerothOrder(directionCount: 2, epsilon: 0.002, learningRate: 1e-7, seed: 3)
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(
      cluster: plan.cluster, job: job, coefficientName: "megatron-lm",
      allowance: Allowance(quantisationTolerance: 0.1, zerothOrder: true)),
    strategy: strategy,
    split: Split([4], choices: [StageChoice(recomputedLayerCount: 0, hostedLayerCount: 3)]),
    arrangement: plan.arrangement,
    prediction: Prediction(
      iterationSeconds: 0.5, timeSplit: timeSplit, stageMemory: [plan.prediction.stageMemory[0]], verdict: .fits,
      tokensPerSecondPerDevice: 512, modelFLOPUtilization: 0.25),
    shardingOptions: [
      ShardingOption(
        name: "this plan", sharding: strategy.sharding, iterationSeconds: 0.5, peakBytes: 10, verdict: .fits,
        sentBytes: plan.cluster.levels.map(\.span))
    ],
    certificate: plan.certificate, alternatives: [], impossibleFamilies: [Plan.Alternative.firstOrder])
}

/// A plan whose sequences ranks divide.
func exampleContextPlan() throws -> Plan {
  let plan = try examplePlan()
  var strategy = Strategy(mesh: [.context: 4], microBatch: 2, zeroStage: .optimizer, usesFlashAttention: true)
  strategy.contextExchange = .allToAllRing
  strategy.contextInnerDegree = 2
  var timeSplit = plan.prediction.timeSplit
  timeSplit.contextSeconds = 0.0625
  timeSplit.expertSeconds = 0.03125
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(cluster: plan.cluster, job: plan.job, coefficientName: "megatron-lm"), strategy: strategy,
    split: Split([4]), arrangement: plan.arrangement,
    prediction: Prediction(
      iterationSeconds: 0.5, timeSplit: timeSplit, stageMemory: [plan.prediction.stageMemory[0]], verdict: .fits,
      tokensPerSecondPerDevice: 512, modelFLOPUtilization: 0.25),
    certificate: plan.certificate, alternatives: [], impossibleFamilies: [])
}

/// A plan whose experts are divided by two ranks, which two others hold as well.
func exampleExpertPlan() throws -> Plan {
  let plan = try examplePlan()
  var strategy = Strategy(
    mesh: [.tensor: 2, .data: 2], microBatch: 2, zeroStage: .optimizer, usesSequenceParallelism: true,
    usesFlashAttention: true)
  strategy.overlapsTensorExchange = true
  strategy.expertDegree = 2
  let job = try TrainingJob(
    model: ModelDescription(contentsOf: "\(Checkout.inputs)/examples/model-experts.json"), sequenceLength: 128,
    globalBatch: 8)
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(cluster: plan.cluster, job: job, coefficientName: "megatron-lm"), strategy: strategy,
    split: Split([job.model.layerCount]), arrangement: plan.arrangement,
    prediction: Prediction(
      iterationSeconds: 0.5, timeSplit: plan.prediction.timeSplit, stageMemory: [plan.prediction.stageMemory[0]],
      verdict: .fits, tokensPerSecondPerDevice: 512, modelFLOPUtilization: 0.25),
    certificate: plan.certificate, alternatives: [], impossibleFamilies: [])
}

/// A plan that multiplies in a narrower format than its job states.
func exampleNarrowPlan() throws -> Plan {
  let plan = try examplePlan()
  let rates = "/datasheet/peak_flop_per_second"
  let device = try DeviceProfile(
    Field(
      plan.cluster.device.json.replacing("\(rates)/fp8", with: .number(180e12))
        .replacing("\(rates)/fp4", with: .number(360e12)), source: "device"))
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(
      cluster: plan.cluster.replacing(device: device), job: plan.job, coefficientName: "megatron-lm",
      allowance: Allowance(quantisationTolerance: nil, productTolerance: 0.06)),
    job: try plan.job.with(precision: .mxfp8), strategy: plan.strategy, split: plan.split,
    arrangement: plan.arrangement, prediction: plan.prediction,
    certificate: Certificate(
      ending: .exhausted, lowerBoundSeconds: 0.5, scoreSeconds: 0.5, enumeratedCount: 10, rejections: [],
      memoryRejectedCount: 2, closedByBoundCount: 7, completedCount: 1, unprovenCount: 0,
      proofs: [
        Certificate.Proof(
          strategy: "t2 p2", stagesChoose: true, scoreSeconds: 0.5, lowerBoundSeconds: 0.5, split: .exhausted,
          order: .alike
        ).in(.mxfp8)
      ]),
    alternatives: [
      Plan.Alternative(
        strategy: plan.strategy, split: plan.split, precision: .bf16, prediction: plan.prediction,
        family: Plan.Alternative.products(in: .bf16), reason: "slower")
    ], impossibleFamilies: [Plan.Alternative.products(in: .fp8Delayed)])
}

/// A plan of two workers with outer steps.
func exampleOuterPlan() throws -> Plan {
  let plan = try examplePlan()
  var strategy = Strategy(mesh: [.data: 2, .worker: 2], microBatch: 2, zeroStage: .optimizer)
  strategy.update = .outer
  strategy.outer = OuterStep(period: 12, staleness: 1, format: .int8, isHosted: true)
  var timeSplit = plan.prediction.timeSplit
  timeSplit.outerSeconds = 0.0625
  var job = plan.job
  job.outer = OuterOptimizer(momentum: 0.25, learningRate: 0.75, clip: 2.5, penalty: .gapAware(0.5))
  let stage = plan.prediction.stageMemory[0]
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(
      cluster: plan.cluster, job: job, coefficientName: "megatron-lm",
      allowance: Allowance(quantisationTolerance: nil, outerPeriods: 12...48, outerTolerance: 0.02)),
    strategy: strategy, split: Split([4]), arrangement: plan.arrangement,
    prediction: Prediction(
      iterationSeconds: 0.5, timeSplit: timeSplit,
      stageMemory: [
        Prediction.StageMemory(
          weightBytes: stage.weightBytes, gradientBytes: stage.gradientBytes, optimizerBytes: stage.optimizerBytes,
          activationBytes: stage.activationBytes, workspaceBytes: stage.workspaceBytes,
          reservedBytes: stage.reservedBytes, fragmentationBytes: stage.fragmentationBytes, outerBytes: 90)
      ], verdict: .fits, tokensPerSecondPerDevice: 512, modelFLOPUtilization: 0.25,
      outerRound: Prediction.OuterRound(
        roundSeconds: 6, localSeconds: 0.4375, allReduceSeconds: 2.5, interferenceSeconds: 0.03125, stepSeconds: 0.125,
        sentBytes: 1_024, leastHiddenPeriod: 6)),
    certificate: plan.certificate, alternatives: [], impossibleFamilies: [Plan.Alternative.firstOrder])
}

private func examplePlan(
  sharding: Sharding, allowance: Allowance, framework: String = Plan.Question.anyFramework
) throws -> Plan {
  let plan = try examplePlan()
  let strategy = Strategy(
    mesh: [.data: 4], microBatch: 2, sharding: sharding)
  let prediction = Prediction(
    iterationSeconds: 0.5, timeSplit: plan.prediction.timeSplit, stageMemory: [plan.prediction.stageMemory[0]],
    verdict: .fits, tokensPerSecondPerDevice: 512, modelFLOPUtilization: 0.25)
  let options = [("this plan", sharding), ("ZeRO 3", Sharding(.weights, replicaCount: 4))].map { name, sharding in
    ShardingOption(
      name: name, sharding: sharding, iterationSeconds: 0.5, peakBytes: 10, verdict: .fits,
      sentBytes: plan.cluster.levels.map(\.span))
  }
  return Plan(
    toolVersion: "0.0.0",
    question: Plan.Question(
      cluster: plan.cluster, job: plan.job, framework: framework, coefficientName: "megatron-lm", allowance: allowance),
    strategy: strategy, split: Split([4]), arrangement: plan.arrangement,
    prediction: prediction, shardingOptions: options, certificate: plan.certificate, alternatives: [],
    impossibleFamilies: [])
}
