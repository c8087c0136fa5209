import Documents
import Testing

@Suite struct QuantityTests {
  @Test(arguments: [
    ("450GB/s", 450e9), ("450 GB/s", 450e9), ("400Gb/s", 50e9), ("400 Gbps", 50e9), ("3.2TB/s", 3.2e12),
    ("25e9B/s", 25e9), ("100 kB/s", 1e5), ("2MiB/s", 2_097_152), ("1KiB/s", 1_024), ("8b/s", 1), ("50GBps", 50e9),
  ])
  func aRateIsBytesPerSecond(text: String, expected: Double) {
    #expect(Quantity.value(of: text, as: .bytesPerSecond) == expected)
  }

  /// What does not say bytes or bits, or says another thing, is not guessed.
  @Test(arguments: [
    "", "450", "450G", "450GB", "GB/s", "-1GB/s", "0GB/s", "450gb/s", "450GiB", "450Gib/s", "1e999GB/s", "nanGB/s",
    "450XB/s", "450iB/s", "450 GB / s", "450GB/h", "1 2GB/s",
  ])
  func anythingElseIsNoRate(text: String) { #expect(Quantity.value(of: text, as: .bytesPerSecond) == nil) }

  @Test(arguments: [("2TB", 2e12), ("512GiB", 549_755_813_888), ("1 PB", 1e15), ("7B", 7)])
  func aSizeIsBytes(text: String, expected: Double) { #expect(Quantity.value(of: text, as: .bytes) == expected) }

  @Test(arguments: ["2T", "2Tb", "2TB/s", "many"])
  func anythingElseIsNoSize(text: String) { #expect(Quantity.value(of: text, as: .bytes) == nil) }
}
