import Documents
import Training

/// How ranks, or the reference, cast the operands of blocks' linear layers.
struct Casting: Sendable {
  var rules: CastRules
  /// Of what is rounded by chance.
  var seed: UInt64
  var choices: RoundingChoices = .free
  var windows = RoundingChoices.Windows()
  /// Of a rank, or of the reference, where scales are those of earlier iterations.
  var history: ScaleHistory?
  /// Whether a rank heeds what others have seen: at the end of an iteration, and of weights that they divide; false only where a
  /// test forgets that.
  var sharesLargest = true
  /// Whether weights are cast from the optimizer's own, before they are gathered, and not from what is stored and was gathered.
  var castsMasters = false
  /// Layers whose operands are not cast, of so many.
  var wide: (layers: WideLayers, of: Int) = (.none, 0)
  /// How many ranks' parts the reference has of a tensor at once, each of which is cast by itself; ranks have one.
  var parts = Parts()

  struct Parts: Sendable, Equatable {
    /// Of what tensor groups divide.
    var tensor = 1
    /// Of what ranks divide of single experts.
    var expert = 1
    /// Of the rows that tensor groups divide, where these do so.
    var rows = 1
    /// Of the batch: a rank's gradients are of the mean over its own tokens.
    var batch = 1
  }

  /// Whether operands of a part's products are cast.
  func casts(_ part: ModelPart) -> Bool { part.layerIndex.map { !wide.layers.contains($0, of: wide.of) } ?? true }

  /// First coordinate of what is rounded by chance, apart from those of data, parameters and dropout.
  private static let stream = 5

  /// The hash of an operand, to which rows' and columns' numbers are appended.
  private func hash(_ operand: ProductOperand, of tensor: ParameterLayout.Tensor, step: Int) -> CounterHash {
    // What has one scale is the same numbers along tokens, and cast once.
    let isCastOnce = rules[operand]?.block == .tensor
    let name = operand.isWeight || operand.isGradient ? tensor.origin.name : tensor.origin.name.firstOfSameInput
    return CounterHash(seed: seed).appending(Self.stream).appending(step).appending(tensor.origin.part.coordinate)
      .appending(name.rawValue).appending((isCastOnce ? operand.ofFirstProduct : operand).rawValue)
  }

  /// The same with a history of its own, where scales need one.
  func withHistory() -> Casting {
    var casting = self
    casting.history = rules[.input]?.scale == .earlier ? ScaleHistory() : nil
    return casting
  }

  /// What is scaled by the same history.
  private func historyKey(_ operand: ProductOperand, of tensor: ParameterLayout.Tensor) -> ScaleHistory.Tensor {
    let isInput = operand.ofFirstProduct == .input
    return ScaleHistory.Tensor(
      part: tensor.origin.part.coordinate,
      name: (isInput ? tensor.origin.name.firstOfSameInput : tensor.origin.name).rawValue,
      operand: operand.ofFirstProduct.rawValue)
  }

  private func cast(_ operand: ProductOperand, of tensor: ParameterLayout.Tensor, step: Int) -> OperandCast? {
    guard casts(tensor.origin.part) else { return nil }
    return rules[operand].map {
      OperandCast(
        $0, of: operand, hash: hash(operand, of: tensor, step: step), choices: choices,
        window: step == 0 ? windows.first : windows.later,
        earlier: history?.largest(of: historyKey(operand, of: tensor)) ?? 0)
    }
  }

  /// How many parts of a tensor there are.
  private func partCount(_ tensor: ParameterLayout.Tensor) -> Int { tensor.expert == nil ? parts.tensor : parts.expert }

  /// The weights of a part of the model with those of linear layers as they are multiplied in the two directions, all else as it
  /// is.
  func weights(
    _ buffer: [Float], _ layout: ParameterLayout, step: Int
  ) -> (forward: [Float], backward: [Float]) {
    let forward = weights(buffer, layout, .weight, step: step)
    // Of a tensor or of squares scales are the same along rows and along columns.
    if case .run = rules[.weight]?.block { return (forward, weights(buffer, layout, .weightBackward, step: step)) }
    return (forward, forward)
  }

  private func weights(_ buffer: [Float], _ layout: ParameterLayout, _ operand: ProductOperand, step: Int) -> [Float] {
    var buffer = buffer
    for tensor in layout.narrowTensors {
      guard let cast = cast(operand, of: tensor, step: step) else { return buffer }
      let count = partCount(tensor)
      for rows in (0..<tensor.rowCount).divided(tensor.division == .rows ? count : 1) {
        for columns in (0..<tensor.columnCount).divided(tensor.division == .columns ? count : 1) {
          let largest = cast.apply(
            region(of: tensor, layout, rows: rows, columns: columns), to: &buffer, offset: tensor.offset,
            width: tensor.columnCount)
          history?.see(largest, of: historyKey(operand, of: tensor))
        }
      }
    }
    return buffer
  }

  /// Casts weights of a part of which a rank has some, and others the others: those of linear layers.
  ///
  /// - Parameters:
  ///   - buffer: of the part, with zeros for weights that the rank does not have.
  ///   - blocks: their blocks, which take up the scales.
  ///   - largest: by block the largest magnitude of all its weights.
  func castShard(
    _ buffer: inout [Float], _ layout: ParameterLayout, _ blocks: inout WeightBlocks, largest: [Float], step: Int
  ) {
    var scales: [BlockScale] = []
    for (tensor, range) in zip(layout.narrowTensors, blocks.ranges) {
      guard let cast = cast(.weight, of: tensor, step: step) else { return }
      let seen = cast.apply(
        region(of: tensor, layout, rows: 0..<tensor.rowCount, columns: 0..<tensor.columnCount), to: &buffer,
        offset: tensor.offset, width: tensor.columnCount, blocksLargest: largest[range], scales: &scales)
      history?.see(seen, of: historyKey(.weight, of: tensor))
    }
    blocks.scales = scales
  }

  /// A part of a weight.
  private func region(
    of tensor: ParameterLayout.Tensor, _ layout: ParameterLayout, rows: Range<Int>, columns: Range<Int>
  ) -> OperandCast.Region {
    let firstRow = tensor.division == .rows ? layout.tensorIndex * tensor.rowCount : 0
    let firstColumn = tensor.division == .columns ? layout.tensorIndex * tensor.columnCount : 0
    return OperandCast.Region(
      rows: Array(rows), rowNumbers: Array(firstRow..<firstRow + tensor.rowCount), columns: columns,
      firstColumn: firstColumn)
  }

  /// Activations or their gradients as they are multiplied.
  ///
  /// - Parameters:
  ///   - tensor: the weight that they are multiplied by, or whose gradient is made of them.
  ///   - tensorIndex: the place of that among its parts.
  func cast(
    _ matrix: Matrix, _ operand: ProductOperand, of tensor: ParameterLayout.Tensor, tensorIndex: Int, rows: CastRows,
    step: Int
  ) -> Matrix {
    guard let cast = cast(operand, of: tensor, step: step) else { return matrix }
    var matrix = matrix
    let isDivided = tensor.division == (operand.isGradient ? .rows : .columns)
    for group in rows.groups {
      for columns in (0..<matrix.columnCount).divided(isDivided ? partCount(tensor) : 1) {
        let largest = cast.apply(
          OperandCast.Region(
            rows: group, rowNumbers: rows.numbers, columns: columns,
            firstColumn: isDivided ? tensorIndex * matrix.columnCount : 0),
          to: &matrix.elements, width: matrix.columnCount)
        history?.see(largest, of: historyKey(operand, of: tensor))
      }
    }
    return matrix
  }
}

/// Which tokens the rows of an operand are, and which of them a rank casts together.
struct CastRows: Sendable {
  /// By row, its token's number in the global batch; nothing is asked of rows in no group.
  let numbers: [Int]
  /// Rows that one rank has, each in their order.
  let groups: [[Int]]

  init(numbers: [Int], groups: [[Int]]) {
    self.numbers = numbers
    self.groups = groups
  }

  /// All in one group.
  init(numbers: [Int]) { self.init(numbers: numbers, groups: [Array(numbers.indices)]) }

  /// Some of the rows, of whole groups.
  func rows(_ range: Range<Int>) -> CastRows {
    CastRows(
      numbers: Array(numbers[range]),
      groups: groups.compactMap { group in
        group.first.map(range.contains) == true ? group.map { $0 - range.lowerBound } : nil
      })
  }
}

extension Range<Int> {
  /// As many parts, one after the other, of the same length.
  fileprivate func divided(_ partCount: Int) -> [Range<Int>] {
    let length = count / partCount
    return (0..<partCount).map { lowerBound + $0 * length..<lowerBound + ($0 + 1) * length }
  }
}

extension ParameterName {
  /// Whether it is the weight of a linear layer whose products may be in a narrow format: not those of routers, of gates that
  /// are one number a token, and of the output head.
  var isOfLinearLayer: Bool {
    switch self {
    case .queryWeight, .keyWeight, .valueWeight, .attentionGateWeight, .attentionOutputWeight,
      .gateWeight, .upWeight, .downWeight, .sharedGateWeight, .sharedUpWeight, .sharedDownWeight,
      .queryDownWeight, .keyValueDownWeight, .keyValueUpWeight, .expertsNarrowWeight, .expertsWideWeight,
      .predictionWeight:
      true
    default: false
    }
  }

  /// Of the layers that read the same input, which is cast once for all, one.
  var firstOfSameInput: ParameterName {
    switch self {
    case .keyWeight, .valueWeight, .attentionGateWeight: .queryWeight
    case .gateWeight: .upWeight
    case .sharedGateWeight: .sharedUpWeight
    case .queryDownWeight: .keyValueDownWeight
    default: self
    }
  }

  /// Whether its products are of the rows that the rank has outside of the tensor-parallel products.
  var isOfLocalRows: Bool {
    [.queryDownWeight, .keyValueDownWeight, .expertsNarrowWeight, .expertsWideWeight].contains(self)
  }
}
