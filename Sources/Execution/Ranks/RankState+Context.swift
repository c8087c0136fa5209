import Documents
import Training

/// What a rank has in hand of an attention whose sequences ranks divide.
struct DividedAttention: Sendable {
  /// Queries, keys and values of the rank's tokens, or after an exchange of its heads.
  var query = Matrix(rowCount: 0, columnCount: 0)
  var key = Matrix(rowCount: 0, columnCount: 0)
  var value = Matrix(rowCount: 0, columnCount: 0)
  /// What gates heads' outputs, or its gradient; nil where nothing does.
  var gate: Matrix?
  /// Keys and values that go round, keys first, by step.
  var blocks: [Int: [Float]] = [:]
  /// Shifts of them so far.
  var shiftCount = 0
  /// Steps done.
  var stepCount = 0
  /// What is known so far of the core's output.
  var result: (context: Matrix, logSumExp: Matrix) = (
    Matrix(rowCount: 0, columnCount: 0), Matrix(rowCount: 0, columnCount: 0)
  )
  /// Of the core's output.
  var outputGradient = Matrix(rowCount: 0, columnCount: 0)
  var queryGradient = Matrix(rowCount: 0, columnCount: 0)
  var sinkGradient: [Float] = []
  /// What this rank adds to the gradient of each step's keys and values.
  var keyGradients: [Int: [Float]] = [:]
  /// Shifts of gradients so far, and what the last has brought.
  var gradientShiftCount = 0
  var arrivedGradient: [Float] = []
  /// Whether heads were kept before they were exchanged, for the exchange to be made again.
  var hasKeptHeads = false

  init() {}

  /// Begins with the heads of the rank's tokens.
  init(_ heads: (query: Matrix, key: Matrix, value: Matrix)) {
    (query, key, value) = heads
    blocks[0] = key.elements + value.elements
  }
}

extension RankState {
  private var context: ContextPlace { shard.context }

  // MARK: Forward

  mutating func dividedForward(
    _ piece: ModelPiece, _ layer: TransformerLayer, weights: [Float], microBatch: MicroBatch,
    saved: inout SavedActivations
  ) {
    let width = shard.elementByteCount, division = context.division
    switch piece {
    case .attentionInput:
      if let latent = shard.model.latent { layer.keepNarrow(branch, latent, saved: &saved) }
      attention = DividedAttention(
        layer.attentionInput(normalised: branch, weights: weights, microBatch: microBatch))
      attention.gate = layer.attentionGate(input: branch, weights: weights)
      attention.hasKeptHeads = runsDividedCoreAgain
      if attention.hasKeptHeads { keepHeads(key: attention.key, value: attention.value, &saved) }
    case .attentionFirst, .attentionNext:
      let step = attention.stepCount
      let isLast = division.gathers || step == division.sequenceDegree - 1
      let keys = keysAndValues(step: step, isForward: true)
      let found = layer.core(microBatch, keyPositions: keys.positions, weights: weights).fusedContext(
        query: attention.query, key: keys.key, value: keys.value)
      if step == 0 {
        attention.result = found
      } else {
        AttentionCore.combine(&attention.result, with: found, headSize: shard.model.valueHeadSize)
      }
      attention.blocks[step - 1] = nil
      attention.stepCount += 1
      guard isLast else { return }
      // Of what goes round the last is kept: backward begins with it. Of what is gathered the rank's own.
      if !attention.hasKeptHeads {
        keepHeads(
          key: division.gathers ? attention.key : keys.key, value: division.gathers ? attention.value : keys.value,
          &saved)
      }
      saved.keep(.logSumExp, attention.result.logSumExp, elementByteCount: 4)
      attention.result.context = shard.rounded(attention.result.context)
      if division.headDegree > 1 {
        saved.keep(.attentionContextByHeads, attention.result.context, elementByteCount: width)
      }
    case .attentionProjection:
      let context = layer.gated(attention.result.context, by: attention.gate, saved: &saved)
      branch = layer.attentionProjection(context: context, weights: weights)
      attention = DividedAttention()
    default: preconditionFailure("\(piece) is no piece of divided attention")
    }
  }

  private func keepHeads(key: Matrix, value: Matrix, _ saved: inout SavedActivations) {
    saved.keep(.query, attention.query, elementByteCount: shard.elementByteCount)
    saved.keep(.key, key, elementByteCount: shard.elementByteCount)
    saved.keep(.value, value, elementByteCount: shard.elementByteCount)
  }

  // MARK: Backward

  mutating func dividedBackward(
    _ piece: ModelPiece, _ layer: TransformerLayer, weights: [Float], microBatch: MicroBatch, saved: SavedActivations,
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) {
    switch piece {
    case .attentionProjection:
      attention = DividedAttention()
      let upstream = layer.gatedBackward(
        layer.attentionProjectionBackward(
          sumGradient: branch, context: saved[.attentionContext], weights: weights, gradient: &gradient,
          weightGradients: &weightGradients), saved: saved)
      (attention.outputGradient, attention.gate) = (upstream.context, upstream.gate)
      (attention.query, attention.key, attention.value) = (saved[.query], saved[.key], saved[.value])
      attention.blocks[0] = attention.key.elements + attention.value.elements
      attention.queryGradient = Matrix(
        rowCount: attention.query.rowCount, columnCount: attention.query.columnCount)
    case .attentionFirst, .attentionNext:
      let step = attention.stepCount
      let keys = keysAndValues(step: step, isForward: false)
      let found = layer.core(microBatch, keyPositions: keys.positions, weights: weights).fusedBackward(
        contextGradient: attention.outputGradient, query: attention.query, key: keys.key, value: keys.value,
        context: context.division.headDegree > 1 ? saved[.attentionContextByHeads] : layer.coreOutput(in: saved),
        logSumExp: saved[.logSumExp])
      attention.queryGradient += found.query
      attention.sinkGradient = found.sinks
      attention.keyGradients[step] = found.key.elements + found.value.elements
      attention.blocks[step - 1] = nil
      attention.stepCount += 1
    case .attentionInput:
      if context.division.headDegree == 1 { completeKeyGradient() }
      branch = shard.rounded(
        layer.attentionInputBackward(
          AttentionCore.Gradients(
            query: attention.queryGradient, key: attention.key, value: attention.value, sinks: attention.sinkGradient),
          gate: attention.gate,
          normalised: shard.model.latent.map { layer.keptInput($0, normalised: columnInput, in: saved) } ?? columnInput,
          weights: weights, microBatch: microBatch, gradient: &gradient, weightGradients: &weightGradients))
      attention = DividedAttention()
    default: preconditionFailure("\(piece) is no piece of divided attention")
    }
  }

  /// The gradient of the rank's own keys and values, in their places: what has come home of it, and the rank's addend.
  private mutating func completeKeyGradient() {
    var whole = attention.keyGradients[attention.stepCount - 1] ?? []
    if context.division.gathers {
      whole = attention.arrivedGradient
    } else if !attention.arrivedGradient.isEmpty {
      for index in whole.indices { whole[index] += attention.arrivedGradient[index] }
    }
    (attention.key, attention.value) = halves(whole)
  }

  // MARK: Keys and values

  /// Keys, then values, of as many rows.
  private func halves(_ elements: [Float]) -> (key: Matrix, value: Matrix) {
    let (keyWidth, valueWidth) = (attention.key.columnCount, attention.value.columnCount)
    let rows = keyWidth == 0 ? 0 : elements.count / (keyWidth + valueWidth), count = rows * keyWidth
    return (
      Matrix(rowCount: rows, columnCount: keyWidth, elements: Array(elements[..<count])),
      Matrix(rowCount: rows, columnCount: valueWidth, elements: Array(elements[count...]))
    )
  }

  /// What is attended to in a step, with the positions of its rows.
  private func keysAndValues(step: Int, isForward: Bool) -> (key: Matrix, value: Matrix, positions: [Int]) {
    let ranks = context.division.sequenceDegree
    let block = halves(attention.blocks[step] ?? [])
    if context.division.gathers {
      return (block.key, block.value, (0..<ranks).flatMap(context.positions(ofGroup:)).sorted())
    }
    // Forward the blocks come from further and further back, and the last, of the rank after this one, is kept.
    let owner = isForward ? context.sequenceIndex - step : context.sequenceIndex + 1 + step
    return (block.key, block.value, context.positions(ofGroup: ((owner % ranks) + ranks) % ranks))
  }

  /// Rows of one sequence's positions, in the order of positions.
  private var sequenceCount: Int { setting.strategy.microBatch }

  // MARK: Exchanges

  func ownKeysAndValues() -> [Float] { attention.key.elements + attention.value.elements }

  /// What this rank has of a tensor that is exchanged.
  mutating func loadAttention(_ tensor: AttentionTensor, of collective: Collective) -> [Float] {
    switch tensor {
    case .queriesKeysValues: return headParts(of: [attention.query, attention.key, attention.value])
    case .outputGradient: return headParts(of: [shard.rounded(attention.outputGradient)])
    case .output: return rowParts(of: [attention.result.context])
    case .queriesKeysValuesGradient:
      completeKeyGradient()
      return rowParts(of: [attention.queryGradient, attention.key, attention.value].map(shard.rounded))
    case .keysValues where collective.kind == .allGather: return ownKeysAndValues()
    case .keysValues:
      defer { attention.shiftCount += 1 }
      return attention.blocks[attention.shiftCount] ?? []
    case .keysValuesGradient where collective.kind == .reduceScatter:
      return scatteredOrder(attention.keyGradients[0] ?? []).map(shard.arithmetic.rounded)
    case .keysValuesGradient:
      // What has come before it and what this rank adds.
      var sum = attention.keyGradients.removeValue(forKey: attention.gradientShiftCount) ?? []
      if attention.gradientShiftCount > 0 {
        for index in sum.indices { sum[index] += attention.arrivedGradient[index] }
      }
      attention.gradientShiftCount += 1
      return sum.map(shard.arithmetic.rounded)
    }
  }

  /// Takes up what an exchange has brought.
  mutating func storeAttention(
    _ buffer: [Float], _ tensor: AttentionTensor, of collective: Collective, chunk: Range<Int>
  ) {
    let heads = context.division.headDegree
    switch tensor {
    case .queriesKeysValues:
      let parts = fromHeadParts(
        buffer, widths: [attention.query, attention.key, attention.value].map { $0.columnCount / heads })
      (attention.query, attention.key, attention.value) = (parts[0], parts[1], parts[2])
      attention.blocks[0] = ownKeysAndValues()
    case .outputGradient:
      attention.outputGradient = fromHeadParts(buffer, widths: [attention.outputGradient.columnCount / heads])[0]
    case .output:
      attention.result.context = fromRowParts(buffer, widths: [attention.result.context.columnCount])[0]
    case .queriesKeysValuesGradient:
      let parts = fromRowParts(
        buffer, widths: [attention.queryGradient, attention.key, attention.value].map(\.columnCount))
      (attention.queryGradient, attention.key, attention.value) = (parts[0], parts[1], parts[2])
    case .keysValues where collective.kind == .allGather: attention.blocks[0] = inSequenceOrder(buffer)
    case .keysValues: attention.blocks[attention.shiftCount] = buffer
    case .keysValuesGradient:
      attention.arrivedGradient = collective.kind == .reduceScatter ? Array(buffer[chunk]) : buffer
    }
  }

  /// Where the rows of gathered keys belong: by rank and row, the row in the order of the sequence.
  private var gatheredRows: [Int] {
    let all = (0..<context.division.sequenceDegree).flatMap(context.positions(ofGroup:))
    let count = sequenceCount
    return all.flatMap { position in (0..<count).map { position * count + $0 } }
  }

  /// Keys and values of all ranks, each rank's keys before its values, as keys and values of the whole sequence.
  private func inSequenceOrder(_ buffer: [Float]) -> [Float] {
    rearranged(buffer) { ($0, $1) }
  }

  /// The other way.
  private func scatteredOrder(_ whole: [Float]) -> [Float] {
    rearranged(whole) { ($1, $0) }
  }

  /// - Parameter route: from the first element of a row by rank, and in the order of the sequence, where it comes from and
  ///   goes.
  private func rearranged(_ source: [Float], _ route: (Int, Int) -> (from: Int, to: Int)) -> [Float] {
    let rows = gatheredRows, ranks = context.division.sequenceDegree
    let widths = [attention.key.columnCount, attention.value.columnCount], both = widths[0] + widths[1]
    let perRank = rows.count / ranks
    var target = [Float](repeating: 0, count: source.count)
    for (gathered, row) in rows.enumerated() {
      let rank = gathered / perRank, inRank = gathered % perRank
      for (part, width) in widths.enumerated() {
        // Values lie behind all keys, of a rank or of all.
        let before = part * widths[0]
        let byRank = rank * perRank * both + before * perRank + inRank * width
        let (from, to) = route(byRank, before * rows.count + row * width)
        for column in 0..<width { target[to + column] = source[from + column] }
      }
    }
    return target
  }

  // MARK: Parts of sequences for heads

  /// For each neighbour its heads of all this rank's rows, matrix by matrix.
  private func headParts(of matrices: [Matrix]) -> [Float] {
    let ranks = context.division.headDegree
    return (0..<ranks).flatMap { neighbour in
      matrices.flatMap { matrix -> [Float] in
        let width = matrix.columnCount / ranks
        return (0..<matrix.rowCount).flatMap { row -> ArraySlice<Float> in
          let first = row * matrix.columnCount + neighbour * width
          return matrix.elements[first..<first + width]
        }
      }
    }
  }

  /// Each neighbour's rows of this rank's heads, put into the order of positions.
  private func fromHeadParts(_ buffer: [Float], widths: [Int]) -> [Matrix] {
    let places = neighbourRows, perRank = buffer.count / context.division.headDegree
    var matrices = widths.map { Matrix(rowCount: places.joined().count, columnCount: $0) }
    for (neighbour, rows) in places.enumerated() {
      var next = neighbour * perRank
      for index in matrices.indices {
        let width = widths[index]
        for row in rows {
          matrices[index].elements.replaceSubrange(row * width..<(row + 1) * width, with: buffer[next..<next + width])
          next += width
        }
      }
    }
    return matrices
  }

  /// For each neighbour its rows of this rank's heads.
  private func rowParts(of matrices: [Matrix]) -> [Float] {
    neighbourRows.flatMap { rows in
      matrices.flatMap { matrix in
        rows.flatMap { matrix.elements[$0 * matrix.columnCount..<($0 + 1) * matrix.columnCount] }
      }
    }
  }

  /// This rank's rows of each neighbour's heads, side by side.
  private func fromRowParts(_ buffer: [Float], widths: [Int]) -> [Matrix] {
    let ranks = context.division.headDegree, rowCount = shard.positions.count * sequenceCount
    var matrices = widths.map { Matrix(rowCount: rowCount, columnCount: $0 * ranks) }
    var next = 0
    for neighbour in 0..<ranks {
      for (index, width) in widths.enumerated() {
        for row in 0..<rowCount {
          let first = (row * ranks + neighbour) * width
          matrices[index].elements.replaceSubrange(first..<first + width, with: buffer[next..<next + width])
          next += width
        }
      }
    }
    return matrices
  }

  /// By neighbour, where its rows are among those of all neighbours in the order of positions.
  private var neighbourRows: [[Int]] {
    let all = context.positions(ofGroup: context.sequenceIndex)
    let places = Dictionary(uniqueKeysWithValues: all.enumerated().map { ($1, $0) })
    let count = sequenceCount
    return (0..<context.division.headDegree).map { neighbour in
      context.positions(ofNeighbour: neighbour).flatMap { position -> [Int] in
        let place = places[position] ?? 0
        return (0..<count).map { place * count + $0 }
      }
    }
  }
}
