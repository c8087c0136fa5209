import Costing
import Documents

/// Exchanges of tensor groups beside products.
extension Lattice {
  /// Whether a strategy's tensor exchanges run beside the products next to them: as it is fixed; else wherever that hides anything
  /// and the framework can be told, since nothing takes longer with it. What it needs is a few buffers, which are given up where
  /// nothing fits with them.
  ///
  /// - Parameter strategy: mesh, micro-batch and sequence parallelism count.
  func overlapsTensorExchange(_ strategy: Strategy) -> Bool {
    if let fixed = pattern.overlapsTensorExchange { return fixed }
    guard hidesTensorExchanges, strategy.usesSequenceParallelism, strategy.tensorDegree > 1 else { return false }
    let overlapped = strategy.with(\.overlapsTensorExchange, true)
    guard model.tensorOverlapViolation(overlapped) == nil else { return false }
    guard let capabilities else { return true }
    return capabilities.refusal(
      ofTensorOverlap: overlapped, model: model.job.model, precision: model.job.precision,
      sequenceLength: model.job.sequenceLength) == nil
  }
}
