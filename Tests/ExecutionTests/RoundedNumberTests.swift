import Documents
import Testing

@testable import Execution

@Suite struct RoundedNumberTests {
  @Test func numbersOfSixteenBitsStayAndOthersGoToTheNearest() {
    #expect(Precision.bf16.rounded(1) == 1)
    #expect(Precision.bf16.rounded(-3.140625) == -3.140625)
    // Neighbours of 1 are 1 − 2⁻⁸ and 1 + 2⁻⁷.
    #expect(Precision.bf16.rounded(1 + 0x1p-9) == 1)
    #expect(Precision.bf16.rounded(1 + 0x1.8p-8) == 1 + 0x1p-7)
    // Half way: to the even one.
    #expect(Precision.bf16.rounded(1 + 0x1p-8) == 1)
    #expect(Precision.bf16.rounded(1 + 0x1.8p-7) == 1 + 0x1p-6)
    #expect(Precision.fp16.rounded(1 + 0x1p-11) == 1)
    #expect(Precision.fp32.rounded(0.1) == 0.1)
  }

  @Test func infinityStaysInfinity() {
    #expect(Precision.bf16.rounded(.infinity) == .infinity)
    #expect(Precision.bf16.rounded(.nan).isNaN)
  }
}
