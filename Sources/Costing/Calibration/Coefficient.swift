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
  static func ofTime(frameworkIndices: [Int], profile: DeviceProfile) -> [Coefficient] {
    var coefficients = [
      Coefficient("compute/gemm_peak_fraction", \.compute.gemmPeakFraction, 0.1...1, factor: 1.5),
      Coefficient("compute/gemm_half_size", \.compute.gemmHalfSize, 1...4_000, factor: 4),
      Coefficient("compute/attention_peak_fraction", \.compute.attentionPeakFraction, 0.02...1, factor: 2),
      Coefficient("compute/memory_fraction", \.compute.memoryFraction, 0.1...1, factor: 1.5),
      Coefficient("fabric/scale_up_efficiency", \.fabric.scaleUpEfficiency, 0.05...1, factor: 1.5),
      Coefficient("fabric/scale_up_latency_seconds", \.fabric.scaleUpLatencySeconds, 1e-7...1e-3, factor: 4),
      Coefficient("fabric/scale_out_efficiency", \.fabric.scaleOutEfficiency, 0.02...1, factor: 2),
      Coefficient("fabric/scale_out_latency_seconds", \.fabric.scaleOutLatencySeconds, 1e-6...5e-3, factor: 4),
    ]
    for index in frameworkIndices {
      let prefix = "frameworks/\(profile.frameworks[index].name)/"
      coefficients += [
        Coefficient(
          prefix + "layer_forward_floor_seconds", \.frameworks[index].layerForwardFloorSeconds, 1e-6...0.1, factor: 3),
        Coefficient(
          prefix + "layer_backward_floor_seconds", \.frameworks[index].layerBackwardFloorSeconds, 1e-6...0.1, factor: 3),
        Coefficient(
          prefix + "pipeline_floor_seconds_per_tensor_rank", \.frameworks[index].pipelineFloorSecondsPerTensorRank,
          1e-6...0.1, factor: 3),
        Coefficient(
          prefix + "tensor_floor_seconds_per_node", \.frameworks[index].tensorFloorSecondsPerNode, 1e-6...0.1, factor: 3
        ),
        Coefficient(
          prefix + "iteration_fixed_seconds", \.frameworks[index].iterationFixedSeconds, 1e-6...10, factor: 10),
        Coefficient(
          prefix + "gradient_overlap_fraction", \.frameworks[index].gradientOverlapFraction, 1e-3...1, factor: 2),
        Coefficient(
          prefix + "sharded_gradient_overlap_fraction", \.frameworks[index].shardedGradientOverlapFraction, 1e-3...1,
          factor: 2),
        Coefficient(prefix + "gather_overlap_fraction", \.frameworks[index].gatherOverlapFraction, 1e-3...1, factor: 2),
        Coefficient(prefix + "bucket_bytes", \.frameworks[index].bucketBytes, 1e5...1e10, factor: 4),
        Coefficient(
          prefix + "logits_traffic_bytes_per_entry", \.frameworks[index].logitsTrafficBytesPerEntry, 2...200, factor: 2),
        Coefficient(
          prefix + "gradient_accumulation_factor", \.frameworks[index].gradientAccumulationFactor, 0.05...10, factor: 1.5),
        Coefficient(prefix + "element_wise_factor", \.frameworks[index].elementWiseFactor, 0.3...10, factor: 1.5),
      ]
    }
    return coefficients.filter { $0.isThere(in: profile) }
  }

  /// What peaks of memory can tell.
  static func ofMemory(frameworkIndices: [Int], profile: DeviceProfile) -> [Coefficient] {
    var coefficients = [
      Coefficient(
        "memory/reserved_bytes", get: { Double($0.memory.reservedBytes) },
        set: { $0.memory.reservedBytes = Int($1.rounded()) }, 1e8...3e10, factor: 3),
      Coefficient("memory/fragmentation_fraction", \.memory.fragmentationFraction, 1e-3...0.5, factor: 3),
    ]
    for index in frameworkIndices {
      let prefix = "frameworks/\(profile.frameworks[index].name)/"
      coefficients += [
        Coefficient(
          prefix + "logits_bytes_per_entry", \.frameworks[index].logitsBytesPerEntry, 0.5...64, factor: 2),
        Coefficient(prefix + "activation_factor", \.frameworks[index].activationFactor, 0.3...4, factor: 1.5),
      ]
    }
    return coefficients.filter { $0.isThere(in: profile) }
  }

  /// Zero states that a mechanism is not there; no run makes it appear.
  private func isThere(in profile: DeviceProfile) -> Bool { get(profile) > 0 }
}
