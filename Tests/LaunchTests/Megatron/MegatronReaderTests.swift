import Documents
import JSONText
import TestSupport
import Testing

@testable import Launch

@Suite struct MegatronReaderTests {
  private static func sample(_ name: String) throws -> LaunchFile {
    let path = Shipped.root + "/Tests/LaunchTests/Inputs/megatron/\(name)"
    return LaunchFile(
      name: name, text: String(decoding: try readFile(at: path, maximumByteCount: 1 << 20), as: UTF8.self))
  }

  private func read(_ text: String, devices: Int? = 8) throws -> RunConfiguration {
    try MegatronLMTarget.configuration(in: [LaunchFile(name: "arguments.txt", text: text)], deviceCount: devices)
  }

  private static let shape = """
    --num-layers 8 --hidden-size 256 --num-attention-heads 4 --seq-length 512 --max-position-embeddings 512
    --vocab-size 1000 --micro-batch-size 1
    """

  // MARK: Narrow formats

  @Test(arguments: [
    ("--fp8-format hybrid", Precision.fp8Delayed), ("--fp8-format hybrid --fp8-recipe tensorwise", .fp8Current),
    ("--fp8-format e4m3 --fp8-recipe blockwise", .fp8Blockwise), ("--fp8-format e4m3 --fp8-recipe mxfp8", .mxfp8),
    ("--fp4-format e2m1", .nvfp4), ("--fp4-format e2m1 --fp4-recipe nvfp4", .nvfp4), ("", .bf16),
  ])
  func recipesOfNarrowProductsAreRead(flags: String, precision: Precision) throws {
    let run = try read("\(Self.shape) --global-batch-size 64 --bf16 \(flags)")
    #expect(run.precision == precision)
    #expect(run.accumulatesGradientsInFP32 == true)
  }

  // MARK: Exchanges of tensor groups

  @Test func exchangesBesideProductsAreReadWhereTheyThenRunSo() throws {
    let shape = "\(Self.shape) --global-batch-size 64 --tensor-model-parallel-size 4 --sequence-parallel"
    #expect(try !read("\(shape) --bf16").strategy.overlapsTensorExchange)
    let run = try read("\(shape) --bf16 --tp-comm-overlap")
    #expect(run.strategy.overlapsTensorExchange && run.notes.allSatisfy { !$0.contains("tp-comm-overlap") })
    #expect(try read("\(shape) --bf16 --fp8-format hybrid --tp-comm-overlap").strategy.overlapsTensorExchange)
    for flags in [
      "--fp16", "--bf16 --fp8-format e4m3 --fp8-recipe blockwise", "--bf16 --fp4-format e2m1",
      "--bf16 --use-megatron-fsdp --ckpt-format fsdp_dtensor",
    ] {
      let other = try read("\(shape) \(flags) --tp-comm-overlap")
      #expect(!other.strategy.overlapsTensorExchange, "\(flags)")
      #expect(other.notes.contains { $0.hasPrefix("--tp-comm-overlap is passed over: megatron") }, "\(flags)")
    }
  }

  @Test(arguments: ["--tensor-model-parallel-size 4", "--sequence-parallel"])
  func exchangesBesideProductsNeedGroupsThatDivideTheSequence(flags: String) throws {
    let error = #expect(throws: DocumentError.self) {
      try read("\(Self.shape) --global-batch-size 64 --bf16 --tp-comm-overlap \(flags)")
    }
    #expect(
      error?.description
        == "arguments.txt: --tp-comm-overlap: --tp-comm-overlap needs --sequence-parallel, and a tensor degree of at least 2"
    )
  }

  // MARK: Weights

  @Test(arguments: [
    ("--fp8-format hybrid --fp8-param-gather", true), ("--fp8-format hybrid", false),
    ("--fp8-format hybrid --fp8-recipe tensorwise --fp8-param-gather", true),
    (
      "--fp8-format e4m3 --fp8-recipe mxfp8 --fp8-param-gather --reuse-grad-buf-for-mxfp8-param-ag "
        + "--overlap-grad-reduce --overlap-param-gather", true
    ),
    ("--fp8-format e4m3 --fp8-recipe blockwise --fp8-param-gather", false),
    ("--fp4-format e2m1 --fp4-param-gather", true), ("", false),
    (
      "--fp8-format hybrid --fp8-param-gather --use-precision-aware-optimizer --optimizer-cpu-offload "
        + "--overlap-cpu-optimizer-d2h-h2d", true
    ),
  ])
  func weightsInTheFormatOfProductsAreRead(flags: String, holds: Bool) throws {
    let run = try read("\(Self.shape) --global-batch-size 64 --bf16 --use-distributed-optimizer \(flags)")
    #expect(run.strategy.holdsNarrowWeights == holds)
    #expect(run.notes.contains { $0.contains("param-gather") } == flags.contains("blockwise"), "\(run.notes)")
  }

  // MARK: Layers in bf16

  @Test(arguments: [
    ("--fp8-format hybrid --fp8-recipe tensorwise --first-last-layers-bf16", WideLayers(first: 1, last: 1)),
    (
      "--fp4-format e2m1 --first-last-layers-bf16 --num-layers-at-start-in-bf16 0 --num-layers-at-end-in-bf16 4",
      WideLayers(first: 0, last: 4)
    ),
    ("--fp8-format e4m3 --fp8-recipe mxfp8 --num-layers-at-end-in-bf16 4", .none), ("--first-last-layers-bf16", .none),
  ])
  func layersInBF16AreRead(flags: String, layers: WideLayers) throws {
    #expect(try read("\(Self.shape) --global-batch-size 64 --bf16 \(flags)").wideLayers == layers)
  }

  @Test func anOutputHeadInFP8IsRead() throws {
    let flags = "--fp8-format e4m3 --fp8-recipe mxfp8"
    #expect(try read("\(Self.shape) --global-batch-size 64 --bf16 \(flags) --fp8-output-proj").narrowsHead)
    #expect(try !read("\(Self.shape) --global-batch-size 64 --bf16 \(flags)").narrowsHead)
  }

  @Test func narrowWeightsBesideLayersInBF16AreRead() throws {
    let run = try read(
      "\(Self.shape) --global-batch-size 64 --bf16 --use-distributed-optimizer --fp8-format hybrid "
        + "--fp8-recipe tensorwise --fp8-param-gather --first-last-layers-bf16")
    #expect(run.strategy.holdsNarrowWeights && run.wideLayers == WideLayers(first: 1, last: 1))
  }

  // MARK: Samples

  @Test func aTestCaseOfMegatronIsRead() throws {
    let run = try MegatronLMTarget.configuration(
      in: [Self.sample("gpt3-7b-in-chunks.yaml")], deviceCount: 8)
    #expect(run.framework == "megatron-lm")
    #expect(run.strategy.mesh == [.pipeline: 4, .data: 2])
    // 32 layers in 4 stages, a layer a chunk.
    #expect(run.strategy.virtualStageCount == 8)
    #expect(run.layerCounts == [Int](repeating: 1, count: 32))
    #expect(run.strategy.zeroStage == .optimizer && run.strategy.overlapsGradientReduce)
    #expect(run.strategy.usesFlashAttention)
    #expect(run.precision == .bf16 && run.accumulatesGradientsInFP32 == true)
    let model = try #require(run.model)
    #expect(model.family == .gpt && model.vocabularySize == 131_073 && model.keyValueHeadCount == 8)
    #expect(model.feedForwardSize == 4 * 4096 && !model.hasTiedEmbeddings && model.positionCount == 8192)
    #expect(model.details.activation == .geluTanh && model.details.hiddenDropout == 0.1)
    #expect(run.sequenceLength == 8192 && run.globalBatch == 8)
  }

  @Test func aRealRunsCommandLineIsRead() throws {
    let run = try MegatronLMTarget.configuration(in: [Self.sample("run-of-6.7b.txt")], deviceCount: 16)
    #expect(run.strategy.mesh == [.data: 16])
    #expect(run.strategy.zeroStage == .optimizer && run.strategy.microBatch == 2)
    #expect(!run.strategy.usesSequenceParallelism)
    #expect(run.globalBatch == 2048 && run.precision == .fp16 && run.accumulatesGradientsInFP32 == false)
    let model = try #require(run.model)
    #expect(model.vocabularySize == 50_257 && model.positionCount == 0 && !model.hasDropout)
    #expect(model.details.rotaryBase == 10_000 && model.details.initialisationDeviation == 0.009)
    #expect(run.notes.contains { $0.contains("--zero-stage") })
    #expect(run.notes.contains { $0.contains("--sequence-parallel") })
  }

  @Test func theLayoutOfATestCaseIsRead() throws {
    let layout = try MegatronLayout(Field(.string("Et*2|(tt|)*5t|tmL"), source: "layout"))
    #expect(layout.layerCounts == [2, 2, 2, 2, 2, 2, 1, 1])
    #expect(layout.predictionLayerCount == 1 && layout.predictsWithLoss)
    let apart = try MegatronLayout(Field(.string("Ett|t|m|L"), source: "layout"))
    #expect(apart.predictionLayerCount == 1 && !apart.predictsWithLoss)
  }

  // MARK: Layers

  @Test(arguments: [
    ("--pipeline-model-parallel-size 4", [2, 2, 2, 2]),
    ("--pipeline-model-parallel-size 4 --num-virtual-stages-per-pipeline-rank 2", [1, 1, 1, 1, 1, 1, 1, 1]),
    ("--pipeline-model-parallel-size 2 --num-layers-per-virtual-pipeline-stage 2", [2, 2, 2, 2]),
    ("--pipeline-model-parallel-size 4 --decoder-first-pipeline-num-layers 2", [2, 2, 2, 2]),
    ("--pipeline-model-parallel-size 4 --decoder-last-pipeline-num-layers 5", [1, 1, 1, 5]),
    (
      "--pipeline-model-parallel-size 4 --decoder-first-pipeline-num-layers 1 --decoder-last-pipeline-num-layers 3",
      [1, 2, 2, 3]
    ),
    (
      "--pipeline-model-parallel-size 2 --account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split",
      [4, 4]
    ),
    ("--pipeline-model-parallel-size 4 --pipeline-model-parallel-layout 'Ett|ttt|tt|tL'", [2, 3, 2, 1]),
    ("--pipeline-model-parallel-size 2 --pipeline-model-parallel-layout 'E,t*2|(t|)*2,t*4L'", [2, 1, 1, 4]),
    ("--pipeline-model-parallel-size 2 --pipeline-model-parallel-layout='Et*8|L'", [8, 0]),
  ])
  func layersAreThoseThatTheFlagsSay(flags: String, counts: [Int]) throws {
    let run = try read("\(Self.shape) --global-batch-size 64 \(flags)")
    #expect(run.layerCounts == counts)
    #expect(run.strategy.virtualStageCount == counts.count / run.strategy.pipelineDegree)
  }

  @Test func anEmbeddingThatCountsAsALayerTakesAPlaceInTheFirstChunk() throws {
    let text = Self.shape.replacing("--num-layers 8", with: "--num-layers 6")
    let run = try read(
      """
      \(text) --global-batch-size 64 --pipeline-model-parallel-size 2 --num-virtual-stages-per-pipeline-rank 2
      --account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split
      """)
    #expect(run.layerCounts == [1, 2, 2, 1])
  }

  @Test func layoutsAreWrittenShortAndReadBack() throws {
    for (counts, text) in [
      ([3], "EtttL"), ([2, 2], "Ett|ttL"), ([3, 4, 4, 4, 4, 4, 3], "Ettt|(t*4|)*5tttL"),
      ([1, 0, 0, 0, 5], "Et|(|)*3t*5L"),
      ([2, 2, 2, 2], "E(tt|)*3ttL"),
    ] {
      #expect(MegatronLayout(layerCounts: counts).text == text)
    }
    var random = SeededGenerator(seed: 3)
    for _ in 0..<500 {
      let counts = (0..<Int.random(in: 1...20, using: &random)).map { _ in
        [0, 1, 2, 4, 4, 11].randomElement(using: &random) ?? 1
      }
      let layout = MegatronLayout(layerCounts: counts)
      #expect(try MegatronLayout(Field(.string(layout.text), source: "layout")) == layout, "\(layout.text)")
      // The parser's own two substitutions say the same.
      let stages = MegatronCommandLine.stages(ofLayout: layout.text)
      #expect(stages.map { $0.count { $0 == "t" } } == counts, "\(layout.text)")
    }
  }

  // MARK: States, batch, recomputation

  @Test(arguments: [
    ("", Strategy.ZeroStage.none, Sharding(.none, replicaCount: 8)),
    ("--use-distributed-optimizer", .optimizer, Sharding(.optimizer, replicaCount: 8)),
    (
      "--use-distributed-optimizer --num-distributed-optimizer-instances 4", .optimizer,
      Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 2)
    ),
    ("--use-megatron-fsdp", .weights, Sharding(.weights, replicaCount: 8)),
    (
      "--use-megatron-fsdp --data-parallel-sharding-strategy optim_grads", .gradients,
      Sharding(.gradients, replicaCount: 8)
    ),
    ("--use-megatron-fsdp --data-parallel-sharding-strategy optim", .optimizer, Sharding(.optimizer, replicaCount: 8)),
    (
      "--use-megatron-fsdp --num-distributed-optimizer-instances 2 --outer-dp-sharding-strategy optim", .weights,
      Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 8)
    ),
  ])
  func statesAreDividedAsTheFlagsSay(flags: String, stage: Strategy.ZeroStage, sharding: Sharding) throws {
    let run = try read("\(Self.shape) \(flags)")
    #expect(run.strategy.zeroStage == stage && run.strategy.sharding == sharding)
    #expect(run.globalBatch == 8, "one micro-batch a replica where no batch is stated")
    #expect(run.framework == (flags.contains("fsdp") ? "megatron-fsdp" : "megatron-lm"))
  }

  @Test func aBlockOfLayersIsAChoiceOfEveryStage() throws {
    let full = "--recompute-granularity full --recompute-method"
    let pipeline = "--pipeline-model-parallel-size 2 --pipeline-model-parallel-layout 'Ett|t*6L' --global-batch-size 8"
    let some = try read("\(Self.shape) \(pipeline) \(full) block --recompute-num-layers 3")
    #expect(some.strategy.recompute == .full)
    #expect(some.choices?.map(\.recomputedLayerCount) == [2, 3])
    let all = try read("\(Self.shape) \(pipeline) \(full) block --recompute-num-layers 6")
    #expect(all.strategy.recompute == .full && all.choices == nil)
    #expect(try read("\(Self.shape) \(full) uniform --recompute-num-layers 1").strategy.recompute == .full)
    #expect(try read("\(Self.shape) --recompute-activations").strategy.recompute == .selective)
    let modules = "--recompute-granularity selective --recompute-modules"
    #expect(try read("\(Self.shape) \(modules) core_attn").strategy.recomputeModules == [])
    #expect(try read("\(Self.shape) \(modules) mlp layernorm").strategy.recomputeModules == [.norms, .feedForward])
    #expect(try read("\(Self.shape) \(full) uniform --recompute-num-layers 2").notes.count == 1)
  }

  @Test func aLaunchersOwnFlagsSayHowManyDevicesThereAre() throws {
    let run = try read(
      "torchrun --nproc_per_node 8 --nnodes 2 pretrain_gpt.py \(Self.shape) --bf16 2>&1 | tee --append log.txt",
      devices: nil)
    #expect(run.strategy.dataDegree == 16 && run.precision == .bf16)
  }

  /// As launch scripts are written: variables, arrays, flags in quotations, a command over several lines.
  @Test func aScriptsVariablesArePutIn() throws {
    let script = """
      #!/bin/bash
      export CUDA_DEVICE_MAX_CONNECTIONS=1
      GPUS_PER_NODE=8
      NUM_NODES=${NUM_NODES:-4}
      WORLD_SIZE=$(($GPUS_PER_NODE*$NUM_NODES))
      TP=2; LAYERS="8"
      DISTRIBUTED_ARGS=(--nproc_per_node $GPUS_PER_NODE --nnodes ${NUM_NODES})
      MODEL_ARGS=(
          --num-layers $LAYERS   # of them
          --hidden-size 256
          --num-attention-heads 4
          --seq-length 512 --max-position-embeddings 512
      )
      BATCH="
          --micro-batch-size 1 \\
          --global-batch-size 64 \\
      "
      if [[ "$DTYPE" == "bf16" ]]; then
        MORE+=("--bf16" "--vocab-size 1000")
      fi
      torchrun ${DISTRIBUTED_ARGS[@]} pretrain_gpt.py ${MODEL_ARGS[@]} $BATCH --tensor-model-parallel-size $TP \
        --save $CHECKPOINTS --sequence-parallel
      """
    let run = try read(script, devices: nil)
    #expect(run.strategy.mesh == [.tensor: 2, .data: 16])
    #expect(run.strategy.usesSequenceParallelism && run.precision == .bf16 && run.globalBatch == 64)
    #expect(run.model?.layerCount == 8 && run.model?.vocabularySize == 1000)
  }

  // MARK: Bad input

  @Test(arguments: [
    ("--num-layers 8 --seq-length 512", "", "--micro-batch-size"),
    ("\(shape) --tensor-model-parallel-size 3", "", "8 devices do not divide by tensor 3"),
    ("\(shape) --global-batch-size 12", "--global-batch-size", "does not divide"),
    ("\(shape) --bf16 --fp16", "--fp16", "exclude"),
    ("\(shape) --tensor-model-parallel-size many", "--tensor-model-parallel-size", "expected an integer"),
    ("\(shape) --micro-batch-size $MBS", "--micro-batch-size", "expected an integer"),
    ("\(shape) --attention-backend warp", "--attention-backend", "one of"),
    ("\(shape) --context-parallel-size 3", "", "8 devices do not divide by tensor"),
    ("\(shape) --context-parallel-size 2 --cp-comm-type gossip", "--cp-comm-type", "p2p, allgather, a2a or a2a+p2p"),
    ("\(shape) --context-parallel-size 2 --cp-comm-type p2p a2a", "--cp-comm-type", "differ from layer to layer"),
    (
      "\(shape) --context-parallel-size 4 --cp-comm-type a2a+p2p --hierarchical-context-parallel-sizes 4 2",
      "--hierarchical-context-parallel-sizes", "4 × 2 is not the context degree 4"
    ),
    ("\(shape) --context-parallel-size 4 --cp-comm-type a2a+p2p", "", "--hierarchical-context-parallel-sizes"),
    (
      "\(shape) --optimizer-cpu-offload --optimizer-offload-fraction 2", "--optimizer-offload-fraction",
      "from 0.0 to 1.0"
    ),
    ("\(shape) --optimizer sgd --use-precision-aware-optimizer", "--use-precision-aware-optimizer", "Adam only"),
    ("\(shape) --optimizer newton", "--optimizer", "one of"),
    ("\(shape) --offload-optimizer-states", "--offload-optimizer-states", "offload"),
    ("\(shape) --bf16 --fp8-format hybrid --fp8-recipe custom", "--fp8-recipe", "blockwise"),
    ("\(shape) --bf16 --fp8-format e4m3 --fp4-format e2m1", "--fp4-format", "exclude each other"),
    ("\(shape) --bf16 --fp8-format hybrid --fp8-output-proj", "--fp8-output-proj", "wants --fp8-recipe mxfp8"),
    ("\(shape) --bf16 --fp8-param-gather", "--fp8-param-gather", "of products in FP8, not in bf16"),
    (
      "\(shape) --bf16 --fp8-format hybrid --first-last-layers-bf16", "--first-last-layers-bf16",
      "delayed scaling has no layers in bf16"
    ),
    (
      "\(shape) --bf16 --fp8-format hybrid --fp8-recipe tensorwise --first-last-layers-bf16 "
        + "--num-layers-at-end-in-bf16 99", "--num-layers-at-end-in-bf16", "from 0 to"
    ),
    (
      "\(shape) --bf16 --fp8-format hybrid --fp8-param-gather", "--fp8-param-gather",
      "wants --use-distributed-optimizer"
    ),
    (
      "\(shape) --bf16 --use-distributed-optimizer --fp8-format hybrid --fp4-param-gather", "--fp4-param-gather",
      "another format than products in fp8-delayed"
    ),
    (
      "\(shape) --bf16 --use-distributed-optimizer --fp8-format e4m3 --fp8-recipe mxfp8 --fp8-param-gather",
      "--fp8-param-gather", "wants --reuse-grad-buf-for-mxfp8-param-ag"
    ),
    (
      "\(shape) --bf16 --use-distributed-optimizer --fp8-format hybrid --fp8-recipe tensorwise --fp8-param-gather "
        + "--use-precision-aware-optimizer --optimizer-cpu-offload", "--fp8-param-gather",
      "of the recipe delayed only"
    ),
    ("\(shape) --pipeline-model-parallel-size 4 --num-layers 7", "", "7 layers do not divide"),
    ("\(shape) --pipeline-model-parallel-size 2 --use-megatron-fsdp", "--use-megatron-fsdp", "no pipeline"),
    ("\(shape) --pipeline-model-parallel-size 2 --use-tp-pp-dp-mapping", "--use-tp-pp-dp-mapping", "order of ranks"),
    ("\(shape) --recompute-granularity full", "", "--recompute-method"),
    ("\(shape) --recompute-granularity selective --recompute-modules mlps", "--recompute-modules", "core_attn"),
    ("\(shape) --num-virtual-stages-per-pipeline-rank 2", "--num-virtual-stages-per-pipeline-rank", "need a pipeline"),
    ("\(shape) --pipeline-model-parallel-layout 'Ett|tL'", "--pipeline-model-parallel-layout", "3 layers"),
    ("\(shape) --pipeline-model-parallel-layout 'Et*99999999999L'", "--pipeline-model-parallel-layout", "letters"),
    ("\(shape) --pipeline-model-parallel-layout '((t*9999)*9999)*9999'", "--pipeline-model-parallel-layout", "layout"),
    ("\(shape) --pipeline-model-parallel-layout 'Et*x8L'", "--pipeline-model-parallel-layout", "letters E, t"),
    ("\(shape) 'an open quotation", "", "quotation"),
    ("\(shape) --num-query-groups 3 --group-query-attention", "", "cannot share"),
  ])
  func badArgumentsAreRefusedWithTheirPlace(text: String, place: String, sentence: String) throws {
    let error = #expect(throws: DocumentError.self) { try read(text) }
    #expect(error?.location == place && error?.source == "arguments.txt", "\(String(describing: error))")
    #expect(error?.description.contains(sentence) == true, "\(String(describing: error))")
  }

  @Test func nothingThatIsBrokenStopsTheReader() throws {
    let plain =
      "\(Self.shape) --global-batch-size 64 --pipeline-model-parallel-size 2 --pipeline-model-parallel-layout 'Et*4|t*4L'"
    var mutator = DocumentMutator(seed: 11)
    for _ in 0..<2_000 {
      let text = String(decoding: mutator.mutated(text: Array(plain.utf8)), as: UTF8.self)
      do {
        let run = try read(text)
        _ = MegatronLMTarget.groups(of: run)
      } catch { #expect(error is DocumentError, "\(text)") }
    }
  }
}
