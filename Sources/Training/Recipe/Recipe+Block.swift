import Documents

/// A transformer block: two halves, attention and feed-forward, each a norm, a column-parallel and a row-parallel product
/// with what lies between them, and an addition to the residual stream.
///
/// Each half sums once forward and once backward (Shoeybi et al. 2019, figure 4). Under sequence parallelism each sum is a
/// scatter, its other end a gather, and backward gathers the input of the column-parallel product once more (Korthikanti et
/// al. 2022, section 4.2.2).
extension Recipe {
  /// - Parameter experts: those of its feed-forward half; nil where that is one for all tokens.
  func blockSteps(_ pass: Pass, _ experts: RoutedExperts? = nil) -> [Step] {
    switch (pass, recompute) {
    case (.forward, _): blockForward(isAgain: false, experts)
    case (.recompute, .none): []
    case (.recompute, .selective) where keepsEverySecondProduct: everySecondProductAgain()
    case (.recompute, .selective): modulesAgain(experts)
    case (.recompute, .full): blockForward(isAgain: true, experts)
    case (.backward, _): blockBackward(experts)
    // Blocks with experts have whole backward passes.
    case (.inputGradient, _): experts == nil ? blockBackward(nil, .inputGradient) : []
    case (.weightGradient, _): experts == nil ? blockWeightGradients() : []
    }
  }

  /// Whether forward keeps the attention core and every other product of a block, and nothing else but the input.
  var keepsEverySecondProduct: Bool { recompute == .selective && selective == .everySecondProduct }

  enum Half: CaseIterable {
    case attention, feedForward

    var norm: ModelPiece { self == .attention ? .attentionNorm : .feedForwardNorm }
    var core: ModelPiece { self == .attention ? .attentionCore : .feedForwardCore }
    var output: ModelPiece { self == .attention ? .attentionOutput : .feedForwardOutput }
  }

  private func blockForward(isAgain: Bool, _ experts: RoutedExperts?) -> [Step] {
    var steps: [Step] = []
    steps.reserveCapacity(10)
    for half in Half.allCases {
      let input = half == .attention ? [Operation.keep(normInput)] : keep([normInput], isAgain: isAgain)
      let narrow = half == .attention ? narrowing(.forward) : []
      steps.append(.piece(half.norm, hasNorm(half) ? [norm(.forward)] + input + narrow : []))
      if half == .feedForward, let experts {
        expertsForward(experts, isAgain: isAgain, &steps)
      } else {
        if half == .attention { gatherAttentionInput(&steps) } else { gatherOperandRows(of: .branch, &steps) }
        if half == .attention, context.degree > 1 {
          dividedAttentionForward(isAgain: isAgain, &steps)
        } else {
          steps.append(.piece(half.core, core(half, .forward) + keep(keptByCore(half), isAgain: isAgain)))
        }
        completeSum(of: .branch, &steps)
      }
      steps.append(.piece(half.output, output(.forward) + keep(keptByOutput, isAgain: isAgain)))
    }
    return steps
  }

  /// - Parameter products: the direction of linear layers: `backward` for a whole pass, `inputGradient` for one that gives
  ///   nothing up and adds nothing to the parameters' gradients.
  private func blockBackward(
    _ experts: RoutedExperts?, _ products: Operation.Direction = .backward
  ) -> [Step] {
    var steps: [Step] = []
    steps.reserveCapacity(12)
    let isWhole = products == .backward
    func ending(_ operations: [Operation]) -> [Operation] { isWhole ? operations : [] }
    var parameterCount = experts == nil ? blockParameterCount : expertBlockParameterCount
    for half in Half.allCases.reversed() {
      if half == .feedForward, let experts {
        // The router's gradient is added up with those of norms.
        parameterCount -= sharedWeightCount(experts)
        steps.append(.piece(half.output, output(.backward) + keptByOutput.map(Operation.free)))
        expertsBackward(experts, &steps)
        steps.append(.piece(half.norm, hasNorm(half) ? [norm(.backward), .free(normInput)] : []))
        continue
      }
      let layers = linearLayers(half)
      let weightCount = layers.columns.reduce(layers.row.weightCount) { $0 + $1.weightCount }
      parameterCount -= weightCount
      steps.append(.piece(half.output, output(.backward) + ending(keptByOutput.map(Operation.free))))
      gatherOperandRows(of: .branch, &steps)
      // Narrow vectors are kept as they were gathered; the layer's input is not, which queries may be made of.
      if half == .feedForward || latent?.queryRank == nil { gatherOperandRows(of: .columnInput, &steps) }
      if half == .attention, context.degree > 1 {
        dividedAttentionBackward(products, &steps)
      } else {
        steps.append(
          .piece(
            half.core,
            core(half, .backward, products: products).reversed()
              + ending(givenUpByCore(half) + [.accumulate(parameterCount: weightCount)])))
      }
      if half == .attention { completeAttentionInputSum(&steps) } else { completeSum(of: .branch, &steps) }
      let narrow = half == .attention ? Array(narrowing(.backward, products: products).reversed()) : []
      steps.append(
        .piece(half.norm, hasNorm(half) ? narrow + [norm(.backward)] + ending([.free(normInput)]) : []))
    }
    guard isWhole else { return steps }
    // Norms and biases are few: they are added up where the last of them is done. There the input goes too, that forward
    // kept and the pass that came after it kept once more.
    if case .piece(let last, let operations)? = steps.popLast() {
      steps.append(.piece(last, operations + inputKeptAgain + [.accumulate(parameterCount: parameterCount)]))
    }
    return steps
  }

  /// What an input gradient has left: the weights' gradients of linear layers from what was kept.
  private func blockWeightGradients() -> [Step] {
    var parameterCount = blockParameterCount
    return Half.allCases.reversed().map { half in
      let layers = linearLayers(half)
      let narrow = half == .attention ? narrowLayers : []
      var operations = ([layers.row] + (narrow + layers.columns).reversed()).map {
        Operation.product($0, .weightGradient)
      }
      operations += keptByOutput.map(Operation.free) + givenUpByCore(half)
      if hasNorm(half) { operations.append(.free(normInput)) }
      let weightCount = layers.columns.reduce(layers.row.weightCount) { $0 + $1.weightCount }
      parameterCount -= weightCount
      operations.append(.accumulate(parameterCount: weightCount))
      if half == .attention { operations += inputKeptAgain + [.accumulate(parameterCount: parameterCount)] }
      return .piece(half.core, operations)
    }
  }

  private func givenUpByCore(_ half: Half) -> [Operation] {
    keptByCore(half).map(Operation.free) + (half == .feedForward ? keptOutput.map(Operation.free) : [])
  }

  private var inputKeptAgain: [Operation] { recompute == .full ? [.free(normInput)] : [] }

  // MARK: Operations

  /// Whether a half has a norm of its own, before it or after.
  func hasNorm(_ half: Half) -> Bool { half == .attention || block != .parallelOneNorm }

  /// Whether each half's output is normalised beside its input.
  var normalisesOutputs: Bool { block == .normsAround }

  /// What is done with a half's output.
  func output(_ direction: Operation.Direction) -> [Operation] {
    normalisesOutputs ? [norm(direction), addition(direction)] : [addition(direction)]
  }

  /// In and out.
  func norm(_ direction: Operation.Direction) -> Operation {
    .elementWise(byteCount: rowCount * hidden * 2 * elementByteCount, direction)
  }

  /// Dropout with its mask and addition to the residual stream: two in, one out.
  private func addition(_ direction: Operation.Direction) -> Operation {
    .elementWise(byteCount: rowCount * hidden * (3 * elementByteCount + (hasDropout ? 1 : 0)), direction)
  }

  /// In the order of a forward pass.
  ///
  /// - Parameter products: the direction of linear layers, where it is another one.
  func core(
    _ half: Half, _ direction: Operation.Direction, products: Operation.Direction? = nil
  ) -> [Operation] {
    let layers = linearLayers(half)
    var operations = layers.columns.map { Operation.product($0, products ?? direction) }
    switch half {
    case .attention:
      operations += rotation(direction) + attentionCore(direction) + gating(direction)
    case .feedForward:
      let width = layers.columns[0].outputCount + feedForwardSize
      operations.append(.elementWise(byteCount: tokenCount * width * elementByteCount, direction))
    }
    operations.append(.product(layers.row, products ?? direction))
    return operations
  }

  /// What attention gives and what gates it in, their product out.
  func gating(_ direction: Operation.Direction) -> [Operation] {
    gateSize == 0 ? [] : [.elementWise(byteCount: tokenCount * 3 * gateSize * elementByteCount, direction)]
  }

  /// Queries and keys, in and out.
  func rotation(_ direction: Operation.Direction) -> [Operation] {
    guard isRotary else { return [] }
    return [.elementWise(byteCount: tokenCount * (querySize + keyValueSize) * 2 * elementByteCount, direction)]
  }

  func linearLayers(_ half: Half) -> (columns: [LinearLayer], row: LinearLayer) {
    let columns: [LinearLayer], width: Int
    switch half {
    case .attention: (columns, width) = (attentionColumns, contextSize)
    case .feedForward:
      columns = [
        blockLayer(
          tokenCount, inputCount: hidden, outputCount: (hasGatedFeedForward ? 2 : 1) * feedForwardSize,
          dividesOutputs: true)
      ]
      width = feedForwardSize
    }
    return (columns, blockLayer(tokenCount, inputCount: width, outputCount: hidden, dividesOutputs: false))
  }

  /// Scores, softmax, dropout, and the product with the values.
  func attentionCore(_ direction: Operation.Direction) -> [Operation] {
    if usesFlashAttention {
      return [
        .fusedAttention(
          FusedAttention(
            tokenCount: tokenCount, sequenceLength: sequenceLength, headCount: headCount, width: querySize,
            valueWidth: contextSize, isCausal: isCausal, visibleFraction: visibleFraction,
            windowedShare: windowedShare,
            isNarrow: narrowsAttention && narrow != nil), direction)
      ]
    }
    // Kernels over the score matrix. Forward: product out, softmax in and out, product in; with dropout in and out once
    // more, and the mask's byte. Backward: product in and out, softmax two in and one out, two products in; with dropout as
    // forward.
    let e = elementByteCount
    let (products, passes) = direction == .forward ? (2, 4 * e) : (4, 7 * e)
    let byteCount = passes + (hasDropout ? 2 * e + 1 : 0)
    return [
      .headProducts(
        HeadProducts(
          count: products * tokenCount / sequenceLength * headCount, sequenceLength: sequenceLength, headSize: headSize)
      ),
      .scores(byteCount: tokenCount * sequenceLength * headCount * byteCount),
    ]
  }

  // MARK: Tensors kept

  /// Keeps what recomputation does not bring back, or what it does.
  ///
  /// - Parameter roles: those of the tensors that count; nil for all.
  func keep(_ tensors: [KeptTensor], isAgain: Bool, only roles: [KeptTensor.Role]? = nil) -> [Operation] {
    if recompute == .full, !isAgain { return [] }
    let tensors = roles.map { roles in tensors.filter { roles.contains($0.role) } } ?? tensors
    if keepsEverySecondProduct { return tensors.flatMap(keptOfEverySecondProduct) }
    if recompute == .full { return tensors.map(Operation.keep) }
    return tensors.filter { droppedRoles.contains($0.role) == isAgain }.map(Operation.keep)
  }

  /// Of the rows that the rank works on between the parts that the tensor group divides.
  private var rowBytes: Int { rowCount * hidden * elementByteCount }

  var normInput: KeptTensor { KeptTensor(role: .normInput, byteCount: rowBytes) }

  /// What attention's norm gives; where narrow formats are cast to, once for each product of latent attention that reads it.
  var attentionInput: KeptTensor {
    let operand = operandBytes(rowCount * hidden)
    return KeptTensor(
      role: latent == nil ? .columnInput : .latentInput,
      byteCount: latent == nil || narrow == nil ? operand : 2 * operand)
  }

  func keptByCore(_ half: Half) -> [KeptTensor] {
    func kept(_ role: KeptTensor.Role, _ width: Int) -> KeptTensor {
      KeptTensor(role: role, byteCount: tokenCount * width * elementByteCount)
    }
    // Without a norm of its own the feed-forward part has attention's input.
    let input =
      hasNorm(half)
      ? [
        half == .attention
          ? attentionInput : KeptTensor(role: .columnInput, byteCount: operandBytes(rowCount * hidden))
      ] : []
    switch half {
    case .attention:
      let byHeads = context.headDegree > 1 ? [kept(.attentionOutput, contextSize)] : []
      // Of a gated output also what gates it, and what it was before.
      let gated = gateSize > 0 ? [kept(.gatedOutput, 2 * gateSize)] : []
      return input + keptNarrow
        + [kept(.queries, querySize), kept(.keysValues, keyValueSize + valueSize), attentionScores] + byHeads + gated
        // A fused core reads its output again as well.
        + [
          KeptTensor(
            role: .projectionInput,
            byteCount: tokenCount * contextSize * elementByteCount + operandCopyBytes(tokenCount * contextSize))
        ]
    case .feedForward:
      let read = hasGatedFeedForward ? (keepsActivatedGate ? 3 : 2) : 1
      return input + [activated(.activation, rows: tokenCount, read: read, width: feedForwardSize)]
    }
  }

  /// What an activation reads, so many times its width, and what it gives to the product after it.
  func activated(_ role: KeptTensor.Role, rows: Int, read: Int, width: Int) -> KeptTensor {
    KeptTensor(role: role, byteCount: rows * read * width * elementByteCount + operandBytes(rows * width))
  }

  var attentionScores: KeptTensor {
    let e = elementByteCount
    let ofHead = usesFlashAttention ? 4 : (hasDropout ? 2 * e + 1 : e) * sequenceLength
    return KeptTensor(role: .attentionScores, byteCount: tokenCount * headCount * ofHead)
  }

  private var keptByOutput: [KeptTensor] {
    (normalisesOutputs ? [normInput] : [])
      + (hasDropout ? [KeptTensor(role: .dropoutMask, byteCount: rowCount * hidden)] : [])
  }
}
