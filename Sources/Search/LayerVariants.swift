import Costing
import Documents

/// How the layers of a model can be made up: runs of as many layers differ in how many of them have experts.
struct LayerVariants {
  let kinds: LayerKinds
  /// The most ways in which any number of layers is made up; 1 where layers are alike.
  let count: Int
  /// Of every number of layers, the fewest with experts in any run of them.
  private let fewestExperts: [Int]
  /// So many runs of any length, those that begin first, are made up in all ways in which runs of that length are.
  private let startCount: Int

  /// - Parameter most: layers of a run.
  /// - Complexity: O(layers) where kinds repeat themselves after a few layers, or change a few times only near the beginning.
  init(_ kinds: LayerKinds, most: Int) {
    self.kinds = kinds
    guard !kinds.areAlike else {
      (count, fewestExperts, startCount) = (1, [], 0)
      return
    }
    startCount = Self.startCount(kinds)
    var fewest: [Int] = []
    fewest.reserveCapacity(most + 1)
    var ways = 1
    for layers in 0...most {
      let starts = 0..<min(startCount, max(0, kinds.layerCount - layers) + 1)
      var (least, largest) = (Int.max, 0)
      for start in starts {
        let experts = kinds.counts(in: start..<min(kinds.layerCount, start + layers)).experts
        (least, largest) = (min(least, experts), max(largest, experts))
      }
      fewest.append(least)
      ways = max(ways, largest - least + 1)
    }
    (count, fewestExperts) = (ways, fewest)
  }

  /// The longest period that is looked for.
  private static let longestPeriod = 64

  /// Where kinds repeat themselves from a layer on, runs that begin after the first repetition are made up as others before
  /// them are; at worst every layer begins a run of its own.
  private static func startCount(_ kinds: LayerKinds) -> Int {
    let isExpert = (0..<kinds.layerCount).map { kinds.counts(in: $0..<$0 + 1).experts == 1 }
    return (1...longestPeriod).reduce(kinds.layerCount + 1) { least, period in
      var begin = max(0, kinds.layerCount - period)
      while begin > 0, isExpert[begin - 1] == isExpert[begin - 1 + period] { begin -= 1 }
      return min(least, begin + period)
    }
  }

  /// Which way layers are made up after so many.
  @inline(__always)
  func variant(after used: Int, layers: Int) -> Int {
    count == 1 ? 0 : kinds.counts(in: used..<used + layers).experts - fewestExperts[layers]
  }

  /// Layers that are made up one way; nil where there are none, or none for a stage.
  func layers(_ layers: Int, variant: Int, stage: Int) -> StageLayers? {
    if count == 1 { return StageLayers(0..<layers, of: kinds) }
    // The first stage has the first layers.
    if stage == 0 {
      return self.variant(after: 0, layers: layers) == variant ? StageLayers(0..<layers, of: kinds) : nil
    }
    let starts = 0..<min(startCount, max(0, kinds.layerCount - layers) + 1)
    guard let start = starts.first(where: { self.variant(after: $0, layers: layers) == variant }) else { return nil }
    return StageLayers(start..<start + layers, of: kinds)
  }

  /// The runs of columns after which layers are made up the same way.
  @inline(__always)
  func forEachRun(of layers: Int, in columns: Range<Int>, _ body: (_ columns: Range<Int>, _ variant: Int) -> Void) {
    if count == 1 {
      body(columns, 0)
      return
    }
    var start = columns.lowerBound
    while start < columns.upperBound {
      let own = variant(after: start, layers: layers)
      var end = start + 1
      while end < columns.upperBound, variant(after: end, layers: layers) == own { end += 1 }
      body(start..<end, own)
      start = end
    }
  }
}
