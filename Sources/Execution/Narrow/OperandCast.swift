/// The cast of one operand: its numbers brought to a narrow format and back, in place.
///
/// What is left is what matrix units multiply: products are computed of it in fp32, as theirs are summed up. Casting cuts an operand
/// into regions, each what one rank multiplies of it, and these into blocks from their beginning on; a rest that is shorter
/// than a block is one of its own.
struct OperandCast {
  /// A part of a matrix that is cast by itself.
  struct Region {
    /// Rows, by where they are in the matrix, in the order in which blocks follow them.
    let rows: [Int]
    /// By row of the matrix, which row of the whole model's tensor it is.
    let rowNumbers: [Int]
    let columns: Range<Int>
    /// Which column of the whole tensor the matrix' first is.
    let firstColumn: Int
  }

  let rule: CastRule
  /// Whether blocks and transforms go along rows' numbers, or along columns'.
  let isAlongRows: Bool
  /// Of the operand: rows' and columns' numbers are appended, so that chance and notes are the same wherever a number is.
  let hash: CounterHash
  let choices: RoundingChoices
  /// See ``RoundingChoices/Windows``; 0 of free choices.
  let window: Float
  /// The largest magnitude of the tensor in earlier iterations, where that makes its scale.
  let earlier: Float

  init(
    _ rule: CastRule, of operand: ProductOperand, hash: CounterHash, choices: RoundingChoices = .free,
    window: Float = 0, earlier: Float = 0
  ) {
    self.rule = rule
    isAlongRows = operand.isSummedAlongRows
    self.hash = hash
    self.choices = choices
    self.earlier = earlier
    if case .free = choices { self.window = 0 } else { self.window = window }
  }

  /// - Parameters:
  ///   - elements: a buffer that holds the matrix.
  ///   - offset: where it begins there.
  ///   - width: of its rows.
  /// - Returns: the largest magnitude of the region, of what is cast; no number where one of it is none.
  @discardableResult
  func apply(_ region: Region, to elements: inout [Float], offset: Int = 0, width: Int) -> Float {
    var scales: [BlockScale] = []
    return apply(region, to: &elements, offset: offset, width: width, blocksLargest: nil, scales: &scales)
  }

  /// The same of a matrix of which a rank has but some numbers, and others the others.
  ///
  /// - Parameters:
  ///   - elements: with zeros for numbers that the rank does not have.
  ///   - blocksLargest: the largest magnitude of every block, of all that ranks have of it; nil where all of it is here.
  ///   - scales: to which those of the blocks are appended, if these are given.
  @discardableResult
  func apply(
    _ region: Region, to elements: inout [Float], offset: Int = 0, width: Int, blocksLargest: ArraySlice<Float>?,
    scales: inout [BlockScale]
  ) -> Float {
    let lineCount = isAlongRows ? region.columns.count : region.rows.count
    let length = isAlongRows ? region.rows.count : region.columns.count
    guard lineCount > 0, length > 0 else { return 0 }
    // Numbers one after the other along the sum, line by line.
    var lines = [Float](unsafeUninitializedCapacity: lineCount * length) { lines, count in
      var next = 0
      forEachPlace(of: region, offset: offset, width: width) { place in
        lines[next] = elements[place]
        next += 1
      }
      count = next
    }
    if rule.transformLength > 1 {
      for line in 0..<lineCount {
        HadamardTransform.apply(to: &lines, line * length..<(line + 1) * length, length: rule.transformLength)
      }
    }
    let largest = cast(
      &lines, lineCount: lineCount, length: length, region, blocksLargest: blocksLargest, scales: &scales)
    var next = 0
    forEachPlace(of: region, offset: offset, width: width) { place in
      elements[place] = lines[next]
      next += 1
    }
    return largest
  }

  /// Where a region's numbers are in a buffer, one after the other along the sum, line by line.
  @inline(__always)
  private func forEachPlace(of region: Region, offset: Int, width: Int, _ body: (Int) -> Void) {
    if isAlongRows {
      for column in region.columns {
        for row in region.rows { body(offset + row * width + column) }
      }
    } else {
      for row in region.rows {
        for column in region.columns { body(offset + row * width + column) }
      }
    }
  }

  /// - Returns: the largest magnitude of all.
  private func cast(
    _ lines: inout [Float], lineCount: Int, length: Int, _ region: Region, blocksLargest: ArraySlice<Float>?,
    scales: inout [BlockScale]
  ) -> Float {
    lines.withUnsafeMutableBufferPointer { lines in
      let largest =
        blocksLargest?.reduce(0, ScaleHistory.larger)
        ?? Self.largest(lines, 0..<lineCount, 0..<length, length: length)
      guard largest != 0 else {
        scales += (blocksLargest ?? []).map { _ in .one }
        return 0
      }
      let (along, across) = rule.block.lengths(along: length, across: lineCount)
      let number = rule.number, isStochastic = rule.isStochastic, isFree = window == 0
      var notes: [(key: UInt64, code: Float)] = []
      let firstScale = scales.count
      for firstLine in stride(from: 0, to: lineCount, by: across) {
        let blockLines = firstLine..<min(firstLine + across, lineCount)
        for first in stride(from: 0, to: length, by: along) {
          let block = first..<min(first + along, length)
          // Of given blocks as many have their scale as were gone through before.
          let ofBlock =
            blocksLargest.map { $0[$0.startIndex + scales.count - firstScale] }
            ?? Self.largest(lines, blockLines, block, length: length)
          let scale = scale(ofLargest: ofBlock, tensor: largest, notes: &notes) {
            key(region, line: firstLine, at: first).appending(-1)
          }
          if blocksLargest != nil { scales.append(scale) }
          let window = self.window * largest * scale.factor
          for line in blockLines {
            for at in block {
              let place = line * length + at
              let value = lines[place] * scale.factor
              // A share of a step from which on a number is rounded up.
              let chance = isStochastic ? key(region, line: line, at: at).unitInterval : 0.5
              var code = isStochastic ? number.rounded(value, chance: chance) : number.rounded(value)
              if !isFree, isUndecided(value, number, chance, window) {
                code = decided(code, value, number, isStochastic, window, &notes, key(region, line: line, at: at))
              }
              lines[place] = code * scale.inverse
            }
          }
        }
      }
      if case .noted(let record) = choices { record.note(notes) }
      return largest
    }
  }

  /// - Parameters:
  ///   - largest: magnitude of the block.
  ///   - tensor: of all that is cast at once.
  ///   - key: what the block is.
  @inline(__always)
  private func scale(
    ofLargest largest: Float, tensor: Float, notes: inout [(key: UInt64, code: Float)], key: () -> CounterHash
  ) -> BlockScale {
    guard largest > 0, largest.isFinite else { return BlockScale(exactOf: largest, rule.number) }
    let number = rule.number
    switch rule.scale {
    case .earlier: return BlockScale(exactOf: earlier, number)
    case .exact: return BlockScale(exactOf: largest, number)
    case .powerOfTwo:
      let exponent = BlockScale.exponent(of: largest, number)
      let reach = window * tensor
      guard reach > 0, largest > 2 * reach else { return BlockScale(exponent: exponent) }
      // A block whose largest is near a power of two may have either scale.
      let possible =
        BlockScale.exponent(of: largest - 2 * reach, number)...BlockScale.exponent(of: largest + 2 * reach, number)
      guard possible.count > 1 else { return BlockScale(exponent: exponent) }
      switch choices {
      case .free: break
      case .noted: notes.append((key().bits, Float(exponent)))
      case .followed(let codes):
        if let noted = codes[key().bits], possible.contains(Int(noted)) { return BlockScale(exponent: Int(noted)) }
      }
      return BlockScale(exponent: exponent)
    case .e4m3:
      let ofTensor = BlockScale.ofTensor(tensor, number)
      let unit = 1 / (number.largest * ofTensor)
      let value = largest * unit, window = 2 * self.window * tensor * unit
      var code = NarrowNumber.e4m3.rounded(value)
      if window > 0, isUndecided(value, .e4m3, 0.5, window) {
        code = decided(code, value, .e4m3, false, window, &notes, key())
      }
      return BlockScale(code: code, ofTensor: ofTensor)
    }
  }

  /// Whether a number lies so near the middle between two of the format, or where chance has that, that another sum might have
  /// gone to the other. Where steps are as small as what sums differ by it does not matter.
  @inline(__always)
  private func isUndecided(_ value: Float, _ number: NarrowNumber, _ chance: Float, _ window: Float) -> Bool {
    guard value != 0, value.isFinite else { return false }
    let step = number.step(at: value), reach = isFollowing ? 2 * window : window
    guard step > window else { return false }
    let steps = min(abs(value) / step, 0x1p20), above = steps - Float(Int32(steps))
    return min(abs(above + chance - 1), above + chance) * step <= reach
  }

  /// The code of an undecided number: noted, or as it was noted if that is one of the two that it lies between.
  private func decided(
    _ code: Float, _ value: Float, _ number: NarrowNumber, _ isStochastic: Bool, _ window: Float,
    _ notes: inout [(key: UInt64, code: Float)], _ key: CounterHash
  ) -> Float {
    switch choices {
    case .free: return code
    case .noted:
      notes.append((key.bits, code))
      return code
    case .followed(let codes):
      let reach = (isStochastic ? 1 : 0.5) * number.step(at: value) + 2 * window
      guard let noted = codes[key.bits], abs(noted - value) <= reach else { return code }
      return noted
    }
  }

  private var isFollowing: Bool { if case .followed = choices { true } else { false } }

  @inline(__always)
  private func key(_ region: Region, line: Int, at: Int) -> CounterHash {
    let (row, column) = isAlongRows ? (region.rows[at], line) : (region.rows[line], at)
    return hash.appending(region.rowNumbers[row]).appending(region.firstColumn + region.columns.lowerBound + column)
  }

  @inline(__always)
  private static func largest(
    _ lines: UnsafeMutableBufferPointer<Float>, _ range: Range<Int>, _ block: Range<Int>, length: Int
  ) -> Float {
    var largest: Float = 0
    for line in range {
      for at in line * length + block.lowerBound..<line * length + block.upperBound {
        let magnitude = abs(lines[at])
        guard magnitude.isFinite else { return .nan }
        largest = max(largest, magnitude)
      }
    }
    return largest
  }
}
