import Documents
import Glibc

/// A coefficient of a device profile that measured runs can tell: where it is, its bounds, and how far from its present
/// value it may plausibly be.
struct Coefficient: Sendable {
  /// As in the document: `compute/gemm_peak_fraction`.
  let name: String
  let get: @Sendable (DeviceProfile) -> Double
  let set: @Sendable (inout DeviceProfile, Double) -> Void
  let range: ClosedRange<Double>
  /// Plausible factor between the present and the true value, above 1.
  let factor: Double

  /// Whether it is of a framework, and not of the device.
  var isOfSoftware: Bool { name.hasPrefix("frameworks/") }

  /// The unknown of the fit, in logarithms: coefficients are positive, and errors of theirs are factors.
  func unknown(in profile: DeviceProfile) -> RobustLeastSquares.Unknown {
    let present = min(max(get(profile), range.lowerBound), range.upperBound)
    return RobustLeastSquares.Unknown(
      lower: log(range.lowerBound), upper: log(range.upperBound), prior: log(present), spread: log(factor))
  }

  private init(
    _ name: String, get: @escaping @Sendable (DeviceProfile) -> Double,
    set: @escaping @Sendable (inout DeviceProfile, Double) -> Void, _ range: ClosedRange<Double>, factor: Double
  ) {
    self.name = name
    self.get = get
    self.set = set
    self.range = range
    self.factor = factor
  }

  private init(
    _ name: String, _ path: any WritableKeyPath<DeviceProfile, Double> & Sendable, _ range: ClosedRange<Double>,
    factor: Double
  ) {
    self.name = name
    get = { $0[keyPath: path] }
    set = { $0[keyPath: path] = $1 }
    self.range = range
    self.factor = factor
  }

  /// What iteration times can tell, for the frameworks that have runs.
  ///
  /// Priors are tight where coefficients trade off against each other (matrix products against
  /// element-wise traffic, both against launches): left loose they fit the runs at hand a little better
  /// and a left-out model much worse. Half size, memory bandwidth, latencies inside a node and buckets are
  /// not here: training runs do not tell them apart from these.
  static func ofTime(frameworkIndices: [Int], profile: DeviceProfile) -> [Coefficient] {
    var coefficients = [
      Coefficient("compute/gemm_peak_fraction", \.compute.gemmPeakFraction, 0.1...1, factor: 1.05),
      Coefficient("compute/attention_peak_fraction", \.compute.attentionPeakFraction, 0.02...1, factor: 1.5),
      Coefficient(
        "compute/fp8/peak_fraction", get: { $0.compute.fp8?.peakFraction ?? 0 },
        set: { $0.compute.fp8?.peakFraction = $1 }, 0.1...1, factor: 1.15),
      Coefficient(
        "compute/fp8/half_size", get: { $0.compute.fp8?.halfSize ?? 0 }, set: { $0.compute.fp8?.halfSize = $1 },
        16...4096, factor: 1.5),
      Coefficient(
        "compute/fp4/peak_fraction", get: { $0.compute.fp4?.peakFraction ?? 0 },
        set: { $0.compute.fp4?.peakFraction = $1 }, 0.1...1, factor: 1.3),
      Coefficient("compute/unaligned_peak_fraction", \.compute.unalignedPeakFraction, 0.02...1, factor: 1.5),
      Coefficient("fabric/scale_up_efficiency", \.fabric.scaleUpEfficiency, 0.05...1, factor: 1.3),
      Coefficient("fabric/scale_out_efficiency", \.fabric.scaleOutEfficiency, 0.02...1, factor: 1.5),
      Coefficient("fabric/scale_out_latency_seconds", \.fabric.scaleOutLatencySeconds, 1e-6...5e-3, factor: 2),
    ]
    for index in frameworkIndices {
      func framework(
        _ key: String, _ path: any WritableKeyPath<DeviceProfile.Framework, Double> & Sendable,
        _ range: ClosedRange<Double>, factor: Double, isThere: Bool = true
      ) -> Coefficient {
        Coefficient(
          "frameworks/\(profile.frameworks[index].name)/\(key)",
          get: { isThere ? $0.frameworks[index][keyPath: path] : 0 }, set: { $0.frameworks[index][keyPath: path] = $1 },
          range,
          factor: factor)
      }
      coefficients += [
        framework("layer_floor_seconds", \.layerFloorSeconds, 1e-6...0.1, factor: 1.5),
        framework(
          "expert_layer_floor_seconds", \.expertLayerFloorSeconds, 1e-6...0.1, factor: 1.5,
          isThere: profile.frameworks[index].ownExpertLayerFloorSeconds != nil),
        framework("floor_sharpness", \.floorSharpness, 1...64, factor: 1.5),
        framework(
          "pipeline_floor_seconds_per_tensor_rank", \.pipelineFloorSecondsPerTensorRank, 1e-6...0.1, factor: 1.5),
        framework("tensor_floor_seconds_per_rank", \.tensorFloorSecondsPerRank, 1e-7...0.01, factor: 2),
        framework("tensor_floor_seconds_per_node", \.tensorFloorSecondsPerNode, 1e-6...0.1, factor: 1.5),
        framework("tensor_collective_seconds", \.tensorCollectiveSeconds, 1e-7...1e-2, factor: 2),
        framework("tensor_rate_fraction", \.tensorRateFraction, 0.05...1, factor: 1.3),
        framework("tensor_overlap_fraction", \.tensorOverlapFraction, 1e-3...1, factor: 1.3),
        framework("iteration_fixed_seconds", \.iterationFixedSeconds, 1e-6...10, factor: 1.7),
        framework("gradient_overlap_fraction", \.gradientOverlapFraction, 1e-3...1, factor: 1.3),
        framework("sharded_gradient_overlap_fraction", \.shardedGradientOverlapFraction, 1e-3...1, factor: 1.3),
        framework("gather_overlap_fraction", \.gatherOverlapFraction, 1e-3...1, factor: 1.5),
        framework("reduction_rate_fraction", \.reductionRateFraction, 0.02...1, factor: 1.35),
        framework("gemm_factor", \.gemmFactor, 0.5...3, factor: 1.2),
        framework("attention_factor", \.attentionFactor, 0.3...5, factor: 1.3),
        framework("element_wise_factor", \.elementWiseFactor, 0.2...10, factor: 1.35),
        framework(
          "expert_element_wise_factor", \.expertElementWiseFactor, 0.2...20, factor: 2,
          isThere: profile.frameworks[index].ownExpertElementWiseFactor != nil),
        framework("expert_product_seconds", \.expertProductSeconds, 1e-7...1e-3, factor: 2),
        framework("logits_traffic_bytes_per_entry", \.logitsTrafficBytesPerEntry, 2...200, factor: 1.35),
      ]
    }
    return coefficients.filter { $0.isThere(in: profile) }
  }

  /// What timed collectives can tell. Spreads are wide: nothing else is fitted at the same time.
  ///
  /// A profile with shares by group size, of devices that are linked directly, has those fitted one by one, and the
  /// share inside a node is that of the largest; one without has a single share.
  static func ofFabric(profile: DeviceProfile) -> [Coefficient] {
    var coefficients = [
      Coefficient("fabric/collective_seconds", \.fabric.collectiveSeconds, 1e-7...1e-2, factor: 10),
      Coefficient("fabric/scale_up_latency_seconds", \.fabric.scaleUpLatencySeconds, 1e-8...1e-3, factor: 10),
      Coefficient("fabric/scale_out_efficiency", \.fabric.scaleOutEfficiency, 0.02...1, factor: 3),
      Coefficient("fabric/scale_out_latency_seconds", \.fabric.scaleOutLatencySeconds, 1e-7...5e-3, factor: 10),
    ]
    if profile.fabric.scaleUpGroups.isEmpty {
      coefficients.append(
        Coefficient("fabric/scale_up_efficiency", \.fabric.scaleUpEfficiency, 0.05...1, factor: 3))
    }
    for (index, group) in profile.fabric.scaleUpGroups.enumerated() {
      let isLargest = index == profile.fabric.scaleUpGroups.count - 1
      coefficients.append(
        Coefficient(
          "fabric/scale_up_groups/\(group.rankCount)", get: { $0.fabric.scaleUpGroups[index].efficiency },
          set: {
            $0.fabric.scaleUpGroups[index].efficiency = $1
            if isLargest { $0.fabric.scaleUpEfficiency = $1 }
          }, 0.02...1, factor: 3))
    }
    return coefficients.filter { $0.isThere(in: profile) }
  }

  /// What peaks of memory can tell.
  static func ofMemory(frameworkIndices: [Int], profile: DeviceProfile) -> [Coefficient] {
    var coefficients = [
      Coefficient(
        "memory/reserved_bytes", get: { Double($0.memory.reservedBytes) },
        set: { $0.memory.reservedBytes = Int($1.rounded()) }, 1e8...3e10, factor: 3),
      Coefficient("memory/fragmentation_fraction", \.memory.fragmentationFraction, 1e-3...0.5, factor: 2),
      Coefficient("memory/unreused_fraction", \.memory.unreusedFraction, 1e-3...1, factor: 2),
    ]
    for index in frameworkIndices {
      func framework(
        _ key: String, _ path: any WritableKeyPath<DeviceProfile.Framework.Memory, Double> & Sendable,
        _ range: ClosedRange<Double>, factor: Double
      ) -> Coefficient {
        Coefficient(
          "frameworks/\(profile.frameworks[index].name)/memory/\(key)",
          get: { $0.frameworks[index].memory[keyPath: path] },
          set: { $0.frameworks[index].memory[keyPath: path] = $1 }, range, factor: factor)
      }
      coefficients.append(
        Coefficient(
          "frameworks/\(profile.frameworks[index].name)/memory/reserved_bytes",
          get: { Double($0.frameworks[index].memory.reservedBytes) },
          set: { $0.frameworks[index].memory.reservedBytes = Int($1.rounded()) }, 1e8...3e10, factor: 3))
      // Counted from a framework's source where that is known, so that little is left to fit: tight priors.
      coefficients += [
        framework("activation_factor", \.activationFactor, 0.3...4, factor: 1.1),
        framework("logits_bytes_per_entry", \.logitsBytesPerEntry, 0.5...64, factor: 1.15),
        framework("backward_workspace_factor", \.backwardWorkspaceFactor, 0.05...20, factor: 1.5),
        framework("step_gradient_copies", \.stepGradientCopies, 0.1...4, factor: 1.3),
        framework("pending_activation_factor", \.pendingActivationFactor, 0.1...8, factor: 1.3),
      ]
    }
    return coefficients.filter { $0.isThere(in: profile) }
  }

  /// Zero states that a mechanism is not there; no run makes it appear.
  private func isThere(in profile: DeviceProfile) -> Bool { get(profile) > 0 }
}
