import Documents

/// What Muon computes beside reading and writing: five Newton–Schulz iterations make each matrix's step orthogonal (Jordan
/// et al. 2024, "Muon: an optimizer for hidden layers").
///
/// Of an m × n matrix, m ≤ n, an iteration takes X·Xᵀ, the square of that, and its product with X: 4m²n + 2m³ FLOP. Ranks
/// that divide optimizer states take whole matrices each, blocks of a tensor group's (Megatron-LM's
/// `layer_wise_optimizer.py`).
struct Orthogonalisation: Sendable {
  /// Of all matrices of a layer, one after the other.
  private let layerSeconds: Double
  /// Of the largest matrix, which one rank has.
  private let largestSeconds: Double
  private let optimizerDegree: Int

  private static let iterationCount = 5.0

  /// Nil for optimizers that do not.
  init?(job: TrainingJob, strategy: Strategy, speed: DeviceSpeed) {
    guard job.optimizer.rule == .muon else { return nil }
    let seconds = job.model.layerMatrices(.dense, tensorDegree: strategy.tensorDegree).map { shape -> Double in
      let m = Double(min(shape.rows, shape.columns)), n = Double(max(shape.rows, shape.columns))
      return Self.iterationCount
        * (speed.stored.seconds(m, m, n) + speed.stored.seconds(m, m, m) + speed.stored.seconds(m, n, m))
    }
    layerSeconds = seconds.reduce(0, +)
    largestSeconds = seconds.max() ?? 0
    optimizerDegree = strategy.sharding.optimizerDegree
  }

  /// Of a stage.
  func seconds(layerCount: Int) -> Double {
    layerCount == 0 ? 0 : max(largestSeconds, Double(layerCount) * layerSeconds / Double(optimizerDegree))
  }
}
