/// What a text may ask of the parser before it is refused; every limit is a count, so
/// the answer is the same everywhere.
///
/// A limit on bytes alone does not bound memory: json-c keeps about 800 bytes for every `{}`, three bytes of text.
/// Hence the two further counts. With the standard limits parsing takes less than 2 GB for the worst texts known,
/// and for a document of ordinary content about ten times its size.
package struct JSONLimits: Sendable {
  /// The most bytes a text may have.
  package let byteCount: Int

  /// The most arrays and objects that may be open at one place of the text; `[]` has depth 1.
  package let depth: Int

  /// The most values a text may have, counting scalars, arrays and objects.
  package let valueCount: Int

  /// The most objects a text may have.
  package let objectCount: Int

  /// 64 MiB of text, depth 64, 8 Mi values of which 1 Mi are objects.
  package static let standard = JSONLimits(byteCount: 64 << 20, depth: 64)

  /// The deepest nesting that any limit can allow and that can be written: parsing and writing recurse this far.
  package static let greatestDepth = 512

  /// Limits of the given counts.
  ///
  /// - Precondition: `byteCount` is in 0 ..< 2³¹ − 1, as json-c counts bytes in 32 bits; `depth` is in
  ///   0 ... ``greatestDepth``; the other counts are not negative.
  package init(byteCount: Int, depth: Int, valueCount: Int = 8 << 20, objectCount: Int = 1 << 20) {
    precondition(
      (0..<Int(Int32.max)).contains(byteCount), "the limit on bytes must be in 0 ..< 2147483647")
    precondition(
      (0...Self.greatestDepth).contains(depth),
      "the limit on depth must be in 0 ... \(Self.greatestDepth)")
    precondition(valueCount >= 0 && objectCount >= 0, "a limit on values must not be negative")
    self.byteCount = byteCount
    self.depth = depth
    self.valueCount = valueCount
    self.objectCount = objectCount
  }
}
