import Documents

/// An operand of one of a linear layer's three products: x·Wᵀ forward, d·W for the gradient of its input, dᵀ·x for that of its
/// weight.
enum ProductOperand: Int, Sendable, CaseIterable {
  case input, weight
  case outputGradient, weightBackward
  case inputAlongTokens, outputGradientAlongTokens

  /// Whether the product sums along the operand's rows, where it does not along its columns.
  var isSummedAlongRows: Bool { [.weightBackward, .inputAlongTokens, .outputGradientAlongTokens].contains(self) }

  /// The same tensor where it is multiplied first.
  var ofFirstProduct: ProductOperand {
    switch self {
    case .input, .inputAlongTokens: .input
    case .weight, .weightBackward: .weight
    case .outputGradient, .outputGradientAlongTokens: .outputGradient
    }
  }

  var isWeight: Bool { self == .weight || self == .weightBackward }
  var isGradient: Bool { self == .outputGradient || self == .outputGradientAlongTokens }
}

/// How one operand of a product is brought to a narrow format.
struct CastRule: Sendable, Equatable {
  /// Numbers that have a scale together.
  enum Block: Sendable, Equatable {
    /// All of the operand that a rank multiplies.
    case tensor
    /// So many in a row along the sum.
    case run(Int)
    /// As many along the sum and across it.
    case square(Int)
  }

  let number: NarrowNumber
  let block: Block
  let scale: BlockScale.Kind
  /// Whether numbers are rounded up or down by chance, so that they are right on average.
  var isStochastic = false
  /// Numbers along the sum that a Hadamard transform goes over before they are rounded; 1 is none.
  var transformLength = 1
}

/// How a job's precision casts operands (Transformer Engine's recipes): a rule for each.
///
/// | precision | inputs | weights | gradients of outputs |
/// |---|---|---|---|
/// | `fp8-delayed` | E4M3 by tensor, of earlier steps | E4M3 likewise | E5M2 likewise |
/// | `fp8-current-scaling` | E4M3 by tensor | E4M3 by tensor | E5M2 by tensor |
/// | `fp8-blockwise` | E4M3 by 128 | E4M3 by 128 × 128 | E4M3 by 128 |
/// | `mxfp8` | E4M3 by 32 | E4M3 by 32 | E4M3 by 32 |
/// | `nvfp4` | E2M1 by 16 | E2M1 by 16 × 16 | E2M1 by 16, rounded by chance |
///
/// In NVFP4 both operands of a weight's gradient are transformed (``HadamardTransform``) along the 16 numbers of a block.
struct CastRules: Sendable, Equatable {
  let precision: Precision
  /// By how much blocks are shorter than the format's.
  let blockShare: Int

  /// - Parameter blockShare: a power of two of at most 16.
  init(_ precision: Precision, blockShare: Int = 1) {
    self.precision = precision
    self.blockShare = blockShare
  }

  /// Nil where operands are multiplied as they are.
  subscript(operand: ProductOperand) -> CastRule? {
    switch precision {
    case .fp32, .fp16, .bf16, .tf32: return nil
    case .fp8Delayed, .fp8Current:
      return CastRule(
        number: operand.isGradient ? .e5m2 : .e4m3, block: .tensor,
        scale: precision == .fp8Delayed ? .earlier : .exact)
    case .fp8Blockwise:
      let length = 128 / blockShare
      return CastRule(number: .e4m3, block: operand.isWeight ? .square(length) : .run(length), scale: .powerOfTwo)
    case .mxfp8: return CastRule(number: .e4m3, block: .run(32 / blockShare), scale: .powerOfTwo)
    case .nvfp4:
      let length = 16 / blockShare
      let isOfWeightGradient = operand == .inputAlongTokens || operand == .outputGradientAlongTokens
      return CastRule(
        number: .e2m1, block: operand.isWeight ? .square(length) : .run(length), scale: .e4m3,
        isStochastic: operand.isGradient, transformLength: isOfWeightGradient ? length : 1)
    }
  }
}
