import Documents
import Training

/// What zeroth-order training does to one part of the model on one rank, seconds of each kind.
///
/// A rank visits a part with all losses that it evaluates: the part's weights come, are brought up to date, and are
/// perturbed once for each loss, out of place, into a copy that passes forward are run on; then they leave
/// (ZO2, Wang et al. 2025, section 4; DistZO2, Wang and Jin 2025, section 5).
package struct PartVisit: Sendable {
  /// Of the weights: directions made again, weights read and written.
  package let updateSeconds: Double
  /// Of a perturbed copy: a direction made, weights read, the copy written.
  package let perturbSeconds: Double
  /// One micro-batch forward, waits for launches included.
  package let forwardSeconds: Double
  /// The slices of all replicas brought together; 0 where weights are not sliced.
  package let gatherSeconds: Double
  /// The rank's slice from the host, or back to it.
  package let transferSeconds: Double

  /// What the device computes in a visit.
  ///
  /// - Parameter updates: whether weights are brought up to date.
  func computeSeconds(evaluationCount: Int, microBatchCount: Int, updates: Bool) -> Double {
    (updates ? updateSeconds : 0)
      + Double(evaluationCount) * (perturbSeconds + Double(microBatchCount) * forwardSeconds)
  }
}

/// How fast a device makes perturbed copies.
struct PerturbationSpeed: Sendable {
  /// Seconds of one normally distributed number.
  let secondsPerNumber: Double
  /// Seconds of reading or writing one parameter.
  let secondsPerAccess: Double

  /// Operations of a device's ordinary cores for one number: of Philox-4x32-10 (Salmon et al. 2011) ten rounds of two wide
  /// products and four sums make four numbers, some 25 operations each; Box and Muller's logarithm, root and sine run on
  /// units a quarter as many, some 125 more. A count from the algorithms, not a fit.
  static let operationsPerNumber = 150.0

  init(_ device: DeviceProfile, _ speed: DeviceSpeed, weightByteCount: Int) {
    // The datasheet counts a fused multiplication and addition as two.
    secondsPerNumber = Self.operationsPerNumber / (device.datasheet.fp32FLOPPerSecond / 2)
    secondsPerAccess = Double(weightByteCount) * speed.secondsPerMemoryByte
  }

  /// Of weights brought up to date: a number for each direction, weights read and written once.
  func updateSeconds(parameterCount: Int, directionCount: Int) -> Double {
    Double(parameterCount) * max(Double(directionCount) * secondsPerNumber, 2 * secondsPerAccess)
  }

  /// Of a perturbed copy, which is written beside the weights that are read.
  func perturbSeconds(parameterCount: Int) -> Double {
    updateSeconds(parameterCount: parameterCount, directionCount: 1)
  }
}
