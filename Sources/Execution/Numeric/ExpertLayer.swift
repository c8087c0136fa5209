import Documents
import Training

/// Routed experts of a block as a rank has them: some of all, and of each all of its width or a part.
///
/// A row is a token on its way through one expert; it is multiplied by what that expert counts for the token between the
/// expert's products, so that what comes out has only to be added up.
struct ExpertLayer: Sendable {
  let layout: ParameterLayout
  let experts: Range<Int>
  let arithmetic: Precision
  /// How operands of its products are cast, while it works on rows; nil where they are not.
  private var casts: BlockCasts?

  /// - Parameters:
  ///   - degree: ranks that divide the width of each expert.
  ///   - index: the rank's place among those.
  init(layer: Int, experts: Range<Int>, shard: ModelShard, degree: Int = 1, index: Int = 0) {
    self.experts = experts
    arithmetic = shard.arithmetic
    layout = ParameterLayout(
      experts: experts, ofLayer: layer, shard.model, degree: degree, index: index,
      casting: shard.casting)
  }

  /// The same with operands cast as they are in a block's pass.
  ///
  /// - Parameter rows: of the expert that is gone through.
  func casting(_ rows: CastRows, as casts: BlockCasts) -> ExpertLayer {
    var layer = self
    layer.casts = BlockCasts(
      casting: casts.casting, step: casts.step, tensorIndex: layout.tensorIndex, all: rows, local: rows)
    return layer
  }

  /// Rows of one expert through its products.
  /// - Returns: what is kept, and what comes out: of a divided width an addend of it.
  func forward(
    _ expert: Int, rows: Matrix, rowWeights: [Float], buffer: [Float]
  ) -> (kept: FeedForward.Inner, output: Matrix) {
    let feedForward = feedForward(expert)
    let inner = feedForward.inner(rows, weights: buffer, rowWeights: rowWeights)
    var output = feedForward.outer(inner.output, weights: buffer)
    if let bias = layout.range(of: .downBias, expert: expert) {
      // On every rank of those that divide the width the same part of it.
      for row in 0..<output.rowCount {
        for column in 0..<output.columnCount {
          output[row, column] += rowWeights[row] / Float(layout.tensorDegree) * buffer[bias.lowerBound + column]
        }
      }
    }
    return (inner, arithmetic.rounded(output))
  }

  /// - Parameters:
  ///   - outputGradient: of what came out, its rows those of the forward pass.
  ///   - addends: rows whose gradients of weights are summed before they are added, one after the other: of each rank that
  ///     has sent any.
  /// - Returns: gradients of the rows and of what they were multiplied by, of a divided width addends of both.
  func backward(
    _ expert: Int, outputGradient: Matrix, rows: Matrix, rowWeights: [Float], kept: FeedForward.Inner,
    addends: [Range<Int>], buffer: [Float], gradient: inout [Float]
  ) -> (rows: Matrix, rowWeights: [Float]) {
    var ofRows: [Matrix] = [], ofWeights: [Float] = []
    for part in addends where !part.isEmpty {
      let layer = casts.map { casting($0.all.rows(part), as: $0) } ?? self
      let found = layer.backward(
        expert, outputGradient: outputGradient.rows(part), rows: rows.rows(part), rowWeights: Array(rowWeights[part]),
        kept: FeedForward.Inner(
          activationInput: kept.activationInput.rows(part), gatedValue: kept.gatedValue?.rows(part),
          output: kept.output.rows(part)), buffer: buffer, gradient: &gradient)
      ofRows.append(found.rows)
      ofWeights += found.rowWeights
    }
    return (ofRows.isEmpty ? rows : Matrix(concatenating: ofRows), ofWeights)
  }

  /// The same of rows that are one addend.
  private func backward(
    _ expert: Int, outputGradient: Matrix, rows: Matrix, rowWeights: [Float], kept: FeedForward.Inner,
    buffer: [Float], gradient: inout [Float]
  ) -> (rows: Matrix, rowWeights: [Float]) {
    let feedForward = feedForward(expert)
    feedForward.down.addWeightGradient(outputGradient, kept.output, to: &gradient)
    var inner = feedForward.down.inputGradient(outputGradient, weights: buffer)
    let unweighted = FeedForward.activated(kept.activationInput, gatedValue: kept.gatedValue)
    var ofWeights = (0..<rows.rowCount).map { row in
      (0..<inner.columnCount).reduce(Float(0)) { $0 + inner[row, $1] * unweighted[row, $1] }
    }
    inner.scaleRows(by: rowWeights)
    if let bias = layout.range(of: .downBias, expert: expert) {
      var weighed = outputGradient
      weighed.scaleRows(by: rowWeights)
      weighed.addColumnSums(to: &gradient, bias)
      for row in 0..<rows.rowCount {
        var sum: Float = 0
        for column in 0..<outputGradient.columnCount {
          sum += outputGradient[row, column] * buffer[bias.lowerBound + column]
        }
        ofWeights[row] += sum / Float(layout.tensorDegree)
      }
    }
    let ofRows = feedForward.innerBackward(
      inner, activationInput: kept.activationInput, gatedValue: kept.gatedValue, input: rows, weights: buffer,
      gradient: &gradient
    ) { $0.addWeightGradient($1, ofCast: $2, to: &$3) }
    return (arithmetic.rounded(ofRows), ofWeights)
  }

  private func feedForward(_ expert: Int) -> FeedForward {
    func linear(_ name: ParameterName) -> LinearProducts {
      LinearProducts(tensor: layout.tensor(name, expert: expert), casts: casts)
    }
    return FeedForward(
      up: linear(.upWeight), upBias: layout.range(of: .upBias, expert: expert),
      gate: layout.range(of: .gateWeight, expert: expert).map { _ in linear(.gateWeight) },
      gateBias: layout.range(of: .gateBias, expert: expert), down: linear(.downWeight), arithmetic: arithmetic)
  }
}
