import Documents
import TestSupport
import Testing

@testable import Costing

/// What published recipes fix where records of their runs are silent.
@Suite struct RecipeTests {
  private static func workload(
    device: String = "gb200-186gb", precision: String = "fp8-current-scaling", layers: Int = 80,
    framework: String = "Megatron-Bridge / NeMo 26.04", stated: String = ""
  ) throws -> RunWorkload {
    let text = """
      {"schema": "sextant.run/1", "id": "one", "family": "invented", "framework": "\(framework)",
       "model": {"name": "llama", "family": "llama", "layers": \(layers), "hidden": 8192, "heads": 64, "kv_heads": 8,
         "ffn_hidden": 28672, "vocab": 128256, "gated_mlp": true, "tied_embeddings": false},
       "sequence_length": 8192, "global_batch": 256, "precision": "\(precision)",
       "cluster": {"device": "\(device)", "nodes": 16, "devices_per_node": 4},
       "strategy": {"tensor": 1, "pipeline": 1, "data": 64, "micro_batch": 2, "fsdp": "Megatron-FSDP",
         "recompute": "none", "gradient_bytes": 2\(stated)}, "measured": {"iteration_seconds": 7}}
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
    #expect(try Self.hosted(Self.workload(stated: ", \"host_activations\": false")) == .onDevice)
  }

  /// The recipe was made for devices on which all of it would not fit: 350 GB, of which half the activations stay.
  @Test func theyFitOnTheDevicesThatTheyAreFor() throws {
    let all = try Self.workload(stated: ", \"host_activations\": false").estimate().prediction
    let recipe = try Self.workload().estimate().prediction
    #expect(all.verdict == .unfit && recipe.verdict != .unfit)
    let moved = all.peakBytes - recipe.peakBytes
    #expect(agrees(Double(moved), Double(all.stageMemory[0].activationBytes) / 2, relative: 0.02))
    #expect(recipe.iterationSeconds == all.iterationSeconds, "at 225 GB/s a device the copies hide")
  }
}
