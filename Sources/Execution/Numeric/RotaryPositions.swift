import Glibc

/// Rotation of queries and keys by their position (Su et al. 2021): features i and i + d/2 of a head of size d turn by
/// position · base^(−2i/d), as Llama pairs them.
struct RotaryPositions: Sendable {
  /// Width of a head, and of it how many features turn: the last ones.
  private let headSize: Int
  private let turnedSize: Int
  /// cos and sin of place × pair.
  private let cosines: [Float]
  private let sines: [Float]

  static let base = 10_000.0

  /// - Parameters:
  ///   - turnedSize: of a head the last so many features turn; nil is all.
  ///   - positions: of the rows that are turned.
  init(headSize: Int, turnedSize: Int? = nil, positions: [Int]) {
    self.headSize = headSize
    self.turnedSize = turnedSize ?? headSize
    let headSize = self.turnedSize, pairCount = headSize / 2
    let angles = positions.flatMap { position in
      (0..<pairCount).map { Double(position) * pow(Self.base, -2 * Double($0) / Double(headSize)) }
    }
    cosines = angles.map { Float(cos($0)) }
    sines = angles.map { Float(sin($0)) }
  }

  /// Turns every head of every row; backward, by the negative angle, which is the transposed rotation.
  /// - Parameters:
  ///   - heads: tokens × (heads · head size), tokens position by position.
  ///   - sequenceCount: rows of one position.
  func rotate(_ heads: inout Matrix, sequenceCount: Int, backward: Bool = false) {
    let pairCount = turnedSize / 2, unturned = headSize - turnedSize
    let width = heads.columnCount
    let headCount = width / headSize
    let sign: Float = backward ? -1 : 1
    let rowCount = heads.rowCount
    heads.elements.withUnsafeMutableBufferPointer { elements in
      for row in 0..<rowCount {
        let table = row / sequenceCount * pairCount
        for head in 0..<headCount {
          let start = row * width + head * headSize + unturned
          for pair in 0..<pairCount {
            let cosine = cosines[table + pair], sine = sign * sines[table + pair]
            let first = elements[start + pair], second = elements[start + pair + pairCount]
            elements[start + pair] = first * cosine - second * sine
            elements[start + pair + pairCount] = second * cosine + first * sine
          }
        }
      }
    }
  }
}
