import Documents
import TestSupport
import Testing

@testable import Costing

/// What published recipes fix where records of their runs are silent.
@Suite struct RecipeTests {
  private static func workload(
    device: String = "gb200-186gb", precision: String = "fp8-current-scaling", layers: Int = 80,
    framework: String = "Megatron-Bridge / NeMo 26.04", microBatch: Int = 2, stated: String = ""
  ) throws -> RunWorkload {
    // Of 126 layers Llama 3.1 405B on 128 devices, in tensor groups of two; of others Llama 3 70B on 64.
    let isLarge = layers == 126, perNode = device == "b200-sxm-180gb" ? 8 : 4
    let widths =
      isLarge
      ? #""hidden": 16384, "heads": 128, "ffn_hidden": 53248"# : #""hidden": 8192, "heads": 64, "ffn_hidden": 28672"#
    let text = """
      {"schema": "sextant.run/1", "id": "one", "family": "invented", "framework": "\(framework)",
       "model": {"name": "llama", "family": "llama", "layers": \(layers), \(widths), "kv_heads": 8,
         "vocab": 128256, "gated_mlp": true, "tied_embeddings": false},
       "sequence_length": 8192, "global_batch": 256, "precision": "\(precision)",
       "cluster": {"device": "\(device)", "nodes": \((isLarge ? 128 : 64) / perNode), "devices_per_node": \(perNode)},
       "strategy": {"tensor": \(isLarge ? 2 : 1), "pipeline": 1, "data": 64, "micro_batch": \(microBatch),
         "sequence_parallel": \(isLarge), "fsdp": "Megatron-FSDP", "recompute": "none", "gradient_bytes": 2\(stated)}, "measured": {"iteration_seconds": 7}}
      """
    return try RunWorkload(
      MeasuredRun(parse(Array(text.utf8), source: "run")), catalog: Shipped.catalog)
  }

  private static func hosted(_ workload: RunWorkload) -> HostedActivations? {
    workload.pattern[dynamicMember: \.hosting.activations]
  }

  @Test func recipesOfLlamaHaveActivationsOnTheHost() throws {
    let found = try Self.workload()
    #expect(Self.hosted(found) == .layers(40) && found.cluster.host?.memoryBytes == 960_000_000_000)
    #expect(found.assumptions.contains("activations of 40 layers lie on the host, as in megatron-bridge's recipe"))
    #expect(found.assumptions.contains("hosts are as those of gb200-nvl72-64"))
    #expect(try Self.hosted(Self.workload(precision: "bf16")) == .layers(20))
    #expect(try Self.hosted(Self.workload(device: "gb300-288gb")) == .layers(20))
    // A run of another depth, of another framework or one that says otherwise is not of that recipe.
    for other in try [
      Self.workload(layers: 40), Self.workload(framework: "Megatron-LM"), Self.workload(device: "b300-sxm-288gb"),
    ] {
      #expect(Self.hosted(other) == nil && other.cluster.host == nil)
    }
    let without = try Self.workload(stated: ", \"host_activations\": false")
    #expect(Self.hosted(without) == .onDevice && without.cluster.host == nil)
  }

  /// Recipes were made for devices on which all of it would not fit: but for B200's five layers none would, and all do.
  @Test(arguments: [
    ("b200-sxm-180gb", "fp8-current-scaling", 80, 1), ("gb200-186gb", "bf16", 80, 1),
    ("gb200-186gb", "fp8-current-scaling", 80, 2), ("gb300-288gb", "bf16", 80, 2),
    ("gb300-288gb", "fp8-current-scaling", 80, 2), ("gb200-186gb", "fp8-current-scaling", 126, 1),
    ("gb300-288gb", "bf16", 126, 1), ("gb300-288gb", "fp8-current-scaling", 126, 1),
  ])
  func everyRecipeFitsOnItsDevice(device: String, precision: String, layers: Int, microBatch: Int) throws {
    func verdict(_ stated: String) throws -> Prediction.Verdict {
      let workload = try Self.workload(
        device: device, precision: precision, layers: layers, microBatch: microBatch, stated: stated)
      #expect(Self.hosted(workload).map { stated.isEmpty == $0.isOfSomeLayers } == true)
      return try workload.estimate().prediction.verdict
    }
    #expect(try verdict("") != .unfit)
    #expect(try verdict(", \"host_activations\": false") == (device == "b200-sxm-180gb" ? .risky : .unfit))
  }

  /// 350 GB, of which half the activations stay.
  @Test func activationsOnTheHostAreOfSoManyLayers() throws {
    let all = try Self.workload(stated: ", \"host_activations\": false").estimate().prediction
    let recipe = try Self.workload().estimate().prediction
    #expect(all.verdict == .unfit && recipe.verdict != .unfit)
    let moved = all.peakBytes - recipe.peakBytes
    #expect(agrees(Double(moved), Double(all.stageMemory[0].activationBytes) / 2, relative: 0.02))
    #expect(recipe.iterationSeconds == all.iterationSeconds, "at 225 GB/s a device the copies hide")
  }

  /// torchtitan's Llama 3.1 405B in FP8 on 512 H100 with 96 GB (its benchmarks of December 2024, tables 5 and 6).
  private static func titan(
    schedule: String, sequenceLength: Int = 8_192, globalBatch: Int = 256, pipeline: Int = 8, stated: String = ""
  ) throws -> RunWorkload {
    let text = """
      {"schema": "sextant.run/1", "id": "one", "family": "torchtitan", "framework": "torchtitan",
       "model": {"name": "llama3.1-405b", "family": "llama", "layers": 126, "hidden": 16384, "heads": 128, "kv_heads": 8,
         "ffn_hidden": 53248, "vocab": 128256, "gated_mlp": true, "tied_embeddings": false},
       "sequence_length": \(sequenceLength), "global_batch": \(globalBatch), "precision": "fp8",
       "cluster": {"device": "h100-sxm5-96gb-hbm2e-500w", "nodes": 64, "devices_per_node": 8},
       "strategy": {"tensor": 8, "pipeline": \(pipeline), "data": \(64 / pipeline), "fsdp": "FSDP2", "recompute": "full",
         "sequence_parallel": true, "schedule": "\(schedule)"\(stated)}, "measured": {"iteration_seconds": 1}}
      """
    return try RunWorkload(MeasuredRun(parse(Array(text.utf8), source: "run")), catalog: Shipped.catalog)
  }

  /// Nothing is fitted to these: what a pipeline keeps whole is most of the memory, and the bubble of eight micro-batches a
  /// third of the time.
  @Test func shardedTrainingInAPipelineKeepsWeightsAndGradientsWhole() throws {
    for (schedule, sequence, batch, seconds, bytes) in [
      ("1f1b", 8_192, 256, 40.96, 88.584e9), ("1f1b-interleaved", 8_192, 256, 32.0, 78.061e9),
      ("1f1b", 32_768, 64, 53.895, 80.853e9),
    ] {
      let workload = try Self.titan(schedule: schedule, sequenceLength: sequence, globalBatch: batch)
      #expect(workload.pattern.zeroStage == .optimizer && workload.pattern.microBatch == batch / 64)
      #expect(workload.pattern.virtualStageCount == (schedule == "1f1b" ? nil : 2))
      let prediction = try workload.estimate().prediction
      #expect(abs(prediction.iterationSeconds / seconds - 1) < 0.1, "\(prediction.iterationSeconds)")
      let peak = Double(prediction.stageMemory.map(\.peakBytes).max() ?? 0)
      #expect(abs(peak / bytes - 1) < 0.12, "\(peak)")
    }
    // Without a pipeline, and in micro-batches that a record states, everything is as it says.
    let flat = try Self.titan(schedule: "1f1b", pipeline: 1)
    #expect(flat.pattern.zeroStage == .weights)
    #expect(try Self.titan(schedule: "1f1b", stated: ", \"micro_batch\": 2").pattern.microBatch == 2)
  }

  /// Llama 3 8B on one node: of micro-batches that are stated one after another the fastest that simply fits.
  @Test func anUnstatedMicroBatchIsTheFastestThatFits() throws {
    func workload(_ stated: String, family: String = "invented", pipeline: Int = 1) throws -> RunWorkload {
      let text = """
        {"schema": "sextant.run/1", "id": "one", "family": "\(family)", "framework": "Megatron-LM",
         "model": {"name": "llama3-8b", "family": "llama", "layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8,
           "ffn_hidden": 14336, "vocab": 128256, "gated_mlp": true, "tied_embeddings": false},
         "sequence_length": 4096, "global_batch": 64, "precision": "bf16",
         "cluster": {"device": "h100-sxm5-80gb", "nodes": 1, "devices_per_node": 8},
         "strategy": {"tensor": 2, "pipeline": \(pipeline), "data": \(4 / pipeline), "zero_stage": 1,
           "sequence_parallel": true, "virtual_stages": 1\(stated)}, "measured": {"iteration_seconds": 1}}
        """
      return try RunWorkload(MeasuredRun(parse(Array(text.utf8), source: "run")), catalog: Shipped.catalog)
    }
    let tried = try [1, 2, 4, 8, 16].map { ($0, try workload(", \"micro_batch\": \($0)").estimate().prediction) }
    let fitting = tried.filter { $0.1.verdict == .fits }
    let fastest = try #require(fitting.min { $0.1.iterationSeconds < $1.1.iterationSeconds })
    #expect(fastest.0 > 1 && fitting.count < tried.count, "\(tried.map { ($0.0, $0.1.verdict) })")
    let found = try workload("")
    #expect(found.pattern.microBatch == fastest.0)
    #expect(found.assumptions.contains("micro-batch \(fastest.0), the fastest that fits"))
    // A source that says that transfers of its pipelines hide has them interleaved.
    #expect(try workload("", family: "megatron-h100", pipeline: 2).pattern.virtualStageCount == 2)
    #expect(try workload("", pipeline: 2).pattern.virtualStageCount == 1)
  }

  /// A window and sinks are GPT-OSS's, which has the window in every second layer, as its own description says.
  @Test func windowsBesideSinksAreInEverySecondLayer() throws {
    func run(_ attention: String) throws -> MeasuredRun {
      let text = """
        {"schema": "sextant.run/1", "id": "one", "family": "invented", "framework": "Megatron-Bridge / NeMo 26.06",
         "model": {"name": "gpt-oss-120b", "family": "moe", "layers": 36, "hidden": 2880, "heads": 64, "kv_heads": 8,
           "head_dim": 64, "ffn_hidden": 2880, "vocab": 201088, "gated_mlp": true, "tied_embeddings": false,
           "moe": {"experts": 128, "topk": 4, "expertFfn": 2880}, "attention": \(attention)},
         "sequence_length": 4096, "global_batch": 1280, "precision": "bf16",
         "cluster": {"device": "gb200-186gb", "nodes": 16, "devices_per_node": 4},
         "strategy": {"tensor": 1, "pipeline": 1, "data": 64, "expert": 64, "micro_batch": 4},
         "measured": {"iteration_seconds": 1}}
        """
      return try MeasuredRun(parse(Array(text.utf8), source: "run"))
    }
    let sentence = "every second layer's attention has no window, as GPT-OSS has it"
    let silent = try run(#"{"type": "GQA", "window": 128, "sinks": true}"#)
    let own = try Shipped.catalog.model("gpt-oss-120b")
    #expect(try silent.job.get().model.details.fullAttentionLayers == own.details.fullAttentionLayers)
    #expect(try RunWorkload(silent, catalog: Shipped.catalog).assumptions.contains(sentence))
    let stated = try run(#"{"type": "GQA", "window": 128, "sinks": true, "full_attention_layers": []}"#)
    #expect(try stated.job.get().model.details.fullAttentionLayers == [])
    #expect(try !RunWorkload(stated, catalog: Shipped.catalog).assumptions.contains(sentence))
    let plain = try run(#"{"window": 128}"#)
    #expect(try plain.job.get().model.details.fullAttentionLayers == [])
    #expect(try !RunWorkload(plain, catalog: Shipped.catalog).assumptions.contains(sentence))
  }

  // MARK: Formats of products

  private static func mixture(
    layers: Int = 61, hidden: Int = 7_168, device: String = "gb200-186gb", precision: String = "mxfp8",
    framework: String = "Megatron-Bridge / NeMo 26.06"
  ) throws -> RunWorkload {
    let perNode = device.hasPrefix("b300") ? 8 : 4
    let text = """
      {"schema": "sextant.run/1", "id": "one", "family": "invented", "framework": "\(framework)",
       "model": {"name": "mixture", "family": "moe", "layers": \(layers), "hidden": \(hidden), "heads": 64, "kv_heads": 8,
         "ffn_hidden": 4096, "vocab": 128256, "gated_mlp": true, "tied_embeddings": false,
         "moe": {"experts": 64, "topk": 4, "expertFfn": 2048}},
       "sequence_length": 4096, "global_batch": 256, "precision": "\(precision)",
       "cluster": {"device": "\(device)", "nodes": \(64 / perNode), "devices_per_node": \(perNode)},
       "strategy": {"tensor": 1, "pipeline": 1, "data": 64, "expert": 64, "micro_batch": 1, "zero_stage": 1},
       "measured": {"iteration_seconds": 7}}
      """
    return try RunWorkload(MeasuredRun(parse(Array(text.utf8), source: "run")), catalog: Shipped.catalog)
  }

  @Test func recipesOfNewReleasesNarrowTheHead() throws {
    let found = try Self.mixture()
    #expect(found.job.narrowsHead)
    #expect(found.assumptions.contains("the output head multiplies in mxfp8, as in megatron-bridge's recipe"))
    let newest = try Self.mixture(device: "gb300-288gb")
    #expect(!found.job.narrowsAttention && newest.job.narrowsAttention && newest.job.narrowsHead)
    #expect(
      newest.assumptions.contains(
        "the output head multiplies in mxfp8, and attention in FP8, as in megatron-bridge's recipe"))
    #expect(try Self.mixture(layers: 36, hidden: 2_880, device: "gb300-288gb").job.narrowsHead)
    #expect(
      try Self.mixture(device: "b300-sxm-288gb", framework: "Megatron-Bridge / NeMo 26.06.01").job.narrowsHead)
    for other in try [
      Self.mixture(device: "b300-sxm-288gb"), Self.mixture(framework: "Megatron-Bridge / NeMo 26.04.01"),
      Self.mixture(framework: "Megatron-LM"), Self.mixture(precision: "nvfp4"), Self.mixture(layers: 60),
    ] { #expect(!other.job.narrowsHead && other.job.wideLayers == .none) }
    let small = try Self.mixture(layers: 24, hidden: 2_880, precision: "nvfp4")
    #expect(small.job.wideLayers == WideLayers(first: 0, last: 4))
    #expect(small.assumptions.contains("the last 4 layers multiply in bf16, as in megatron-bridge's recipe"))
  }
}
