import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Training

/// Products of fewer than 16 bits: what is kept, cast, sent and held, and what stays in bf16.
@Suite struct NarrowFormatTests {
  private static let narrow: [Precision] = [.fp8Delayed, .fp8Current, .fp8Blockwise, .mxfp8, .nvfp4]

  private static func job(_ name: String, _ precision: Precision) throws -> TrainingJob {
    try TrainingJob(
      model: Shipped.catalog.model(name), sequenceLength: 4_096, globalBatch: 512, precision: precision)
  }

  private static func recipe(_ name: String, _ precision: Precision, tensor: Int = 1) throws -> Recipe {
    let job = try job(name, precision)
    var strategy = Strategy(mesh: [.tensor: tensor, .data: 64], usesSequenceParallelism: tensor > 1)
    strategy.usesFlashAttention = true
    strategy.expertDegree = job.model.experts == nil ? 1 : 64
    return Recipe(job: job, strategy: strategy, vocabularySize: job.model.vocabularySize)
  }

  private static func keptBytes(_ recipe: Recipe, _ part: Recipe.Part) -> Int {
    var sum = 0
    for case .piece(_, let operations) in recipe.steps(part, .forward) {
      for case .keep(let tensor) in operations { sum += tensor.byteCount }
    }
    return sum
  }

  /// A layer of DeepSeek-V3 keeps 458 kB for each token in bf16 and 403 in FP8, and not half: what attention, norms, router
  /// and activations read stays as it is, and of two of them there is a narrow copy beside.
  @Test func whatIsKeptIsNotHalved() throws {
    func kilobytes(_ precision: Precision) throws -> Double {
      Double(Self.keptBytes(try Self.recipe("deepseek-v3", precision), .expertBlock)) / 4_096 / 1_000
    }
    #expect(abs(try kilobytes(.bf16) - 458) < 4)
    #expect(abs(try kilobytes(.fp8Delayed) - 403) < 4)
    #expect(try kilobytes(.nvfp4) < kilobytes(.fp8Current))
    #expect(try kilobytes(.fp8Current) < kilobytes(.mxfp8) && kilobytes(.mxfp8) < kilobytes(.bf16))
  }

  /// What forward keeps backward gives up, to the last byte.
  @Test(arguments: narrow, ["deepseek-v3", "mixtral-8x7b", "llama-3-8b"])
  func whatIsKeptIsGivenUp(precision: Precision, model: String) throws {
    let recipe = try Self.recipe(model, precision)
    for part in [Recipe.Part.block, .expertBlock, .head, .prediction] {
      var freed = 0
      for case .piece(_, let operations) in recipe.steps(part, .backward) {
        for case .free(let tensor) in operations { freed += tensor.byteCount }
      }
      #expect(freed == Self.keptBytes(recipe, part), "\(part)")
    }
  }

  /// Gathers of what blocks multiply are of narrow numbers and their scales; sums, and the head's, are of bf16.
  @Test func gathersAreNarrowAndSumsAreNot() throws {
    func bytes(_ precision: Precision, _ part: Recipe.Part, _ kind: CollectiveKind) throws -> Int {
      try Self.recipe("llama-3-8b", precision, tensor: 2).steps(part, .backward).reduce(0) { sum, step in
        guard case .collective(let it) = step, it.kind == kind else { return sum }
        return sum + it.byteCount
      }
    }
    for kind in [CollectiveKind.reduceScatter, .allGather] {
      #expect(try bytes(.fp8Current, .head, kind) == bytes(.bf16, .head, kind))
    }
    #expect(try bytes(.fp8Current, .block, .reduceScatter) == bytes(.bf16, .block, .reduceScatter))
    #expect(try 2 * bytes(.fp8Current, .block, .allGather) == bytes(.bf16, .block, .allGather))
    #expect(try 64 * bytes(.mxfp8, .block, .allGather) == 33 * bytes(.bf16, .block, .allGather))
  }

  /// A product takes its FLOP at the narrow peak and share, slowed by its dimensions, and the casts of what it multiplies: the
  /// input forward, the output's gradient backward, of a column-parallel layer before rows are gathered.
  @Test(arguments: narrow) func productsAndCastsAreThoseOfTheFormulas(precision: Precision) throws {
    let device = try Shipped.catalog.device("b200-sxm-180gb"), format = try #require(precision.products)
    let speed = DeviceSpeed(device, precision: precision), rate = device.compute.rate(of: format)
    let layer = LinearLayer(
      tokenCount: 8_192, inputCount: 4_096, outputCount: 14_336, dividesOutputs: true, isNarrow: true,
      undividedRowCount: 1_024)
    let z = rate.halfSize, peak = device.peakFLOPPerSecond(precision) * rate.peakFraction
    let product = 2 * (8_192 + z) * (4_096 + z) * (14_336 + z) / peak
    let readCount = precision == .fp8Current || precision == .nvfp4 ? 2.0 : 1
    // B200 multiplies along either dimension of a tensor with one scale.
    let copyCount = format.scalesTensors ? 1.0 : 2
    let castBytes = 2 * readCount + copyCount * format.keptBytes
    let cast = castBytes / (device.datasheet.memoryBytesPerSecond * device.compute.memoryFraction)
    let products = speed.products(of: layer)
    #expect(agrees(products.forwardSeconds(layer), product + 1_024 * 4_096 * cast, relative: 1e-12))
    #expect(agrees(products.inputGradientSeconds(layer), product + 8_192 * 14_336 * cast, relative: 1e-12))
    #expect(agrees(products.weightGradientSeconds(layer), product, relative: 1e-12))
    // Others multiply as without a narrow format.
    var wide = layer
    wide.isNarrow = false
    let ofBF16 = DeviceSpeed(device, precision: .bf16)
    #expect(speed.products(of: wide).forwardSeconds(wide) == ofBF16.products(of: layer).forwardSeconds(layer))
  }

  /// Head and embedding cost what they cost in bf16, and blocks less, but not in proportion to the peaks.
  @Test(arguments: narrow) func headAndEmbeddingStay(precision: Precision) throws {
    let cluster = try Shipped.catalog.cluster("dgx-b200-16")
    func cost(_ precision: Precision) throws -> MicroBatchCost {
      let model = try CostModel(cluster: cluster, job: Self.job("llama-3-8b", precision))
      return model.microBatchCosts(
        layout: model.layoutCost([.tensor: 2, .data: 64]),
        [MicroBatchKey(microBatch: 1, recompute: .none, sequenceParallel: true, flashAttention: true)])[0][0]
    }
    let narrow = try cost(precision), wide = try cost(.bf16)
    #expect(narrow.head == wide.head && narrow.embedding == wide.embedding)
    let ratio = wide.layers.dense.forwardComputeSeconds / narrow.layers.dense.forwardComputeSeconds
    #expect(ratio > 1.1 && ratio < (precision == .nvfp4 ? 4 : 2), "\(ratio)")
  }

  /// An output head that multiplies in the format as well takes less, keeps what it multiplies narrow, and has a copy of its matrix;
  /// blocks are as they were.
  @Test func theHeadMayMultiplyNarrow() throws {
    let cluster = try Shipped.catalog.cluster("dgx-b200-16")
    func stage(_ narrowsHead: Bool) throws -> StageCost {
      var job = try Self.job("llama-3-8b", .mxfp8)
      job.narrowsHead = narrowsHead
      var strategy = Strategy(mesh: [.tensor: 2, .data: 64], zeroStage: .optimizer, usesSequenceParallelism: true)
      strategy.usesFlashAttention = true
      return try CostModel(cluster: cluster, job: job, frameworkName: "megatron-bridge").cost(of: strategy)[0]
    }
    let wide = try stage(false), narrow = try stage(true)
    #expect(narrow.microBatch.layers.dense == wide.microBatch.layers.dense)
    let ratio = wide.microBatch.head.forwardComputeSeconds / narrow.microBatch.head.forwardComputeSeconds
    #expect(ratio > 1.1 && ratio < 2, "\(ratio)")
    #expect(narrow.microBatch.head.forwardTensorSeconds < wide.microBatch.head.forwardTensorSeconds)
    // The final norm's input stays; what it gives is a byte and a thirty-second for two.
    let tokens = 4_096 / 2 * 4_096
    #expect(wide.memory.headActivationBytes - narrow.memory.headActivationBytes == 2 * tokens - tokens * 33 / 32)
    let layers = LayerCounts(dense: 32)
    #expect(
      narrow.memory.narrowWeightBytes(stage: 0, layers) - wide.memory.narrowWeightBytes(stage: 0, layers)
        == 128_256 / 2 * 4_096 * 2 * 33 / 32)
    var job = try Self.job("llama-3-8b", .fp8Current)
    job.narrowsHead = true
    #expect(
      Capabilities.megatronLM.refusal(of: job)?.description.contains("no output head in fp8-current-scaling") == true)
    job = try Self.job("llama-3-8b", .mxfp8)
    job.narrowsHead = true
    #expect(Capabilities.megatronLM.refusal(of: job) == nil)
  }

  /// A layer's weight is there in bf16 and twice in the narrow format, or in this alone where the strategy holds it so; once
  /// where the device multiplies along rows and columns of one copy and the tensor has one scale. Norms are in bf16 alone.
  @Test func weightsHaveNarrowCopies() throws {
    func weights(_ precision: Precision, holds: Bool = false, on device: String = "b200-sxm-180gb") throws -> Int {
      var strategy = Strategy(mesh: [.data: 8], zeroStage: .optimizer, usesFlashAttention: true)
      strategy.holdsNarrowWeights = holds
      return try Self.memory(precision, strategy, on: device).weightBytes
    }
    let ofLayers = try Shipped.catalog.model("llama-3-8b").layerProductParameters(.dense).total * 32
    for (device, copyCount) in [("b200-sxm-180gb", 1), ("h100-sxm5-80gb", 2), ("rtx-5090-32gb", 2)] {
      let copies = copyCount * ofLayers
      for precision in [Precision.fp8Current, .fp8Delayed] {
        #expect(try weights(precision, on: device) - weights(.bf16, on: device) == copies)
        #expect(
          try weights(precision, holds: true, on: device) - weights(.bf16, on: device) == copies - 2 * ofLayers)
      }
    }
    #expect(try weights(.mxfp8) - weights(.bf16) == ofLayers * 2 * 33 / 32)
    #expect(try weights(.mxfp8) - weights(.mxfp8, holds: true) == 2 * ofLayers)
    #expect(try weights(.nvfp4) - weights(.nvfp4, holds: true) == 2 * ofLayers)
  }

  private static func memory(
    _ precision: Precision, _ strategy: Strategy, on name: String = "b200-sxm-180gb"
  ) throws -> Prediction.StageMemory {
    let device = try Shipped.catalog.device(name)
    let memory = MemoryModel(
      job: try Self.job("llama-3-8b", precision), device: device,
      framework: try #require(device.framework(named: "megatron-lm")), strategy: strategy)
    return memory.stageMemory(
      stage: 0, Split.Stage(layers: LayerCounts(dense: 32, experts: 0), recomputed: nil, choice: nil))
  }

  /// Where replicas divide weights, shards stay as they are stored. Of the layer in use, gathered narrow, there is one copy less
  /// beside it, and it and the one on its way are half as large.
  @Test func gatheredLayersAreNarrow() throws {
    var strategy = Strategy(mesh: [.data: 8], zeroStage: .weights, recompute: .full, usesFlashAttention: true)
    let plain = try Self.memory(.fp8Current, strategy)
    strategy.holdsNarrowWeights = true
    let narrow = try Self.memory(.fp8Current, strategy)
    let ofLayer = try Shipped.catalog.model("llama-3-8b").layerProductParameters(.dense).total
    #expect(plain.weightBytes - narrow.weightBytes == ofLayer)
    // The head's logits are the worst moment's workspace, with one layer on its way.
    let saved = plain.workspaceBytes - narrow.workspaceBytes
    #expect(saved == ofLayer || saved == 2 * ofLayer)
    #expect(plain.gradientBytes == narrow.gradientBytes && plain.optimizerBytes == narrow.optimizerBytes)
  }

  /// Bytes of gathers by hand: over N replicas N − 1 of N shards of each tensor, a byte of each weight of a product and two
  /// of everything else; gradients as they were.
  @Test(arguments: [
    (Precision.fp8Delayed, Strategy.ZeroStage.optimizer), (.fp8Current, .optimizer), (.mxfp8, .optimizer),
    (.nvfp4, .optimizer), (.fp8Current, .gradients), (.fp8Current, .weights),
  ])
  func gathersOfNarrowWeights(precision: Precision, stage: Strategy.ZeroStage) throws {
    let cluster = try Shipped.catalog.cluster("dgx-b200-4"), replicas = cluster.deviceCount
    let model = try CostModel(cluster: cluster, job: Self.job("llama-3-8b", precision))
    let plain = Strategy(
      mesh: [.data: replicas], zeroStage: stage, recompute: .full, usesFlashAttention: true,
      overlapsGradientReduce: true)
    let narrow = plain.with(\.holdsNarrowWeights, true)
    #expect(model.violation(of: narrow) == nil)
    func bytes(_ strategy: Strategy) -> Int {
      let traffic = model.traffic(of: strategy, split: Split([32]))
      return cluster.levels.indices.reduce(0) { $0 + traffic.byteCount(.data, level: $1) }
    }
    let products = try Shipped.catalog.model("llama-3-8b").layerProductParameters(.dense).total * 32
    let bits = precision == .nvfp4 ? 4 : precision == .mxfp8 ? 16 : 8
    // Of ZeRO 3 before both passes of every micro-batch.
    let uses = stage == .weights ? 2 * 512 / replicas : 1
    #expect(bytes(plain) - bytes(narrow) == uses * (replicas - 1) * products * (16 - bits) / 8)
  }

  /// Nothing takes longer and nothing is larger: why the search has no points without.
  @Test(
    arguments: [Precision.fp8Delayed, .fp8Current, .mxfp8, .nvfp4],
    [
      ("llama-3-8b", "zero_stage=1"), ("llama-3-8b", "zero_stage=2"), ("llama-3-8b", "zero_stage=3"),
      ("llama-3-8b", "tensor=2,pipeline=2,zero_stage=1"), ("llama-3-8b", "tensor=4,pipeline=8"),
      ("llama-3-8b", "tensor=2,data=16,zero_stage=3,weight_shards=4,gradient_shards=8,optimizer_shards=16"),
      ("mixtral-8x7b", "expert=8,zero_stage=1"),
      ("mixtral-8x7b", "tensor=2,sequence_parallel=true,expert=4,zero_stage=3"),
      ("llama-3-8b", "pipeline=4,virtual_stages=4,zero_stage=1,recompute=full"),
      ("llama-3-8b", "zero_stage=1,host_update_percent=100"),
    ])
  func narrowWeightsCostNothing(precision: Precision, question: (model: String, pattern: String)) throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-b200-4"), job: Self.job(question.model, precision))
    let plain = try Estimate(
      model: model, pattern: StrategyPattern(text: question.pattern, source: "test"))
    let strategy = plain.strategy.withNarrowWeights(model.job)
    guard strategy.holdsNarrowWeights else {
      #expect(strategy.zeroStage == .weights && [.mxfp8, .nvfp4].contains(precision))
      return
    }
    let narrow = model.prediction(of: model.cost(of: strategy), split: plain.split)
    #expect(narrow.iterationSeconds <= plain.prediction.iterationSeconds)
    for (less, more) in zip(narrow.stageMemory, plain.prediction.stageMemory) {
      #expect(less.peakBytes < more.peakBytes)
    }
    let gathers = strategy.replicaCount > 1 && precision != .mxfp8
    #expect(!gathers || narrow.iterationSeconds < plain.prediction.iterationSeconds || strategy.pipelineDegree > 1)
  }

  /// Frameworks whose recipes have them do so where nobody says otherwise, and where they can.
  @Test func recipesHoldThemUnlessToldOtherwise() throws {
    let cluster = try Shipped.catalog.cluster("dgx-b200-4")
    func holds(_ framework: String, _ precision: Precision, _ pattern: String) throws -> Bool {
      let model = try CostModel(cluster: cluster, job: Self.job("llama-3-8b", precision), frameworkName: framework)
      let pattern = try StrategyPattern(text: pattern, source: "test")
      return try Estimate(model: model, pattern: pattern).strategy.holdsNarrowWeights
    }
    #expect(try holds("nemo", .fp8Current, "zero_stage=1") && holds("megatron-bridge", .mxfp8, "zero_stage=1"))
    #expect(try !holds("nemo", .fp8Current, "zero_stage=1,narrow_weights=false"))
    #expect(try !holds("nemo", .fp8Current, "zero_stage=0") && !holds("nemo", .bf16, "zero_stage=1"))
    #expect(try !holds("megatron-lm", .fp8Current, "zero_stage=1"))
    #expect(try holds("megatron-lm", .fp8Current, "zero_stage=1,narrow_weights=true"))
  }

  /// Devices without units for a format refuse it by name.
  @Test func devicesWithoutUnitsRefuse() throws {
    for (cluster, precision) in [("dgx-a100-4", Precision.fp8Current), ("dgx-h100-4", .nvfp4)] {
      #expect(throws: CostModel.Refusal.self) {
        _ = try CostModel(cluster: Shipped.catalog.cluster(cluster), job: Self.job("llama-3-8b", precision))
      }
    }
  }
}
