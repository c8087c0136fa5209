/// The number format of weights, activations and matrix products during training.
@usableFromInline package enum Precision: String, Sendable, CaseIterable {
  case fp32, fp16, bf16

  /// Bytes of one weight or activation.
  @usableFromInline package var byteCount: Int { self == .fp32 ? 4 : 2 }
  /// Whether a separate fp32 copy of the weights is kept by the optimizer.
  @usableFromInline package var hasMasterWeights: Bool { self != .fp32 }
}
