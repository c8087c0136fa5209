import Testing

@testable import Costing

@Suite("Error figures")
struct ErrorSummaryTests {
  @Test("Median, mean, bias and rank correlation by hand")
  func byHand() {
    let measured = [1.0, 2, 4, 8], predicted = [1.1, 1.8, 4, 12]
    let summary = ErrorSummary(
      errors: zip(predicted, measured).map { $0 / $1 - 1 }, predicted: predicted, measured: measured)
    #expect(summary.count == 4)
    #expect(abs(summary.medianAbsolute - 0.1) < 1e-12)
    #expect(abs(summary.meanAbsolute - 0.175) < 1e-12)
    #expect(abs(summary.bias - 0.05) < 1e-12)
    #expect(summary.rankCorrelation == 1)
  }

  @Test("Spearman's correlation: reversed, tied, constant, too few")
  func spearmanCases() throws {
    #expect(spearman([1, 2, 3], [3, 2, 1]) == -1)
    // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3.
    #expect(abs(try #require(spearman([1, 2, 2, 3], [1, 2, 3, 4])) - 0.948_683_298_050_513_8) < 1e-12)
    #expect(spearman([1, 1, 1], [1, 2, 3]) == nil)
    #expect(spearman([1, 2], [1, 2]) == nil)
  }
}
