/// A number format of fewer than 16 bits in which blocks' linear layers multiply, with the scales that go with it.
///
/// Of all three products of a layer input, weight and output gradient are in it; in bf16 stay what attention multiplies, the
/// router, the output head, norms, the residual stream, and all that is sent (Transformer Engine's recipes, as Megatron-LM
/// trains with them unless told more).
///
/// | format | a scale for | bytes of a scale | scaled by |
/// |---|---|---|---|
/// | FP8, delayed | a tensor | 4 | the largest of earlier steps |
/// | FP8, current | a tensor | 4 | its own largest, for which it is read once more |
/// | FP8, blockwise | 128 numbers, of weights 128 × 128 | 4 | its own largest |
/// | MXFP8 | 32 numbers | 1 | its own largest |
/// | NVFP4 | 16 numbers, of weights 16 × 16, and a tensor | 1 | its own largest, for which it is read once more |
package struct ProductFormat: Sendable, Hashable {
  /// Bits of a number: 8 or 4.
  package let bitCount: Int
  /// Bytes of scales that go with a number of an activation or a gradient.
  package let scaleBytes: Double
  /// Bytes of scales that go with a weight.
  package let weightScaleBytes: Double
  /// Times that a tensor is read to be cast.
  package let readCount: Double
  /// Bits of a weight on its way to other replicas where these keep weights of products in the format alone; nil where nobody
  /// does.
  ///
  /// Megatron-LM's buffers of parameters hold a byte for each weight in FP8 and half of one in FP4
  /// (`param_and_grad_buffer.py`); weights of MXFP8, with scales along rows and along columns, are gathered in bf16 through
  /// the buffer of gradients, and then cast (`--reuse-grad-buf-for-mxfp8-param-ag`). Scales come apart and are not counted.
  package let gatheredWeightBitCount: Int?

  /// Whether all of a tensor has one scale.
  package var scalesTensors: Bool { scaleBytes == 0 }

  /// Bytes of a number of weights on their way to other replicas that keep them in the format alone.
  /// - Precondition: weights are kept so.
  package func gatheredByteCount(weightCount: Int) -> Int { (weightCount * (gatheredWeightBitCount ?? 0) + 7) / 8 }

  /// Bytes of a number of an activation that is kept for backward, with its scale.
  package var keptBytes: Double { Double(bitCount) / 8 + scaleBytes }

  /// Copies that products of both passes want of a tensor, one along its rows and one along its columns, since they multiply
  /// along either; one where the device multiplies along any and the tensor has one scale.
  package func copyCount(on datasheet: DeviceProfile.Datasheet) -> Double {
    scalesTensors && datasheet.multipliesFP8FromOneCopy ? 1 : 2
  }

  /// Bytes that the cast of a number of bf16 moves: it is read, and every copy is written.
  package func castBytes(on datasheet: DeviceProfile.Datasheet) -> Double {
    2 * readCount + copyCount(on: datasheet) * keptBytes
  }

  /// Bytes that the copies of a weight take beside it, made in the first micro-batch of an iteration and kept for the others.
  package func weightCopyBytes(on datasheet: DeviceProfile.Datasheet) -> Double {
    copyCount(on: datasheet) * (Double(bitCount) / 8 + weightScaleBytes)
  }
}

extension Precision {
  /// What blocks multiply in where that is narrower than what is stored; nil where it is not.
  package var products: ProductFormat? {
    switch self {
    case .fp32, .fp16, .bf16, .tf32: nil
    case .fp8Delayed:
      ProductFormat(bitCount: 8, scaleBytes: 0, weightScaleBytes: 0, readCount: 1, gatheredWeightBitCount: 8)
    case .fp8Current:
      ProductFormat(bitCount: 8, scaleBytes: 0, weightScaleBytes: 0, readCount: 2, gatheredWeightBitCount: 8)
    case .fp8Blockwise:
      ProductFormat(
        bitCount: 8, scaleBytes: 4.0 / 128, weightScaleBytes: 4.0 / 16_384, readCount: 1, gatheredWeightBitCount: nil)
    case .mxfp8:
      ProductFormat(
        bitCount: 8, scaleBytes: 1.0 / 32, weightScaleBytes: 1.0 / 32, readCount: 1, gatheredWeightBitCount: 16)
    case .nvfp4:
      ProductFormat(
        bitCount: 4, scaleBytes: 1.0 / 16, weightScaleBytes: 1.0 / 256, readCount: 2, gatheredWeightBitCount: 4)
    }
  }
}
