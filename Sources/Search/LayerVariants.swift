import Costing
import Documents

/// How the layers of a model can be made up: runs of as many layers differ in how many of them have experts.
struct LayerVariants {
  let kinds: LayerKinds
  /// The most ways in which any number of layers is made up; 1 where layers are alike.
  let count: Int
  /// Of every number of layers, the fewest with experts in any run of them.
  private let fewestExperts: [Int]
  /// Of every number of layers and every way, where the first run of it begins; −1 where there is none.
  private let starts: [Int]

  /// - Parameter most: layers of a run.
  init(_ kinds: LayerKinds, most: Int) {
    self.kinds = kinds
    guard !kinds.areAlike else {
      (count, fewestExperts, starts) = (1, [], [])
      return
    }
    let counts = (0...most).map { layers in
      (0...max(0, kinds.layerCount - layers)).map { kinds.counts(in: $0..<min(kinds.layerCount, $0 + layers)).experts }
    }
    let fewest = counts.map { $0.min() ?? 0 }
    let ways = zip(counts, fewest).reduce(1) { max($0, ($1.0.max() ?? 0) - $1.1 + 1) }
    var starts = [Int](repeating: -1, count: (most + 1) * ways)
    for layers in 0...most {
      for (start, experts) in counts[layers].enumerated().reversed() {
        starts[layers * ways + experts - fewest[layers]] = start
      }
    }
    (count, fewestExperts, self.starts) = (ways, fewest, starts)
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
    let start = starts[layers * count + variant]
    return start < 0 ? nil : StageLayers(start..<start + layers, of: kinds)
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
