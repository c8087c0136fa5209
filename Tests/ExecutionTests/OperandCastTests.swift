import Documents
import Testing
import Training

@testable import Execution

/// Operands of products as they are cast.
@Suite struct OperandCastTests {
  static let precisions: [Precision] = [.fp8Current, .fp8Blockwise, .mxfp8, .nvfp4]

  /// Numbers whose magnitudes are spread over so many powers of two below 1.
  static func matrix(_ rowCount: Int, _ columnCount: Int, seed: UInt64, powers: Int = 12) -> Matrix {
    let hash = CounterHash(seed: seed)
    return Matrix(
      rowCount: rowCount, columnCount: columnCount,
      elements: (0..<rowCount * columnCount).map { index in
        let own = hash.appending(index)
        let magnitude =
          (0.5 + 0.5 * own.unitInterval)
          * Float(sign: .plus, exponent: -own.appending(1).integer(below: powers), significand: 1)
        return own.appending(2).unitInterval < 0.5 ? -magnitude : magnitude
      })
  }

  static func cast(
    _ matrix: Matrix, _ rule: CastRule, _ operand: ProductOperand, seed: UInt64 = 1, choices: RoundingChoices = .free,
    window: Float = 0, columns: Range<Int>? = nil, firstColumn: Int = 0
  ) -> Matrix {
    var cast = matrix
    OperandCast(rule, of: operand, hash: CounterHash(seed: seed), choices: choices, window: window).apply(
      OperandCast.Region(
        rows: Array(0..<matrix.rowCount), rowNumbers: Array(0..<matrix.rowCount),
        columns: columns ?? 0..<matrix.columnCount, firstColumn: firstColumn),
      to: &cast.elements, width: matrix.columnCount)
    return cast
  }

  /// Places of a matrix by block, from the definition of blocks.
  static func blocks(_ matrix: Matrix, _ rule: CastRule, _ operand: ProductOperand) -> [[Int]] {
    let (height, width): (Int, Int) =
      switch rule.block {
      case .tensor: (matrix.rowCount, matrix.columnCount)
      case .run(let count): operand.isSummedAlongRows ? (count, 1) : (1, count)
      case .square(let count): (count, count)
      }
    var blocks: [[Int]: [Int]] = [:]
    for place in matrix.elements.indices {
      let (row, column) = place.quotientAndRemainder(dividingBy: matrix.columnCount)
      blocks[[row / height, column / width], default: []].append(place)
    }
    return blocks.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
  }

  // MARK: Bounds

  /// Of every number, in whole blocks and in what is left of them: |Q(x) − x| ≤ u·|x|, twice that where chance rounds, and of those
  /// below the normal range half a step, or a step, of the format times the scale.
  @Test(arguments: precisions, ProductOperand.allCases)
  func everyNumberIsWithinItsBound(precision: Precision, operand: ProductOperand) throws {
    var rule = try #require(CastRules(precision)[operand])
    // What is transformed is another number.
    rule.transformLength = 1
    let matrix = Self.matrix(150, 70, seed: 11), cast = Self.cast(matrix, rule, operand)
    let format = rule.number, ways: Float = rule.isStochastic ? 2 : 1
    let lowest = format.step(at: 0)
    let ofTensor = matrix.elements.map(abs).max()! / (448 * format.largest)
    for block in Self.blocks(matrix, rule, operand) {
      let largest = block.map { abs(matrix.elements[$0]) }.max()!
      let scale: Float =
        switch rule.scale {
        case .exact, .earlier: largest / format.largest
        case .powerOfTwo: Float(sign: .plus, exponent: BlockScale.exponent(of: largest, format), significand: 1)
        case .e4m3: NarrowNumber.e4m3.rounded(largest / format.largest / ofTensor) * ofTensor
        }
      for place in block {
        let value = matrix.elements[place], error = abs(cast.elements[place] - value)
        // Of a scale that was rounded down the largest may be clipped.
        let isClipped = abs(value) > format.largest * scale * (1 + 0x1p-20)
        let bound =
          isClipped
          ? abs(value) - format.largest * scale : max(format.unitRoundoff * abs(value), lowest / 2 * scale)
        #expect(
          error <= (isClipped ? 1 : ways) * bound + 0x1p-22 * abs(value), "\(value) became \(cast.elements[place])")
        #expect(!isClipped || rule.scale == .e4m3)
        // What is left is a number of the format.
        let code = cast.elements[place] / scale
        #expect(abs(format.rounded(code) - code) <= 0x1p-20 * abs(code))
      }
    }
  }

  /// |a·b − Q(a)·Q(b)| ≤ (u_a + u_b + u_a·u_b) · Σ|a||b|, of numbers in the normal range.
  @Test(arguments: [Precision.fp8Current, .fp8Blockwise, .mxfp8])
  func productsAreWithinTheBoundOfTheirOperands(precision: Precision) throws {
    for (left, right) in [
      (ProductOperand.input, ProductOperand.weight), (.outputGradient, .weightBackward),
      (.outputGradientAlongTokens, .inputAlongTokens),
    ] {
      let rules = CastRules(precision), a = try #require(rules[left]), b = try #require(rules[right])
      // Rows are summed along in the first, columns in the second where it is transposed.
      let x = Self.matrix(24, 160, seed: 3, powers: 3), y = Self.matrix(24, 160, seed: 4, powers: 3)
      let along: ProductOperand = .input
      let castX = Self.cast(x, a, along), castY = Self.cast(y, b, along)
      let unit = Double(a.number.unitRoundoff + b.number.unitRoundoff + a.number.unitRoundoff * b.number.unitRoundoff)
      for row in 0..<24 {
        for other in 0..<24 {
          var exact = 0.0, narrow = 0.0, magnitudes = 0.0
          for at in 0..<160 {
            exact += Double(x[row, at]) * Double(y[other, at])
            narrow += Double(castX[row, at]) * Double(castY[other, at])
            magnitudes += abs(Double(x[row, at]) * Double(y[other, at]))
          }
          #expect(abs(exact - narrow) <= unit * magnitudes * (1 + 1e-6))
        }
      }
    }
  }

  /// In a transformed space the product stays the same, but for what rounding does.
  @Test func bothOperandsOfAWeightsGradientAreTransformed() throws {
    let rules = CastRules(.nvfp4)
    let d = try #require(rules[.outputGradientAlongTokens]), x = try #require(rules[.inputAlongTokens])
    #expect(d.transformLength == 16 && x.transformLength == 16)
    #expect(rules[.input]?.transformLength == 1 && rules[.outputGradient]?.transformLength == 1)
    let left = Self.matrix(48, 8, seed: 5, powers: 2), right = Self.matrix(48, 8, seed: 6, powers: 2)
    let castLeft = Self.cast(left, d, .outputGradientAlongTokens), castRight = Self.cast(right, x, .inputAlongTokens)
    var error = 0.0, whole = 0.0
    for i in 0..<8 {
      for j in 0..<8 {
        var exact = 0.0, narrow = 0.0, magnitudes = 0.0
        for row in 0..<48 {
          exact += Double(left[row, i]) * Double(right[row, j])
          narrow += Double(castLeft[row, i]) * Double(castRight[row, j])
          magnitudes += abs(Double(left[row, i]) * Double(right[row, j]))
        }
        error += abs(exact - narrow)
        whole += magnitudes
      }
    }
    #expect(error > 0 && error < 0.25 * whole)
  }

  // MARK: Shards

  /// What is cut on the boundary of a block is cast as the whole is; off it, or where the whole has one scale, it is not.
  @Test func shardsThatAreCutBetweenBlocksAreCastAsTheWhole() throws {
    // So far apart that scales bear on what is left of small numbers.
    let matrix = Self.matrix(32, 256, seed: 8, powers: 24)
    func halves(_ rule: CastRule, cut: Int) -> Matrix {
      var cast = Self.cast(matrix, rule, .input, columns: 0..<cut)
      cast = Self.cast(cast, rule, .input, columns: cut..<256)
      return cast
    }
    for precision in [Precision.mxfp8, .fp8Blockwise] {
      let rule = try #require(CastRules(precision)[.input])
      #expect(halves(rule, cut: 128) == Self.cast(matrix, rule, .input))
      #expect(halves(rule, cut: 120) != Self.cast(matrix, rule, .input), "\(precision)")
    }
    var lopsided = matrix
    for row in 0..<32 { lopsided[row, 200] *= 10 }
    for precision in [Precision.fp8Current, .nvfp4] {
      let rule = try #require(CastRules(precision)[.input])
      var cast = Self.cast(lopsided, rule, .input, columns: 0..<128)
      cast = Self.cast(cast, rule, .input, columns: 128..<256)
      #expect(cast != Self.cast(lopsided, rule, .input), "a shard's own largest is another: \(precision)")
    }
  }

  /// The reference, which has all parts, casts each as the rank that has it: weights of every kind of block, to the bit.
  @Test(arguments: precisions)
  func theReferenceCastsWeightsAsTheirRanksDo(precision: Precision) throws {
    var models = try SmallModels.all()
    models.append(try SmallModels.mixture(.gated, narrowWidth: 6))
    for model in models {
      for blockShare in [1, 8] {
        let casting = Casting(rules: CastRules(precision, blockShare: blockShare), seed: 1)
        var ofReference = casting
        ofReference.parts.tensor = 2
        let whole = ParameterLayout(.layer(1), shard: ModelShard(model: model, sequenceLength: 8, seed: 4))
        let expected = ofReference.weights(whole.initialValues(seed: 4), whole, step: 3)
        let shards = (0..<2).map { index in
          let shard = ModelShard(model: model, sequenceLength: 8, tensorDegree: 2, tensorIndex: index, seed: 4)
          let layout = ParameterLayout(.layer(1), shard: shard)
          return (layout: layout, cast: casting.weights(layout.initialValues(seed: 4), layout, step: 3))
        }
        #expect(
          ParameterComparison.assembled(shards: shards.map { ($0.layout, $0.cast.forward) }, as: whole)
            == expected.forward)
        #expect(
          ParameterComparison.assembled(shards: shards.map { ($0.layout, $0.cast.backward) }, as: whole)
            == expected.backward)
        #expect(expected.forward != whole.initialValues(seed: 4))
        // Norms, biases and routers stay what they are.
        for tensor in whole.tensors where !tensor.name.isOfLinearLayer {
          #expect(expected.forward[tensor.range] == whole.initialValues(seed: 4)[tensor.range])
        }
        // Along either of a matrix' sides blocks of 32 are others.
        #expect(precision == .mxfp8 || expected.forward == expected.backward)
      }
    }
  }

  // MARK: Chance

  /// The same number is rounded the same way wherever it is, another seed rounds it otherwise, and on average it is right.
  @Test func chanceIsOfTheNumberAndNotOfTheRank() throws {
    let rule = try #require(CastRules(.nvfp4)[.outputGradient])
    var matrix = Self.matrix(16, 64, seed: 9, powers: 2)
    // The same scale in every block, and in every part of the tensor.
    for row in 0..<16 { for block in 0..<4 { matrix[row, block * 16] = 1 } }
    let whole = Self.cast(matrix, rule, .outputGradient)
    let right = Matrix(
      rowCount: 16, columnCount: 32,
      elements: (0..<16).flatMap { row in (32..<64).map { matrix[row, $0] } })
    let castRight = Self.cast(right, rule, .outputGradient, firstColumn: 32)
    for row in 0..<16 { for column in 0..<32 { #expect(castRight[row, column] == whole[row, 32 + column]) } }
    #expect(Self.cast(right, rule, .outputGradient) != castRight, "another place has another chance")
    #expect(Self.cast(matrix, rule, .outputGradient, seed: 2) != whole)

    let count = 2000
    var sums = [Double](repeating: 0, count: matrix.elements.count)
    for seed in 0..<UInt64(count) {
      for (at, value) in Self.cast(matrix, rule, .outputGradient, seed: seed).elements.enumerated() {
        sums[at] += Double(value)
      }
    }
    // Steps are up to a third of a block's largest; five standard deviations, and there are a thousand numbers.
    let limit = 5 * 0.5 / 3 / Double(count).squareRoot()
    for (sum, value) in zip(sums, matrix.elements) {
      #expect(abs(sum / Double(count) - Double(value)) <= limit, "\(value)")
    }
    let nearest = Self.cast(matrix, try #require(CastRules(.nvfp4)[.input]), .outputGradient)
    #expect(
      zip(nearest.elements, matrix.elements).contains { abs($0 - $1) > Float(limit) }, "rounding to the nearest is not")
  }

  // MARK: Choices

  /// Of two operands that differ in the last places some numbers go different ways, unless one follows the other: then they
  /// differ as little as before.
  @Test(arguments: precisions, ProductOperand.allCases)
  func whatIsNearAMiddleIsRoundedAsWasNoted(precision: Precision, operand: ProductOperand) throws {
    let rule = try #require(CastRules(precision)[operand])
    let matrix = Self.matrix(400, 200, seed: 21, powers: 6)
    var other = matrix
    for at in other.elements.indices {
      other.elements[at] += (CounterHash(seed: 2).appending(at).unitInterval - 0.5) * 0x1p-17
    }
    let record = RoundingRecord(), window: Float = 0x1p-15
    let noted = Self.cast(matrix, rule, operand, choices: .noted(record), window: window)
    #expect(noted == Self.cast(matrix, rule, operand))
    func largestDifference(_ cast: Matrix) -> Float {
      zip(cast.elements, noted.elements).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }
    let codes = record.codes
    #expect(!codes.isEmpty && codes.count < matrix.elements.count / 20)
    #expect(record.conflictCount == 0)
    #expect(largestDifference(Self.cast(other, rule, operand)) > 0x1p-8)
    let followed = Self.cast(other, rule, operand, choices: .followed(codes), window: window)
    // Scales of nvfp4 and of tensors differ as their largest numbers do, and steps as small as the window are free.
    #expect(largestDifference(followed) <= 4 * window)
    // What is not near a middle follows nobody.
    let wrong = codes.mapValues { _ in Float(1e6) }
    let unmoved = Self.cast(other, rule, operand, choices: .followed(wrong), window: window)
    #expect(unmoved == Self.cast(other, rule, operand))
  }

  // MARK: Earlier steps

  /// A tensor is scaled by the largest of its earlier iterations: what is larger now is clipped, and before the first one the
  /// scale is 1.
  @Test func delayedScalesAreThoseOfEarlierIterations() throws {
    let rule = try #require(CastRules(.fp8Delayed)[.input])
    let matrix = Matrix(rowCount: 1, columnCount: 4, elements: [0.3, -1, 2.5, 1000])
    func cast(earlier: Float) -> [Float] {
      var cast = matrix
      let largest = OperandCast(rule, of: .input, hash: CounterHash(seed: 1), earlier: earlier).apply(
        OperandCast.Region(rows: [0], rowNumbers: [0], columns: 0..<4, firstColumn: 0), to: &cast.elements, width: 4)
      #expect(largest == 1000)
      return cast.elements
    }
    #expect(cast(earlier: 0) == [0.3125, -1, 2.5, 448])
    #expect(cast(earlier: 448 * 4) == [0.3125, -1, 2.5, 1024])
    #expect(cast(earlier: 2) == [0.3, -1, 2.5, 1000].map { NarrowNumber.e4m3.rounded($0 * 224) / 224 })
    #expect(cast(earlier: 2)[3] == 2)
    #expect(cast(earlier: .nan)[0].isNaN)
    #expect(CastRules(.fp8Delayed)[.outputGradientAlongTokens]?.number == .e5m2)
  }

  @Test func historiesKeepTheLargestOfAllRanks() {
    let history = ScaleHistory()
    let (mine, other) = (
      ScaleHistory.Tensor(part: 2, name: 1, operand: 0), ScaleHistory.Tensor(part: 2, name: 1, operand: 1)
    )
    history.see(3, of: mine)
    history.see(2, of: mine)
    #expect(history.largest(of: mine) == 0, "this iteration's are for the next one")
    #expect(history.seen == [mine: 3])
    history.endIteration([mine: 5, other: 4])
    #expect(history.largest(of: mine) == 5 && history.largest(of: other) == 4 && history.seen.isEmpty)
    for _ in 1..<ScaleHistory.length { history.endIteration([mine: 1]) }
    #expect(history.largest(of: mine) == 5)
    history.endIteration([mine: 1])
    #expect(history.largest(of: mine) == 1, "the oldest is forgotten")
    history.see(.nan, of: mine)
    history.see(7, of: mine)
    #expect(history.seen[mine]?.isNaN == true)
  }

  @Test func whatIsNoNumberShows() throws {
    for precision in Self.precisions {
      let rule = try #require(CastRules(precision)[.input])
      var matrix = Self.matrix(2, 300, seed: 1)
      matrix[1, 7] = .infinity
      #expect(Self.cast(matrix, rule, .input)[1, 7].isNaN)
      let zeros = Matrix(rowCount: 3, columnCount: 40)
      #expect(Self.cast(zeros, rule, .input) == zeros)
    }
    for precision in [Precision.fp32, .bf16, .fp16, .tf32] { #expect(CastRules(precision)[.input] == nil) }
  }
}
