import Documents

/// The arithmetic of ``Documents/Quantisation``. A word is carried in the bit pattern of a `Float`, which is only ever
/// copied: messages are arrays of those.
extension Quantisation {
  /// Appends the words of a run of numbers: codes, lowest bits first, then the steps of the groups. A group with a
  /// number that is not finite has a step that is none, so that it shows.
  func quantise(_ values: ArraySlice<Float>, into words: inout [Float]) {
    let perWord = 32 / bitCount
    let lowest = -Float(1 << (bitCount - 1)), highest = Float(1 << (bitCount - 1) - 1)
    let mask: UInt32 = 1 << UInt32(bitCount) - 1
    var codes = [UInt32](repeating: 0, count: codeWordCount(elementCount: values.count))
    var steps: [Float] = []
    for first in stride(from: 0, to: values.count, by: groupLength) {
      let group = values[values.startIndex + first..<values.startIndex + min(first + groupLength, values.count)]
      let step = Self.step(of: group, levelCount: -lowest)
      steps.append(step)
      for (offset, value) in group.enumerated() {
        let scaled = (value / step).rounded(.toNearestOrEven)
        let code = scaled.isNaN ? 0 : Int32(min(max(scaled, lowest), highest))
        let place = first + offset
        codes[place / perWord] |= (UInt32(bitPattern: code) & mask) << UInt32(place % perWord * bitCount)
      }
    }
    words.append(contentsOf: codes.lazy.map(Float.init(bitPattern:)))
    words.append(contentsOf: steps)
  }

  private static func step(of group: ArraySlice<Float>, levelCount: Float) -> Float {
    var largest: Float = 0
    for value in group {
      guard value.isFinite else { return .nan }
      largest = max(largest, abs(value))
    }
    return largest == 0 ? 1 : largest / levelCount
  }

  /// What a run of words stands for.
  ///
  /// - Precondition: there are at least as many words as the elements take.
  func dequantise(_ words: ArraySlice<Float>, elementCount: Int) -> [Float] {
    precondition(words.count >= wordCount(elementCount: elementCount), "a run of words is too short")
    let perWord = 32 / bitCount
    let steps = words.dropFirst(codeWordCount(elementCount: elementCount))
    return [Float](unsafeUninitializedCapacity: elementCount) { values, count in
      for index in 0..<elementCount {
        let word = words[words.startIndex + index / perWord].bitPattern
        // The code's highest bit is its sign.
        let code = Int32(bitPattern: word << UInt32(32 - bitCount - index % perWord * bitCount)) >> Int32(32 - bitCount)
        values[index] = Float(code) * steps[steps.startIndex + index / groupLength]
      }
      count = elementCount
    }
  }

  /// A run of numbers as its receivers see it.
  func rounded(_ values: ArraySlice<Float>) -> [Float] {
    var words: [Float] = []
    quantise(values, into: &words)
    return dequantise(words[...], elementCount: values.count)
  }
}
