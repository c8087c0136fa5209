import Testing

@testable import Documents

/// What devices of a generation borrow of the one before: fused attention by the rates of vector units.
@Suite struct BorrowedAttentionTests {
  private static func rates(_ name: String) throws -> [String: Double] {
    let device = try ShippedInputsTests.catalog.device(name)
    let peak = device.compute.attentionPeakFraction * device.peakFLOPPerSecond(.bf16)
    return Dictionary(
      device.frameworks.map { ($0.name, $0.attentionFactor * peak) }, uniquingKeysWith: { first, _ in first })
  }

  /// Frameworks without runs on Blackwell reach as much as on Hopper, by the ratio of the fp32 rates, and where exponentials
  /// are twice as many 1.3 times that.
  @Test(arguments: [
    ("b200-sxm-180gb", ["megatron-lm", "megatron-bridge"], 1.0),
    ("gb200-186gb", ["megatron-lm", "megatron-bridge", "nemo"], 1.0),
    ("b300-sxm-288gb", ["megatron-lm", "megatron-bridge"], 1.3),
    ("gb300-288gb", ["megatron-lm", "megatron-bridge", "nemo"], 1.3),
  ])
  func blackwellBorrowsByVectorRates(device: String, told: [String], exponentials: Double) throws {
    let hopper = try Self.rates("h100-sxm5-80gb"), own = try Self.rates(device)
    #expect(own.count == hopper.count)
    for (framework, rate) in own where !told.contains(framework) {
      let ratio = try rate / (#require(hopper[framework]) * 80 / 67 * exponentials)
      #expect(abs(ratio - 1) < 1e-3, "\(framework): \(ratio)")
    }
  }

  /// What runs told of GB200 holds for GB300 but for its exponentials.
  @Test func theSecondBlackwellHasMoreExponentials() throws {
    let first = try Self.rates("gb200-186gb"), second = try Self.rates("gb300-288gb")
    for framework in ["megatron-lm", "megatron-bridge", "nemo"] {
      let ratio = try #require(second[framework]) / #require(first[framework])
      #expect(abs(ratio - 1.3) < 1e-3, "\(framework): \(ratio)")
    }
  }
}
