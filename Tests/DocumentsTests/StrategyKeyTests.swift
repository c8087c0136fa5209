import JSONText
import TestSupport
import Testing

@testable import Documents

/// The table of a strategy's keys: what is read, held, matched and written is what the properties say.
@Suite struct StrategyKeyTests {
  /// Any strategy, whether it can be run or not.
  static func strategy(seed: Int) -> Strategy {
    var mutator = DocumentMutator(seed: UInt64(seed))
    func pick<Value>(_ values: [Value]) -> Value { mutator.element(of: values) }
    let data = pick([1, 2, 8, 16])
    var strategy = Strategy(
      mesh: [.tensor: pick([1, 2, 8]), .pipeline: pick([1, 3, 4]), .data: data, .context: pick([1, 1, 2, 4])],
      schedule: pick([
        .init(chunkCount: pick([1, 1, 2, 5])), .init(chunkCount: pick([1, 1, 2, 5])),
        pick([.zeroBubble(chunkCount: pick([1, 3])), .zeroBubbleV, .dualPipeV]),
      ]), microBatch: pick([1, 2, 64]),
      zeroStage: pick(Strategy.ZeroStage.allCases), recompute: pick(Strategy.Recompute.allCases),
      usesSequenceParallelism: pick([false, true]), usesFlashAttention: pick([false, true]),
      overlapsGradientReduce: pick([false, true]))
    if pick([false, true]) {
      let optimizer = pick([1, 2, 4, 16].filter { data % $0 == 0 })
      let gradients = pick([1, 2, 4].filter { optimizer % $0 == 0 }), weights = pick(gradients > 1 ? [1, 2] : [1])
      strategy.sharding = Sharding(
        weightDegree: weights, gradientDegree: gradients, optimizerDegree: optimizer,
        secondaryDegree: pick([nil, nil, 2]), quantisesWeights: pick([false, true]),
        quantisesGradients: pick([false, true]))
    }
    strategy.overlapsTensorExchange = pick([false, true])
    strategy.contextExchange = pick(Strategy.ContextExchange.allCases)
    strategy.contextInnerDegree = pick([1, 2])
    strategy.expertDegree = pick([1, 1, 2, 8])
    strategy.expertTensorDegree = pick([1, 1, 2])
    strategy.dispatcher = pick(Strategy.Dispatcher.allCases)
    strategy.overlapsExperts = pick([false, true])
    strategy.hosting = Hosting(
      updatePercent: pick([0, 0, 50]), holdsWeights: pick([false, true]),
      activations: pick([.onDevice, .layers(3), .allButLast]))
    strategy.holdsNarrowWeights = pick([false, true])
    strategy.perturbationDegree = pick([1, 1, 2])
    if strategy.recompute == .selective { strategy.recomputeModules = pick([[], .norms, [.experts, .feedForward]]) }
    // It brings the schedule with it, which has no chunks.
    if strategy.schedule == .oneForwardOneBackward { strategy.update = pick([.firstOrder, .firstOrder, .zerothOrder]) }
    if strategy.update == .firstOrder, pick([false, true]) {
      strategy.update = .outer
      strategy.workerDegree = pick([1, 2, 3])
      strategy.outer = OuterStep(
        period: pick([1, 12, 500]), staleness: pick([0, 1]), format: pick(OuterStep.Format.allCases),
        isHosted: pick([false, true]))
    }
    return strategy
  }

  /// Every key that a pattern holds and a strategy has, with the property it states.
  static let properties: [(key: String, value: @Sendable (Strategy) -> JSON)] = [
    ("tensor", { .integer($0.tensorDegree) }), ("pipeline", { .integer($0.pipelineDegree) }),
    ("data", { .integer($0.dataDegree) }), ("update", { .string($0.update.rawValue) }),
    ("worker", { .integer($0.workerDegree) }), ("outer_period", { .integer($0.outer.period) }),
    ("outer_staleness", { .integer($0.outer.staleness) }), ("outer_format", { .string($0.outer.format.rawValue) }),
    ("host_outer", { .boolean($0.outer.isHosted) }),
    ("perturbation", { .integer($0.perturbationDegree) }), ("virtual_stages", { .integer($0.schedule.chunkCount) }),
    ("micro_batch", { .integer($0.microBatch) }), ("context", { .integer($0.contextDegree) }),
    ("context_exchange", { .string($0.contextExchange.rawValue) }),
    ("context_inner", { .integer($0.contextInnerDegree) }), ("expert", { .integer($0.expertDegree) }),
    ("expert_tensor", { .integer($0.expertTensorDegree) }), ("moe_dispatcher", { .string($0.dispatcher.rawValue) }),
    ("moe_overlap", { .boolean($0.overlapsExperts) }),
    ("zero_stage", { .integer($0.zeroStage.rawValue) }),
    ("weight_shards", { .integer($0.sharding.weightDegree) }),
    ("gradient_shards", { .integer($0.sharding.gradientDegree) }),
    ("optimizer_shards", { .integer($0.sharding.optimizerDegree) }),
    ("secondary_shards", { .integer($0.sharding.secondaryDegree ?? 1) }),
    ("quantise_weights", { .boolean($0.sharding.quantisesWeights) }),
    ("quantise_gradients", { .boolean($0.sharding.quantisesGradients) }),
    ("recompute", { .string($0.recompute.rawValue) }),
    ("recompute_modules", { .array($0.recomputeModules.names.map(JSON.string)) }),
    ("sequence_parallel", { .boolean($0.usesSequenceParallelism) }),
    ("flash_attention", { .boolean($0.usesFlashAttention) }),
    ("schedule", { .string($0.schedule.name) }),
    ("overlap_gradient_reduce", { .boolean($0.overlapsGradientReduce) }),
    ("overlap_tensor_exchange", { .boolean($0.overlapsTensorExchange) }),
    ("host_update_percent", { .integer($0.hosting.updatePercent) }),
    ("host_weights", { .boolean($0.hosting.holdsWeights) }),
    ("host_activations", { $0.hosting.activations.scalar }),
    ("narrow_weights", { .boolean($0.holdsNarrowWeights) }),
  ]

  static func text(_ scalar: JSON) -> String {
    switch scalar {
    case .string(let word): word
    case .array(let members): members.isEmpty ? "none" : members.map(text).joined(separator: "+")
    default: scalar.text(style: .compact)
    }
  }

  @Test func everyPropertyHasItsKeyInOrder() {
    #expect(
      Strategy.keys.filter(\.isHeld).map(\.name) == Self.properties.map(\.key) + ["offload_optimizer"])
    #expect(Set(Strategy.keys.map(\.name)).count == Strategy.keys.count)
    #expect(Mesh.searchedAxes.map(\.name) == Strategy.keys.prefix(3).map(\.name))
  }

  @Test func aStrategyIsReadAsItIsWritten() throws {
    for seed in 0..<500 {
      let strategy = Self.strategy(seed: seed)
      #expect(try Strategy(Field(strategy.json, source: "test")) == strategy, "\(strategy.text)")
      let pattern = try StrategyPattern(text: strategy.text, source: "--strategy")
      // Devices and habits count for nothing where every part is stated.
      #expect(pattern.completed(deviceCount: 7, flashAttention: true, overlap: false) == strategy, "\(strategy.text)")
      #expect(pattern.matches(strategy) && pattern.matches(strategy.sharding), "\(strategy.text)")
      #expect(try StrategyPattern(Field(pattern.json, source: "test")) == pattern)
    }
  }

  @Test func aStatedPartHoldsThatPartAndNoOther() throws {
    for seed in 0..<200 {
      let one = Self.strategy(seed: seed), other = Self.strategy(seed: seed + 1000)
      for (key, value) in Self.properties {
        // A schedule that its update brings along is not stated alone.
        if key == "schedule", one.update == .zerothOrder { continue }
        let pattern = try StrategyPattern(text: "\(key)=\(Self.text(value(one)))", source: "--fix")
        #expect(pattern.matches(one), "\(key), seed \(seed)")
        #expect(pattern.matches(other) == (value(one) == value(other)), "\(key), seed \(seed)")
        #expect(pattern.json == .object([JSONMember(key, value(one))]), "\(key), seed \(seed)")
      }
    }
  }

  @Test func whatIsStatedIsReadByTheNameOfTheProperty() throws {
    var pattern = try StrategyPattern(
      text: "pipeline=4,virtual_stages=2,zero_stage=1,secondary_shards=1,recompute=full,flash_attention=false",
      source: "--fix")
    #expect(pattern.pipelineDegree == 4 && pattern.degree(of: .pipeline) == 4 && pattern.tensorDegree == nil)
    #expect(pattern.virtualStageCount == 2 && pattern.zeroStage == .optimizer && pattern.recompute == .full)
    #expect(pattern.secondaryDegreeOrOne == 1 && pattern.weightDegree == nil && pattern.quantisesWeights == nil)
    #expect(pattern.usesFlashAttention == false && pattern.offloadsOptimizer == nil)
    pattern.recompute = nil
    pattern.microBatch = 8
    pattern.offloadsOptimizer = false
    #expect(
      pattern.json.text(style: .compact) == """
        {"pipeline":4,"virtual_stages":2,"micro_batch":8,"zero_stage":1,"secondary_shards":1,"flash_attention":false,\
        "offload_optimizer":false}
        """)
  }

  @Test func whatIsOpenIsAtItsPlainest() throws {
    let plain = try StrategyPattern(text: "tensor=2,pipeline=3", source: "--strategy")
      .completed(deviceCount: 48, flashAttention: true, overlap: true)
    #expect(
      plain
        == Strategy(
          mesh: [.tensor: 2, .pipeline: 3, .data: 8], usesFlashAttention: true, overlapsGradientReduce: true))
    // More ranks than devices leave one replica, which checks then refuse.
    let large = try StrategyPattern(text: "tensor=1048576,pipeline=1048576", source: "--strategy")
    #expect(large.completed(deviceCount: 8, flashAttention: false, overlap: false).dataDegree == 1)
  }

  /// Documents of the version before are read, so these texts stay.
  @Test func textsStay() {
    let piped = Strategy(
      mesh: [.tensor: 8, .pipeline: 8, .data: 2], schedule: .interleaved(chunkCount: 2), zeroStage: .optimizer,
      recompute: .selective, usesSequenceParallelism: true, overlapsGradientReduce: true)
    #expect(
      piped.json.text(style: .compact) == """
        {"tensor":8,"pipeline":8,"data":2,"virtual_stages":2,"micro_batch":1,"zero_stage":1,"recompute":"selective",\
        "sequence_parallel":true,"flash_attention":false,"schedule":"1f1b-interleaved","overlap_gradient_reduce":true}
        """)
    #expect(
      piped.text == """
        tensor=8,pipeline=8,data=2,virtual_stages=2,micro_batch=1,zero_stage=1,recompute=selective,\
        sequence_parallel=true,flash_attention=false,overlap_gradient_reduce=true
        """)
    #expect(
      piped.words == """
        tensor 8 × pipeline 8 × data 2, 2 chunks a stage, interleaved, micro-batch 1, ZeRO 1, recompute selective, \
        sequence parallel, overlapped gradient reduction
        """)
    #expect(piped.short == "t8 p8 d2 b1 v2 z1 selective sp")
    let sharded = Strategy(
      mesh: [.data: 2048], microBatch: 4,
      sharding: Sharding(
        weightDegree: 2, gradientDegree: 8, optimizerDegree: 2048, secondaryDegree: 2, quantisesWeights: true,
        quantisesGradients: true), usesFlashAttention: true)
    #expect(
      sharded.json.text(style: .compact) == """
        {"tensor":1,"pipeline":1,"data":2048,"virtual_stages":1,"micro_batch":4,"zero_stage":3,"weight_shards":2,\
        "gradient_shards":8,"optimizer_shards":2048,"secondary_shards":2,"quantise_weights":true,\
        "quantise_gradients":true,"recompute":"none","sequence_parallel":false,"flash_attention":true,\
        "schedule":"1f1b","overlap_gradient_reduce":false}
        """)
    #expect(
      sharded.words == """
        tensor 1 × pipeline 1 × data 2048, micro-batch 4, weights over 2, gradients over 8, optimizer states over 2,048 \
        replicas, a second copy of the weights over 2, weights gathered as INT8 between nodes, gradients exchanged as \
        INT4 between nodes, recompute none, FlashAttention
        """)
    #expect(sharded.short == "t1 p1 d2048 b4 z3(2|8|2048) s2 qw qg")
    #expect(sharded.shortSharding == "z3(2|8|2048) s2 qw qg")
  }

  @Test(
    arguments: ["tensor", "pipeline", "data", "virtual_stages", "context", "expert"].map {
      ($0, "an integer from 1 to 1048576", ["0", "1048577", "-1", "x", "true"])
    }
      + ["weight_shards", "gradient_shards", "optimizer_shards", "secondary_shards"].map {
        ($0, "an integer from 1 to 1048576", ["0", "1048577", "none"])
      } + [
        ("micro_batch", "an integer from 1 to 16777216", ["0", "16777217"]),
        ("zero_stage", "an integer from 0 to 3", ["-1", "4", "none"]),
        ("recompute", "one of \"none\", \"selective\", \"full\"", ["1", "half", "true"]),
        (
          "schedule",
          """
          one of "1f1b", "1f1b-interleaved", "forward-only", "zero-bubble", "zero-bubble-v", "dualpipe-v"
          """, ["gpipe", "1", "false"]
        ),
        ("fsdp", "one of \"FULL_SHARD\", \"SHARD_GRAD_OP\", \"FSDP2\", \"Megatron-FSDP\"", ["NO_SHARD"]),
        ("fsdp", "false or one of \"FULL_SHARD\", \"SHARD_GRAD_OP\", \"FSDP2\", \"Megatron-FSDP\"", ["true"]),
      ]
      + [
        "quantise_weights", "quantise_gradients", "sequence_parallel", "flash_attention", "overlap_gradient_reduce",
        "overlap_tensor_exchange", "offload_optimizer", "fsdp",
      ].map { ($0, "true or false", ["2"]) })
  func aValueOutOfRangeIsRefused(key: String, expected: String, values: [String]) {
    for value in values {
      let error = #expect(throws: DocumentError.self) {
        try StrategyPattern(text: "\(key)=\(value)", source: "--fix")
      }
      let found = Int(value) != nil || value == "true" || value == "false" ? value : "\"\(value)\""
      #expect(error?.description == "--fix: /\(key): expected \(expected), found \(found)")
    }
  }

  @Test(arguments: [
    (
      "context_exchange=gossip",
      "/context_exchange: expected one of \"ring\", \"all-gather\", \"all-to-all\", \"all-to-all+ring\", found \"gossip\""
    ),
    ("expert=0", "/expert: expected an integer from 1 to 1048576, found 0"),
    (
      "moe_dispatcher=post",
      "/moe_dispatcher: expected one of \"allgather\", \"alltoall\", \"deepep\", \"hybridep\", found \"post\""
    ),
    (
      "recompute_modules=mlp+mlps",
      """
      /recompute_modules/1: expected one of "core_attn", "moe_act", "layernorm", "mla_up_proj", "mlp", "shared_experts", \
      "moe", found "mlps"
      """
    ), ("recompute_modules=moe+moe", "/recompute_modules/1: moe is there twice"),
    (
      "recompute=full,recompute_modules=mlp",
      "/recompute_modules: recompute_modules are of recompute=selective, not of recompute=full"
    ),
    ("zero_stage=1,fsdp=FULL_SHARD", "/fsdp: fsdp contradicts zero_stage 1"),
    (
      "schedule=1f1b,virtual_stages=2",
      "/schedule: the schedule \"1f1b\" has no virtual stages, but virtual_stages is 2"
    ),
    (
      "schedule=zero-bubble-v,virtual_stages=1",
      "/schedule: the schedule \"zero-bubble-v\" has 2 virtual stages, but virtual_stages is 1"
    ),
    (
      "schedule=dualpipe-v,virtual_stages=4",
      "/schedule: the schedule \"dualpipe-v\" has 2 virtual stages, but virtual_stages is 4"
    ),
    (
      "offload_optimizer=true",
      "/offload_optimizer: which stages offload is for the search to choose; only false can be stated"
    ), ("dp=8,gas=4", "unknown key \"dp\", did you mean \"data\"?"),
    (
      "gas=4",
      "unknown key \"gas\", the number of micro-batches follows from the global batch, \"data\" and \"micro_batch\""
    ), ("gbs=4", "unknown key \"gbs\", the global batch is not part of a strategy but stated beside it"),
    ("sequence_paralel=true", "unknown key \"sequence_paralel\", did you mean \"sequence_parallel\"?"),
  ])
  func whatCannotBeHeldIsRefusedWithTheReason(text: String, complaint: String) {
    let error = #expect(throws: DocumentError.self) { try StrategyPattern(text: text, source: "--fix") }
    #expect(error?.description == "--fix: \(complaint)")
  }

  @Test(arguments: [
    ("--tp-comm-overlap", "overlap_tensor_exchange"), ("tp", "tensor"), ("TP", "tensor"),
    ("--tensor-model-parallel-size", "tensor"),
    ("tensor_model_parallel_size", "tensor"), ("parallelism.tensor_parallel_degree", "tensor"),
    ("tensor_parallel.autotp_size", "tensor"), ("pp", "pipeline"), ("pipeline-model-parallel-size", "pipeline"),
    ("dp", "data"), ("data_parallel_shard_degree", "data"), ("cp", "context"), ("--context-parallel-size", "context"),
    ("ep", "expert"), ("mbs", "micro_batch"), ("micro-batch-size", "micro_batch"), ("micro-batch", "micro_batch"),
    ("train_micro_batch_size_per_gpu", "micro_batch"), ("training.local_batch_size", "micro_batch"),
    ("vpp", "virtual_stages"), ("virtual-pipeline-model-parallel-size", "virtual_stages"),
    ("zero_optimization.stage", "zero_stage"), ("zero", "zero_stage"), ("--zero-stage", "zero_stage"),
    ("--use-distributed-optimizer", "zero_stage"), ("--recompute-granularity", "recompute"),
    ("activation_checkpoint.mode", "recompute"), ("--sequence-parallel", "sequence_parallel"),
    ("sp", "sequence_parallel"),
    ("--overlap-grad-reduce", "overlap_gradient_reduce"), ("zero_optimization.overlap_comm", "overlap_gradient_reduce"),
  ])
  func aFrameworksWordForAKeyGetsAHint(word: String, key: String) throws {
    let error = #expect(throws: DocumentError.self) { try StrategyPattern(text: "\(word)=1", source: "--fix") }
    #expect(error?.description == "--fix: unknown key \"\(word)\", did you mean \"\(key)\"?")
    #expect(Strategy.keys.contains { $0.name == key })
  }

  @Test(arguments: [
    ("fsdp=SHARD_GRAD_OP", "zero_stage=2"), ("fsdp=FSDP2,zero_stage=3", "zero_stage=3"), ("fsdp=false", ""),
  ])
  func anotherWordForAKeyIsNotHeldItself(text: String, held: String) throws {
    #expect(
      try StrategyPattern(text: text, source: "--fix") == StrategyPattern(text: held, source: "--fix"))
  }

  @Test func modulesAreOfTheSelectiveKind() throws {
    func strategy(_ text: String) throws -> Strategy {
      try StrategyPattern(text: text, source: "--strategy").completed(
        deviceCount: 8, flashAttention: true, overlap: false)
    }
    let some = try strategy("recompute_modules=moe+layernorm")
    #expect(some.recompute == .selective && some.recomputeModules == [.norms, .experts])
    // Named in any order, written in one.
    #expect(some.text.contains("recompute=selective,recompute_modules=layernorm+moe"))
    #expect(some.words.contains("recompute layernorm+moe") && some.short.contains("layernorm+moe"))
    #expect(try strategy("recompute=selective,recompute_modules=none").recompute == .none)
    #expect(
      try strategy("recompute=selective")
        == strategy("recompute=selective,recompute_modules=none").with(\.recompute, .selective))
  }

  /// Stages that recompute some of their layers do not recompute all, and what is written says how many.
  @Test func aStrategySaysHowManyLayersAreRecomputed() {
    var strategy = Strategy(mesh: [.pipeline: 2], usesFlashAttention: true, overlapsGradientReduce: false)
    strategy.recompute = .full
    func split(_ counts: [Int], chunks: Int = 1) -> Split {
      Split(
        [Int](repeating: 16 / chunks, count: 2 * chunks), stageCount: 2,
        choices: counts.map { StageChoice(recomputedLayerCount: $0) })
    }
    func words(_ split: Split) -> String? {
      strategy.words(of: split).split(separator: ",").first { $0.contains("recompute") }.map(String.init)
    }
    #expect(words(split([1, 0])) == " recompute 1 of 32 layers")
    #expect(words(split([3, 1], chunks: 2)) == " recompute 8 of 32 layers")
    #expect(words(split([16, 16])) == " recompute full")
    #expect(words(Split([16, 16])) == " recompute full")
    #expect(strategy.short(of: split([1, 0])).hasSuffix(" 1/32"))
    #expect(strategy.short(of: split([16, 16])) == strategy.short && strategy.short.hasSuffix(" full"))
    strategy.recompute = .none
    #expect(words(split([0, 0])) == " recompute none")
  }

  @Test func aWholeStrategyStatesEveryPart() throws {
    let strategy = Self.strategy(seed: 0)
    for key in ["tensor", "micro_batch", "recompute", "schedule", "overlap_gradient_reduce"] {
      let error = #expect(throws: DocumentError.self) {
        try Strategy(Field(strategy.json.replacing("/\(key)", with: .null), source: "plan.json"))
      }
      #expect(error?.expected == "expected a strategy with every part stated")
    }
  }

  /// The search copies and hashes strategies by the ten thousand.
  @Test func aStrategyIsASmallValue() { #expect(MemoryLayout<Strategy>.size <= 128) }
}
