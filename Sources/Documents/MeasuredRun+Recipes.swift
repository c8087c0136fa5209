/// What published recipes fix and the records of their runs do not state.
extension MeasuredRun {
  /// Layers of which a recipe has the activations on the host.
  private struct HostedLayers {
    let layerCount: Int
    let hiddenSize: Int
    let device: String
    let isNarrow: Bool
    let hostedCount: Int32
  }

  /// Megatron-Bridge's recipes of Llama 3 70B and Llama 3.1 405B with Megatron-FSDP: `cpu_offloading_num_layers` in the
  /// configurations of NVIDIA-NeMo/Megatron-Bridge, `scripts/performance/configs`, alike from v0.2.0 (25.11) to v0.5.1
  /// (26.06.01).
  private static let hostedLayersOfBridge = [
    HostedLayers(layerCount: 80, hiddenSize: 8_192, device: "b200-sxm-180gb", isNarrow: true, hostedCount: 5),
    HostedLayers(layerCount: 80, hiddenSize: 8_192, device: "gb200-186gb", isNarrow: false, hostedCount: 20),
    HostedLayers(layerCount: 80, hiddenSize: 8_192, device: "gb200-186gb", isNarrow: true, hostedCount: 40),
    HostedLayers(layerCount: 80, hiddenSize: 8_192, device: "gb300-288gb", isNarrow: false, hostedCount: 30),
    HostedLayers(layerCount: 80, hiddenSize: 8_192, device: "gb300-288gb", isNarrow: true, hostedCount: 20),
    HostedLayers(layerCount: 126, hiddenSize: 16_384, device: "gb200-186gb", isNarrow: true, hostedCount: 92),
    HostedLayers(layerCount: 126, hiddenSize: 16_384, device: "gb300-288gb", isNarrow: false, hostedCount: 40),
    HostedLayers(layerCount: 126, hiddenSize: 16_384, device: "gb300-288gb", isNarrow: true, hostedCount: 10),
  ]

  /// Of how many layers the recipe that a record is of has the activations on the host; nil where no recipe says.
  ///
  /// - Parameter frameworkName: of the device profile's framework that the record's words name.
  package func hostedLayerCountOfRecipe(
    _ pattern: StrategyPattern, job: TrainingJob, frameworkName: String?
  ) -> Int32? {
    guard frameworkName == "megatron-bridge", pattern.zeroStage == .weights else { return nil }
    return Self.hostedLayersOfBridge.first {
      $0.layerCount == job.model.layerCount && $0.hiddenSize == job.model.hiddenSize && $0.device == machine.device
        && $0.isNarrow == (job.precision.products != nil)
    }?.hostedCount
  }

  /// Where a recipe has the output head in MXFP8, from a release on, and whether fused attention multiplies in FP8 there.
  private struct NarrowHead {
    let layerCount: Int
    let hiddenSize: Int
    let device: String
    let firstRelease: String
    var narrowsAttention = false
  }

  /// Megatron-Bridge's recipes of DeepSeek-V3 and GPT-OSS 120B: `fp8_output_proj` and `fp8_dot_product_attention` in the
  /// configurations of NVIDIA-NeMo/Megatron-Bridge from v0.5.0 (26.06) and v0.5.1 (26.06.01) on. Those of Megatron-FSDP do not have
  /// attention so; of models whose heads are no wider than 128 it makes no difference here and is not told.
  private static let narrowHeadsOfBridge = [
    NarrowHead(layerCount: 61, hiddenSize: 7_168, device: "gb200-186gb", firstRelease: "26.06"),
    NarrowHead(
      layerCount: 61, hiddenSize: 7_168, device: "gb300-288gb", firstRelease: "26.06", narrowsAttention: true),
    NarrowHead(
      layerCount: 61, hiddenSize: 7_168, device: "b300-sxm-288gb", firstRelease: "26.06.01", narrowsAttention: true),
    NarrowHead(layerCount: 36, hiddenSize: 2_880, device: "gb200-186gb", firstRelease: "26.06"),
    NarrowHead(layerCount: 36, hiddenSize: 2_880, device: "gb300-288gb", firstRelease: "26.06"),
  ]

  /// What of products the recipe that a record is of has in other formats than the rest, and the beginning of a sentence that
  /// says so; nil where no recipe says.
  ///
  /// Beside ``narrowHeadsOfBridge`` GPT-OSS 20B in NVFP4 has its last four layers in bf16 (`num_layers_at_end_in_bf16`).
  package func productsOfRecipe(
    _ pattern: StrategyPattern, job: TrainingJob, frameworkName: String?
  ) -> (job: TrainingJob, words: String)? {
    guard frameworkName == "megatron-bridge" else { return nil }
    let (layers, hidden) = (job.model.layerCount, job.model.hiddenSize)
    if job.precision == .nvfp4, layers == 24, hidden == 2_880, let wide = try? job.with(WideLayers(first: 0, last: 4)) {
      return (wide, "the last 4 layers multiply in bf16")
    }
    guard job.precision == .mxfp8, let release,
      let recipe = Self.narrowHeadsOfBridge.first(where: {
        $0.layerCount == layers && $0.hiddenSize == hidden && $0.device == machine.device
      }), !DeviceProfile.Framework.Release.isEarlier(release, than: recipe.firstRelease)
    else { return nil }
    var narrow = job
    narrow.narrowsHead = true
    narrow.narrowsAttention = recipe.narrowsAttention && pattern.zeroStage != .weights
    return (
      narrow, "the output head multiplies in mxfp8" + (narrow.narrowsAttention ? ", and attention in FP8" : "")
    )
  }
}

extension Catalog {
  /// The nodes' other side as the first shipped cluster describes it whose nodes are alike, and that cluster's name; nil where
  /// none does.
  package func host(of device: DeviceProfile, devicesPerNode: Int) -> (host: ClusterDescription.Host, cluster: String)?
  {
    for name in names(of: .cluster) {
      guard let cluster = try? cluster(name), let host = cluster.host else { continue }
      if cluster.devices.map(\.name) == [device.name], cluster.devicesPerNode == devicesPerNode { return (host, name) }
    }
    return nil
  }
}
