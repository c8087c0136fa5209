/// The number format of weights, activations and matrix products during training.
@usableFromInline package enum Precision: String, Sendable, CaseIterable {
  /// fp32 throughout; some frameworks multiply in TF32 all the same, see
  /// ``DeviceProfile/productPrecision(of:framework:)``.
  case fp32
  case fp16, bf16
  /// fp32 throughout, and matrix units that keep 10 bits of the fraction of what they multiply.
  case tf32
  /// bf16 throughout, and matrix units that multiply blocks' weights and activations in a narrower format, see ``products``.
  case fp8Delayed = "fp8-delayed"
  case fp8Current = "fp8-current-scaling"
  case fp8Blockwise = "fp8-blockwise"
  case mxfp8, nvfp4

  /// Bytes of one weight or activation.
  @usableFromInline package var byteCount: Int { is16Bit ? 2 : 4 }
  /// Whether a separate fp32 copy of the weights is kept by the optimizer.
  @usableFromInline package var hasMasterWeights: Bool { is16Bit }
  /// Whether weights and activations have 16 bits.
  @usableFromInline package var is16Bit: Bool { storage == .fp16 || storage == .bf16 }
  /// What weights, activations between kernels and whatever is not a block's product are in: itself but for the formats of
  /// products alone, which are bf16.
  @usableFromInline package var storage: Precision { products == nil ? self : .bf16 }
}
