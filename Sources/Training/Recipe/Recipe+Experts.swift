import Documents

/// The feed-forward half of a block with experts: router, the way to the experts, their products, the way back; and shared
/// experts before all that, for all tokens.
///
/// With T tokens on the rank, k experts of each, hidden size h, numbers of e bytes and E experts on EP ranks, each rank sends
/// forward:
///
/// | way | to the experts | and back |
/// |---|---|---|
/// | all-gather among n = EP·ETP | (n − 1)·T·(h·e + 5·E) | (n − 1)·T·h·e, summed |
/// | all-to-all | (EP − 1)/EP·T·k·(h·e + 4) | (EP − 1)/EP·T·k·h·e |
/// | with ETP > 1, besides | (ETP − 1)·T·k·(h·e + 4) | (ETP − 1)·T·k·h·e, summed |
/// | dropped to C rows of an expert and padded | E·C in place of T·k; dropped alone the lesser of both | the same |
/// | once a rank, of D ranks of a token | (EP − 1)/EP·D·T·(h·e + 8·k) | (EP − 1)/EP·D·T·h·e |
/// | once a node, of N nodes and Y ranks of each | (N − 1)/N·D_N·T·h·e between nodes, (Y − 1)/Y·D·T·h·e inside | the same |
///
/// and backward as much, with the weights' gradients on the way back (Megatron Core's `token_dispatcher.py`; DeepEP, DeepSeek-AI 2025).
extension Recipe {
  func expertsForward(_ experts: RoutedExperts, isAgain: Bool, _ steps: inout [Step]) {
    sharedForward(experts, isAgain: isAgain, &steps)
    steps.append(
      .piece(
        .router,
        router(experts, .forward) + narrowing(experts, .forward) + moved(permutedBytes(experts), .forward)
          + keep([expertsInput, routing(experts)], isAgain: isAgain)))
    dispatch(experts, .tokens, &steps)
    steps.append(
      .piece(.experts, expertProducts(experts, .forward) + keep(keptByExperts(experts), isAgain: isAgain)))
    combine(experts, .outputs, &steps)
    steps.append(
      .piece(
        .expertsOutput,
        moved(permutedBytes(experts), .forward) + widening(experts, .forward)
          + keep(keptNarrow(experts), isAgain: isAgain)))
  }

  func expertsBackward(_ experts: RoutedExperts, _ steps: inout [Step]) {
    let fc = groupedLayers(experts)
    steps.append(
      .piece(
        .expertsOutput,
        widening(experts, .backward) + moved(permutedBytes(experts), .backward)
          + keptNarrow(experts).map(Operation.free)))
    dispatch(experts, .outputsGradient, &steps)
    steps.append(
      .piece(
        .experts,
        expertProducts(experts, .backward).reversed() + keptByExperts(experts).map(Operation.free)
          + [.accumulate(parameterCount: fc.column.weightCount + fc.row.weightCount)]))
    combine(experts, .tokensGradient, &steps)
    steps.append(
      .piece(
        .router,
        moved(permutedBytes(experts), .backward) + narrowing(experts, .backward) + router(experts, .backward).reversed()
          + [.free(expertsInput), .free(routing(experts))]))
    sharedBackward(experts, &steps)
  }

  /// Entries of the router's matrix, which each rank has whole.
  func routerWeightCount(_ experts: RoutedExperts) -> Int { experts.count * hidden }

  // MARK: Operations

  /// Scores of a token for all experts, in fp32, and the choice among them.
  private func router(_ experts: RoutedExperts, _ direction: Operation.Direction) -> [Operation] {
    let matrix = LinearLayer(
      tokenCount: rowCount, inputCount: hidden, outputCount: experts.count, dividesOutputs: false)
    return [.product(matrix, direction), .elementWise(byteCount: rowCount * experts.count * 4 * 2, direction)]
  }

  /// Width of the rows that go to experts and come back.
  private func routedWidth(_ experts: RoutedExperts) -> Int { experts.latentSize ?? hidden }

  /// The product that makes what experts read of tokens, where they do not read these as they are; every rank has it whole.
  private func narrowing(_ experts: RoutedExperts, _ direction: Operation.Direction) -> [Operation] {
    experts.latentSize.map {
      [
        .product(
          blockLayer(rowCount, inputCount: hidden, outputCount: $0, dividesOutputs: false), direction)
      ]
    } ?? []
  }

  /// The product that makes tokens of what experts give.
  private func widening(_ experts: RoutedExperts, _ direction: Operation.Direction) -> [Operation] {
    experts.latentSize.map {
      [
        .product(
          blockLayer(rowCount, inputCount: $0, outputCount: hidden, dividesOutputs: false), direction)
      ]
    } ?? []
  }

  /// What the second of these products reads.
  private func keptNarrow(_ experts: RoutedExperts) -> [KeptTensor] {
    experts.latentSize.map {
      [KeptTensor(role: .expertsLatent, byteCount: operandBytes(rowCount * $0))]
    } ?? []
  }

  /// Bytes of putting tokens in the order of their experts, or back: each is read once and written for each of its experts.
  /// Where a token is sent once, the exchange does it.
  private func permutedBytes(_ experts: RoutedExperts) -> Int {
    experts.dispatcher.sendsOnce
      ? 0 : (rowCount + experts.sentRowCount(tokenCount: rowCount)) * routedWidth(experts) * elementByteCount
  }

  /// Bytes of putting rows that have come from other ranks in the order of the rank's experts.
  private func sortedBytes(_ experts: RoutedExperts) -> Int {
    experts.localCount > 1 && experts.expertDegree > 1
      ? Int(2 * rows(experts)) * routedWidth(experts) * elementByteCount : 0
  }

  private func moved(_ byteCount: Int, _ direction: Operation.Direction) -> [Operation] {
    byteCount == 0 ? [] : [.elementWise(byteCount: byteCount, direction)]
  }

  /// Rows that the fullest rank computes.
  private func rows(_ experts: RoutedExperts) -> Double { experts.fullestRowCount(tokenCount: rowCount) }

  private func groupedLayers(_ experts: RoutedExperts) -> (column: GroupedLayer, row: GroupedLayer) {
    // Kernels may want a multiple of rows from each expert.
    let f = experts.feedForwardSize, multiple = Double(experts.capacity.rowMultiple)
    let ofEach = rows(experts) / Double(experts.localCount)
    let rows =
      multiple == 1 ? rows(experts) : (ofEach / multiple).rounded(.up) * multiple * Double(experts.localCount)
    func layer(_ inputs: Int, _ outputs: Int) -> GroupedLayer {
      GroupedLayer(
        rowCount: rows, expertCount: experts.localCount, inputCount: inputs, outputCount: outputs,
        isNarrow: narrow != nil)
    }
    let width = routedWidth(experts)
    return (layer(width, (hasGatedFeedForward ? 2 : 1) * f), layer(f, width))
  }

  private func expertProducts(_ experts: RoutedExperts, _ direction: Operation.Direction) -> [Operation] {
    let layers = groupedLayers(experts)
    let sorted = moved(sortedBytes(experts), direction)
    return sorted + [
      .groupedProduct(layers.column, direction), activation(experts, direction), .groupedProduct(layers.row, direction),
    ] + sorted
  }

  /// Gate and value in, product out.
  private func activation(_ experts: RoutedExperts, _ direction: Operation.Direction) -> Operation {
    let width = groupedLayers(experts).column.outputCount + experts.feedForwardSize
    return .elementWise(byteCount: Int(rows(experts)) * width * elementByteCount, direction)
  }

  /// The activation computed again from what it has read.
  func activationAgain(_ experts: RoutedExperts) -> [Operation] {
    [activation(experts, .forward)] + keep(keptByExperts(experts), isAgain: true, only: [.activatedRows])
  }

  // MARK: Ways of tokens

  /// From the ranks that have tokens to those that have their experts.
  private func dispatch(_ experts: RoutedExperts, _ tensor: RoutedTensor, _ steps: inout [Step]) {
    let isForward = tensor == .tokens
    switch experts.dispatcher {
    case .allGather:
      let n = experts.expertDegree * experts.expertTensorDegree
      exchange(.allGather, tensor, n * rowCount * routedWidth(experts), elementByteCount, .expertTokens, n, &steps)
      if isForward { exchange(.allGather, .weights, n * rowCount * experts.count, 5, .expertTokens, n, &steps) }
    case .allToAll:
      let sent = experts.sentRowCount(tokenCount: rowCount)
      exchange(
        .allToAll, tensor, sent * routedWidth(experts), elementByteCount, .expertGroup, experts.expertDegree, &steps)
      if isForward { exchange(.allToAll, .weights, sent, 4, .expertGroup, experts.expertDegree, &steps) }
      let t = experts.expertTensorDegree
      exchange(.allGather, tensor, t * sent * routedWidth(experts), elementByteCount, .expertTensorGroup, t, &steps)
      if isForward { exchange(.allGather, .weights, t * sent, 4, .expertTensorGroup, t, &steps) }
    case .deepEP, .hybridEP:
      sendOnce(experts, tensor, weights: isForward ? .weights : nil, isDispatch: true, &steps)
    }
  }

  /// The way back, with sums of what a token's experts give.
  private func combine(_ experts: RoutedExperts, _ tensor: RoutedTensor, _ steps: inout [Step]) {
    let isForward = tensor == .outputs
    switch experts.dispatcher {
    case .allGather:
      let n = experts.expertDegree * experts.expertTensorDegree
      exchange(.reduceScatter, tensor, n * rowCount * routedWidth(experts), elementByteCount, .expertTokens, n, &steps)
      if !isForward {
        exchange(.reduceScatter, .weightsGradient, n * rowCount * experts.count, 4, .expertTokens, n, &steps)
      }
    case .allToAll:
      let sent = experts.sentRowCount(tokenCount: rowCount), t = experts.expertTensorDegree
      exchange(.reduceScatter, tensor, t * sent * routedWidth(experts), elementByteCount, .expertTensorGroup, t, &steps)
      if !isForward { exchange(.reduceScatter, .weightsGradient, t * sent, 4, .expertTensorGroup, t, &steps) }
      exchange(
        .allToAll, tensor, sent * routedWidth(experts), elementByteCount, .expertGroup, experts.expertDegree, &steps)
      if !isForward { exchange(.allToAll, .weightsGradient, sent, 4, .expertGroup, experts.expertDegree, &steps) }
    case .deepEP, .hybridEP:
      sendOnce(experts, tensor, weights: isForward ? nil : .weightsGradient, isDispatch: false, &steps)
    }
  }

  /// A token once to each node, and there once to each rank, that has any of its experts; or back, where sums of what a
  /// node's ranks give leave it.
  private func sendOnce(
    _ experts: RoutedExperts, _ tensor: RoutedTensor, weights: RoutedTensor?, isDispatch: Bool, _ steps: inout [Step]
  ) {
    let tokens = Double(rowCount), ep = experts.expertDegree, nodes = experts.nodeCount
    func copies(_ groupCount: Int) -> Double { tokens * experts.distinctGroupCount(of: groupCount) }
    let toRanks = copies(ep)
    if nodes > 1 {
      let hops: [(TensorCollective.Ranks, count: Int, copies: Double)] = [
        (.expertsAcross, nodes, copies(nodes)), (.expertsInside, ep / nodes, toRanks),
      ]
      for (ranks, count, copies) in isDispatch ? hops : hops.reversed() {
        exchange(
          .allToAll, tensor, Int((copies * Double(routedWidth(experts))).rounded()), elementByteCount, ranks, count,
          &steps)
      }
    } else {
      exchange(
        .allToAll, tensor, Int((toRanks * Double(routedWidth(experts))).rounded()), elementByteCount, .expertGroup, ep,
        &steps)
    }
    if let weights {
      // A weight and a number of 4 bytes for each of a token's experts.
      exchange(
        .allToAll, weights, Int((toRanks * Double(experts.perToken)).rounded()), 8, .expertGroup, ep, &steps)
    }
  }

  private func exchange(
    _ kind: CollectiveKind, _ tensor: RoutedTensor, _ elementCount: Int, _ elementByteCount: Int,
    _ ranks: TensorCollective.Ranks, _ rankCount: Int, _ steps: inout [Step]
  ) {
    guard rankCount > 1 else { return }
    steps.append(
      .collective(
        TensorCollective(
          ranks: ranks, kind: kind, operand: .routed(tensor), elementCount: elementCount,
          elementByteCount: elementByteCount, expertNodeCount: experts?.nodeCount ?? 1)))
  }

  // MARK: Shared experts

  private func sharedLayers(_ experts: RoutedExperts) -> (column: LinearLayer, row: LinearLayer) {
    let f = experts.sharedFeedForwardSize
    return (
      blockLayer(
        tokenCount, inputCount: hidden, outputCount: (hasGatedFeedForward ? 2 : 1) * f, dividesOutputs: true),
      blockLayer(tokenCount, inputCount: f, outputCount: hidden, dividesOutputs: false)
    )
  }

  private func sharedOperations(_ experts: RoutedExperts, _ direction: Operation.Direction) -> [Operation] {
    let layers = sharedLayers(experts)
    let width = layers.column.outputCount + experts.sharedFeedForwardSize
    return [
      .product(layers.column, direction),
      .elementWise(byteCount: tokenCount * width * elementByteCount, direction), .product(layers.row, direction),
    ]
  }

  /// Gate, value and product; without a gate the input of the activation and its output.
  private func keptByShared(_ experts: RoutedExperts) -> KeptTensor {
    activated(
      .sharedActivation, rows: tokenCount, read: hasGatedFeedForward ? 2 : 1, width: experts.sharedFeedForwardSize)
  }

  func sharedForward(_ experts: RoutedExperts, isAgain: Bool, _ steps: inout [Step]) {
    guard experts.sharedFeedForwardSize > 0 else { return }
    gatherOperandRows(of: .branch, &steps)
    steps.append(
      .piece(
        .sharedExperts, sharedOperations(experts, .forward) + keep([keptByShared(experts)], isAgain: isAgain)))
    completeSum(of: .branch, &steps)
  }

  private func sharedBackward(_ experts: RoutedExperts, _ steps: inout [Step]) {
    guard experts.sharedFeedForwardSize > 0 else { return }
    let layers = sharedLayers(experts)
    gatherOperandRows(of: .branch, &steps)
    gatherOperandRows(of: .columnInput, &steps)
    steps.append(
      .piece(
        .sharedExperts,
        sharedOperations(experts, .backward).reversed() + [.free(keptByShared(experts))]
          + [.accumulate(parameterCount: layers.column.weightCount + layers.row.weightCount)]))
    completeSum(of: .branch, &steps)
  }

  /// Weights of shared experts on the rank.
  func sharedWeightCount(_ experts: RoutedExperts) -> Int {
    let layers = sharedLayers(experts)
    return layers.column.weightCount + layers.row.weightCount
  }

  // MARK: Tensors kept

  /// What the norm gives, which the router reads as it is, and shared experts as they multiply it.
  var expertsInput: KeptTensor {
    let count = rowCount * hidden
    let ofShared = experts?.sharedFeedForwardSize ?? 0 > 0 ? operandCopyBytes(count) : 0
    return KeptTensor(role: .expertsInput, byteCount: count * elementByteCount + ofShared)
  }

  /// Logits and scores in fp32, and a byte for each expert that a token may be sent to.
  private func routing(_ experts: RoutedExperts) -> KeptTensor {
    KeptTensor(role: .routing, byteCount: rowCount * experts.count * 9)
  }

  /// The rows that came, gate, value and product of each, and its weight, which the activation multiplies by.
  private func keptByExperts(_ experts: RoutedExperts) -> [KeptTensor] {
    let rows = Int(self.rows(experts).rounded(.up)), f = experts.feedForwardSize
    return [
      KeptTensor(role: .expertRows, byteCount: operandBytes(rows * routedWidth(experts)) + rows * 4),
      KeptTensor(role: .expertActivation, byteCount: rows * (hasGatedFeedForward ? 2 : 1) * f * elementByteCount),
      KeptTensor(role: .activatedRows, byteCount: operandBytes(rows * f)),
    ]
  }
}
