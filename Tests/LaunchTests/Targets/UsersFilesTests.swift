import Documents
import Testing

@testable import Launch

/// Files as users have them, not only those that we write.
@Suite struct UsersFilesTests {
  private func run(
    _ target: any LaunchTarget.Type, _ name: String, _ text: String, devices: Int? = nil, others: [LaunchFile] = []
  ) throws -> RunConfiguration {
    try target.configuration(in: [LaunchFile(name: name, text: text)] + others, deviceCount: devices)
  }

  private func expectRefusal(
    _ target: any LaunchTarget.Type, _ name: String, _ text: String, devices: Int? = nil, _ sentence: String
  ) {
    #expect {
      try run(target, name, text, devices: devices)
    } throws: { error in
      "\(error)" == sentence
    }
  }

  // MARK: DeepSpeed

  @Test func whatTheTrainerFillsInIsAssumedAndSaid() throws {
    let text = """
      {"fp16": {"enabled": "auto"}, "train_batch_size": "auto", "train_micro_batch_size_per_gpu": "auto",
       "gradient_accumulation_steps": 2,
       "zero_optimization": {"stage": 3, "offload_optimizer": {"device": "cpu"}, "reduce_bucket_size": "auto"}}
      """
    let run = try run(DeepSpeedTarget.self, "ds.json", text, devices: 8)
    #expect(run.strategy.zeroStage == .weights && run.strategy.dataDegree == 8 && run.strategy.microBatch == 1)
    #expect(run.strategy.overlapsGradientReduce, "stage 3 overlaps unless it is told otherwise")
    #expect(run.precision == nil && run.globalBatch == 16)
    #expect(run.strategy.hosting == Hosting(updatePercent: 100))
  }

  @Test func theThirdNumberOfABatchFollowsFromTwo() throws {
    for (text, micro, batch) in [
      (#"{"train_batch_size": 64, "train_micro_batch_size_per_gpu": 2}"#, 2, 64),
      (#"{"train_batch_size": 64, "gradient_accumulation_steps": 4}"#, 2, 64),
      (#"{"train_micro_batch_size_per_gpu": 8, "gradient_accumulation_steps": 3}"#, 8, 192),
      (#"{"train_batch_size": 64}"#, 8, 64), (#"{"train_micro_batch_size_per_gpu": 3}"#, 3, 24),
    ] {
      let run = try run(DeepSpeedTarget.self, "ds.json", text, devices: 8)
      #expect(run.strategy.microBatch == micro && run.globalBatch == batch, "\(text)")
    }
  }

  @Test func slotsOfAHostfileAreTheDevices() throws {
    let hosts = LaunchFile(name: "hostfile", text: "n1 slots=4\n# n3 slots=4\nn2 slots=4\n")
    let text = #"{"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 2}}"#
    #expect(try run(DeepSpeedTarget.self, "ds.json", text, others: [hosts]).strategy.dataDegree == 8)
  }

  @Test func plusPlusAndMiCSAreShardDegrees() throws {
    let plusPlus = """
      {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3, "zero_quantized_weights": true,
       "zero_hpz_partition_size": 8, "zero_quantized_gradients": true, "contiguous_gradients": true}}
      """
    #expect(
      try run(DeepSpeedTarget.self, "ds.json", plusPlus, devices: 32).strategy.sharding
        == Sharding(
          weightDegree: 32, gradientDegree: 32, optimizerDegree: 32, secondaryDegree: 8, quantisesWeights: true,
          quantisesGradients: true))
    let mics = #"{"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3, "mics_shard_size": 8}}"#
    #expect(
      try run(DeepSpeedTarget.self, "ds.json", mics, devices: 32).strategy.sharding
        == Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8))
  }

  @Test func whatDeepSpeedWouldRefuseIsRefusedWithThePlace() {
    expectRefusal(
      DeepSpeedTarget.self, "ds.json", #"{"zero_optimization": {"stag": 3}}"#, devices: 8,
      "ds.json: /zero_optimization: unknown key \"stag\", did you mean \"stage\"?")
    expectRefusal(
      DeepSpeedTarget.self, "ds.json",
      #"{"train_batch_size": 60, "train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4}"#, devices: 8,
      "ds.json: /train_batch_size: train_batch_size 60 does not divide among 8 replicas")
    expectRefusal(
      DeepSpeedTarget.self, "ds.json",
      #"{"train_batch_size": 128, "train_micro_batch_size_per_gpu": 2, "gradient_accumulation_steps": 4}"#, devices: 8,
      "ds.json: /train_batch_size: train_batch_size 128 is not 2 sequences × 4 steps × 8 replicas")
    expectRefusal(
      DeepSpeedTarget.self, "ds.json", #"{"train_micro_batch_size_per_gpu": 2}"#,
      "ds.json: the file does not say how many devices train: give --devices or a hostfile")
    expectRefusal(
      DeepSpeedTarget.self, "ds.json", #"{"zero_optimization": {"stage": 1, "mics_shard_size": 4}}"#, devices: 8,
      "ds.json: /zero_optimization: MiCS, hpZ and quantised weights need stage 3, not 1")
  }

  // MARK: torchtitan

  @Test func tablesOfOldAreRead() throws {
    let text = """
      [model]
      name = "llama3"
      flavor = "405B"
      [training]
      batch_size = 2
      seq_len = 8192
      compile = true
      [parallelism]
      data_parallel_shard_degree = -1
      tensor_parallel_degree = 8  # of a node
      [activation_checkpoint]
      mode = 'full' # none, selective, full
      """
    let run = try run(TorchtitanTarget.self, "train.toml", text, devices: 128)
    #expect(run.framework == "torchtitan-0.2")
    #expect(run.strategy.text.hasPrefix("tensor=8,pipeline=1,data=16,virtual_stages=1,micro_batch=2,zero_stage=3"))
    #expect(run.strategy.recompute == .full && run.strategy.usesSequenceParallelism)
    #expect(run.globalBatch == 32 && run.sequenceLength == 8_192 && run.model?.layerCount == 126)
  }

  /// Selective recomputation is by operation, or of every n-th layer, two where the tables say nothing.
  @Test(
    arguments: [("'op'", .selective, nil), ("'4'", .full, 8), ("2", .full, 16), (nil, .full, 16)]
      as [(String?, Strategy.Recompute, Int?)])
  func selectiveRecomputationIsReadInItsKinds(
    option: String?, recompute: Strategy.Recompute, recomputedCount: Int?
  ) throws {
    let text = """
      [model]
      name = "llama3"
      flavor = "8B"
      [training]
      local_batch_size = 1
      seq_len = 8192
      [activation_checkpoint]
      mode = "selective"
      \(option.map { "selective_ac_option = \($0)" } ?? "")
      """
    let run = try run(TorchtitanTarget.self, "train.toml", text, devices: 8)
    #expect(run.strategy.recompute == recompute)
    #expect(run.choices?.map(\.recomputedLayerCount) == recomputedCount.map { [$0] })
  }

  @Test func aCommandLineOverAConfigurationThatIsKnown() throws {
    let text = """
      NGPU=8 torchrun --nproc_per_node=8 -m torchtitan.train --module llama3 --config llama3_8b \\
        --parallelism.pipeline-parallel-degree 4 --parallelism.pipeline_parallel_schedule=Interleaved1F1B \\
        --training.local_batch_size 8 --training.disable_cuda_graphs activation-checkpoint:full
      """
    let run = try run(TorchtitanTarget.self, "run.sh", text, devices: 8)
    #expect(run.strategy.pipelineDegree == 4 && run.strategy.virtualStageCount == 2 && run.strategy.dataDegree == 2)
    // A shard degree in a pipeline divides optimizer states alone.
    #expect(run.strategy.zeroStage == .optimizer && run.strategy.microBatch == 1 && run.globalBatch == 16)
    // 32 layers and one each for embedding and head: 34 over 8 virtual stages.
    #expect(run.layerCounts == [4, 5, 4, 4, 4, 4, 4, 3])
    #expect(run.sequenceLength == 8_192)
  }

  @Test(arguments: [
    ("InterleavedZeroBubble", Strategy.Schedule.zeroBubble(chunkCount: 2)), ("zbvzerobubble", .zeroBubbleV),
    ("DualPipeV", .dualPipeV),
  ])
  func schedulesWithSplitBackwardPasses(word: String, schedule: Strategy.Schedule) throws {
    let text = """
      --module llama3 --config llama3_8b --parallelism.pipeline_parallel_degree 4
      --parallelism.pipeline_parallel_schedule \(word) --training.local_batch_size 8 --training.disable_cuda_graphs
      """
    let run = try run(TorchtitanTarget.self, "run.sh", text, devices: 8)
    #expect(run.strategy.schedule == schedule && run.layerCounts == [Int](repeating: 4, count: 8))
    #expect(run.notes.contains { $0.contains("taken as 4 each") })
  }

  @Test func tokensOfMainAreSequences() throws {
    let text = """
      --module llama3 --config llama3_8b --training.max_context_length 4096
      --training.num_tokens_per_microbatch_per_dp_rank 8192 --training.num_tokens_per_train_step 262144
      --parallelism.data_parallel_replicate_degree 2 --parallelism.data_parallel_shard_degree 4
      """
    let run = try run(TorchtitanTarget.self, "run.sh", text)
    #expect(run.strategy.microBatch == 2 && run.globalBatch == 64 && run.sequenceLength == 4_096)
    #expect(run.strategy.sharding == Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 4))
    #expect(run.strategy.recompute == .selective && run.choices == nil)
  }

  @Test func aMixtureOfTorchtitansOwn() throws {
    let text = """
      --module deepseek_v3 --config deepseek_v3_671b_float8 --parallelism.expert_parallel_degree 32
      --parallelism.pipeline_parallel_degree 4 --training.local_batch_size 8 --parallelism.tensor_parallel_degree 2
      """
    let run = try run(TorchtitanTarget.self, "run.sh", text, devices: 256)
    #expect(run.strategy.expertDegree == 32 && run.strategy.expertTensorDegree == 1)
    #expect(run.strategy.dispatcher == .allToAll && run.strategy.usesSequenceParallelism)
    #expect(run.strategy.schedule == .interleaved(chunkCount: 2) && run.precision == .fp8Current)
    #expect(run.model?.parameterCount == 671_026_419_200)
    let known: [(String, Int, Int, Strategy.Dispatcher)] = [
      ("qwen3_30b_a3b", 30_532_122_624, 1, .allToAll), ("deepseek_v3_16b_hybridep", 15_706_484_224, 8, .hybridEP),
    ]
    for (name, parameters, expert, dispatcher) in known {
      let run = try self.run(TorchtitanTarget.self, "run.sh", "--module x --config \(name)", devices: 64)
      #expect(run.model?.parameterCount == parameters, "\(name)")
      #expect(run.strategy.expertDegree == expert && run.strategy.dispatcher == dispatcher, "\(name)")
    }
  }

  /// Without expert groups tensor groups divide every expert's width, and gather all of their tokens.
  @Test func tensorGroupsDivideExpertsThatNobodyElseDoes() throws {
    let text = "--module qwen3 --config qwen3_30b_a3b --parallelism.tensor_parallel_degree 4"
    let run = try run(TorchtitanTarget.self, "run.sh", text, devices: 64)
    #expect(run.strategy.expertTensorDegree == 4 && run.strategy.dispatcher == .allGather)
    let job = try TrainingJob(
      model: try #require(run.model), sequenceLength: 4_096, globalBatch: try #require(run.globalBatch))
    #expect(Capabilities.torchtitan.refusal(of: run.strategy, split: Split([48]), job: job) == nil)
  }

  @Test func expertsAndConvertersOfTheTables() throws {
    let text = """
      [model]
      name = "deepseek_v3"
      flavor = "671B"
      converters = ["quantize.linear.float8", "quantize.grouped_mm.float8"]
      [quantize.linear.float8]
      recipe_name = "tensorwise"
      enable_fsdp_float8_all_gather = true
      [training]
      local_batch_size = 1
      seq_len = 4096
      [parallelism]
      data_parallel_shard_degree = 32
      tensor_parallel_degree = 8
      expert_parallel_degree = 16
      expert_tensor_parallel_degree = 8
      expert_parallel_comm_backend = "deepep"
      """
    let run = try run(TorchtitanTablesTarget.self, "train.toml", text)
    #expect(run.strategy.expertDegree == 16 && run.strategy.expertTensorDegree == 8)
    #expect(run.strategy.dispatcher == .deepEP && run.precision == .fp8Current)
    #expect(run.notes.contains { $0.hasPrefix("enable_fsdp_float8_all_gather") })
    let groups = TorchtitanTablesTarget.groups(of: run)
    // The mesh [efsdp 2, ep 16, etp 8].
    #expect(groups["expert_tensor"]?.first == Array(0..<8))
    #expect(groups["expert"]?.first == stride(from: 0, to: 128, by: 8).map { $0 })
    #expect(groups["expert_data"]?.first == [0, 128])
    for (flags, sentence) in [
      (
        "--parallelism.expert_parallel_degree 24",
        "run.sh: --parallelism.expert_parallel_degree: expert_parallel_degree 24 does not divide the 32 ranks of dp_shard · cp · tp"
      ),
      (
        "--parallelism.expert_parallel_degree 32 --parallelism.data_parallel_replicate_degree 2 --parallelism.data_parallel_shard_degree 16",
        "run.sh: --parallelism.expert_parallel_degree: expert_parallel_degree 32 does not divide the 16 ranks of dp_shard · cp · tp"
      ),
    ] {
      expectRefusal(
        TorchtitanTarget.self, "run.sh", "--module qwen3 --config qwen3_30b_a3b \(flags)", devices: 32, sentence)
    }
  }

  @Test(arguments: [
    ("llama3_405b", Precision.fp8Current), ("llama3_8b_mxfp8", .mxfp8), ("llama3_8b", .bf16),
  ])
  func convertersOfAConfigurationThatIsKnown(name: String, precision: Precision) throws {
    let text = "--module llama3 --config \(name)"
    #expect(try run(TorchtitanTarget.self, "run.sh", text, devices: 64).precision == precision)
  }

  @Test func whatTorchtitanWouldRefuseIsRefusedWithThePlace() {
    expectRefusal(
      TorchtitanTarget.self, "run.sh", "--parallelism.tensor_paralel_degree 2", devices: 8,
      "run.sh: --parallelism.tensor_paralel_degree: unknown key \"tensor_paralel_degree\" of parallelism, did you mean \"tensor_parallel_degree\"?"
    )
    expectRefusal(
      TorchtitanTarget.self, "a.toml", "[training]\nseq_len = 4096\n",
      "a.toml: data_parallel_shard_degree is what is left of the devices, and nobody says how many there are: give --devices"
    )
    expectRefusal(
      TorchtitanTarget.self, "run.sh",
      "--training.local_batch_size 3 --training.global_batch_size 32 --parallelism.data_parallel_shard_degree 4",
      "run.sh: the batch of 32 sequences is no multiple of 3 sequences × 4 replicas")
    expectRefusal(
      TorchtitanTarget.self, "run.sh",
      "--parallelism.pipeline_parallel_schedule LoopedBFS --parallelism.pipeline_parallel_degree 2",
      devices: 2,
      "run.sh: --parallelism.pipeline_parallel_schedule: expected 1F1B, Interleaved1F1B, InterleavedZeroBubble, ZBVZeroBubble, DualPipeV or GPipe, found \"LoopedBFS\""
    )
  }

  // MARK: nanotron

  @Test func nanotronsDefaultsAreItsOwn() throws {
    let text = """
      parallelism: {dp: 4, pp: 2, tp: 2}
      tokens: {sequence_length: 4096, micro_batch_size: 3, batch_accumulation_per_replica: 4, train_steps: 10}
      optimizer: {zero_stage: 1, accumulate_grad_in_fp32: true}
      model:
        dtype: bfloat16
        model_config:
          is_llama_config: true
          hidden_size: 2048
          num_attention_heads: 16
          num_key_value_heads: 2
          num_hidden_layers: 28
          tie_word_embeddings: true
          vocab_size: 128256
          rms_norm_eps: 1.0e-05
      """
    let run = try run(NanotronTarget.self, "c.yaml", text)
    #expect(run.strategy.dataDegree == 4 && run.strategy.zeroStage == .optimizer)
    // Without tp_mode nothing is divided along the sequence, without pp_engine all forward passes come first.
    #expect(!run.strategy.usesSequenceParallelism)
    #expect(run.notes.contains { $0.hasPrefix("pp_engine afab") })
    #expect(run.globalBatch == 48 && run.layerCounts == nil)
    #expect(run.model?.feedForwardSize == 11_008 && run.model?.details.rotaryBase == 10_000)
  }

  @Test func whatNanotronWouldRefuseIsRefusedWithThePlace() {
    expectRefusal(
      NanotronTarget.self, "c.yaml", "parallelism: {dp: 4, pp: 2, tp: 2, cp: 2}",
      "c.yaml: /parallelism: unknown key \"cp\"")
    expectRefusal(
      NanotronTarget.self, "c.yaml", "parallelism: {dp: 4, pp: 2, tp: 2}", devices: 8,
      "c.yaml: /parallelism: tensor 2 × pipeline 2 × data 4 are 16 ranks, not the 8 devices")
  }
}
