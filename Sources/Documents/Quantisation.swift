/// How numbers are quantised into fewer bits: codes of few bits, and one fp32 step
/// for every group of consecutive elements.
///
/// Symmetric, as in ZeRO++ (Wang et al. 2023; DeepSpeed's `CUDAQuantizer`): with A the largest magnitude
/// of a group, the step is Δ = A / 2^(bits − 1), or 1 where A is 0; a number's code is rint(x / Δ), ties
/// to even, kept inside −2^(bits − 1) … 2^(bits − 1) − 1, and stands for code · Δ. It is off by Δ/2 at
/// most, and by Δ at most near +A, whose code does not exist.
///
/// On the wire, a run of n elements is ⌈n · bits / 32⌉ words of codes and then a word for each step: 4 bytes each, so
/// that quantised numbers travel through the same collectives as others.
package struct Quantisation: Sendable, Hashable {
  /// Bits of a code: 8 or 4.
  package let bitCount: Int
  /// Elements that share a step, at most.
  package let groupLength: Int

  /// Of weights: INT8 in groups of 2,048.
  package static let weights = Quantisation(bitCount: 8, groupLength: 2048)
  /// Of gradients: INT4 in groups of 256.
  package static let gradients = Quantisation(bitCount: 4, groupLength: 256)

  /// Bytes of a word on the wire.
  package static let wordByteCount = 4

  /// Steps of a run of elements.
  package func groupCount(elementCount: Int) -> Int { (elementCount + groupLength - 1) / groupLength }

  /// Words of the codes of a run of elements.
  package func codeWordCount(elementCount: Int) -> Int { (elementCount * bitCount + 31) / 32 }

  /// Words of a run of elements, codes and steps.
  package func wordCount(elementCount: Int) -> Int {
    codeWordCount(elementCount: elementCount) + groupCount(elementCount: elementCount)
  }

  /// Words of a tensor of which each of `rankCount` ranks quantises its own chunk: as many for each rank as the longest
  /// chunk takes, so that what is gathered is cut evenly.
  package func gatheredWordCount(elementCount: Int, rankCount: Int) -> Int {
    rankCount * wordCount(elementCount: (elementCount + rankCount - 1) / rankCount)
  }
}

extension Quantisation: CustomStringConvertible {
  /// `INT8`.
  package var description: String { "INT\(bitCount)" }
}
