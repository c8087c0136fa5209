import Documents
import Testing
import Training

@testable import Execution

/// The stated error of a format is that of the casts that a dry-run executes, of normally distributed numbers.
@Suite struct CastErrorTests {
  private static func normals(_ rowCount: Int, _ columnCount: Int, seed: UInt64) -> Matrix {
    let hash = CounterHash(seed: seed)
    return Matrix(
      rowCount: rowCount, columnCount: columnCount,
      elements: (0..<rowCount * columnCount).map { NormalNumber.of(hash.appending($0)) })
  }

  @Test(arguments: OperandCastTests.precisions) func theLargestOfAnOperandIsWhatIsStated(precision: Precision) throws {
    var largest = 0.0
    for operand in [ProductOperand.input, .weight, .outputGradient] {
      var rule = try #require(CastRules(precision)[operand])
      // A transform of normal numbers leaves them normal.
      rule.transformLength = 1
      var squares = 0.0, changes = 0.0
      // Scales of tensors are of several sizes, as powers of two lie elsewhere among their numbers.
      for (seed, rows) in [(UInt64(1), 256), (2, 304), (3, 368), (4, 432)] {
        let matrix = Self.normals(rows, 256, seed: seed)
        let cast = OperandCastTests.cast(matrix, rule, operand, seed: seed)
        for (value, found) in zip(matrix.elements, cast.elements) {
          squares += Double(value * value)
          changes += Double((found - value) * (found - value))
        }
      }
      largest = max(largest, (changes / squares).squareRoot())
    }
    #expect(abs(largest / precision.productError - 1) < 0.02, "\(largest) of \(precision.productError)")
  }
}
