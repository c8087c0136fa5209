/// Memory that the pipeline recurrences reuse from call to call, and where they leave their result.
///
/// One scratch per thread; it grows to the largest pipeline it has seen and allocates nothing after that.
package struct PipelineScratch: Sendable {
  /// Stages of the pipeline priced last, 0 before the first.
  package private(set) var stageCount = 0

  /// First for every stage the end of what it has done so far: at the end of a call, of its last backward pass. Then what
  /// a recurrence keeps beside it.
  private var clocks: ContiguousArray<Double> = []

  /// - Parameter stageCapacity: Stages to make room for at once; more are made room for when they come.
  package init(stageCapacity: Int = 0) {
    reserve(2 * stageCapacity)
  }

  /// The end of a stage's last backward pass in the pipeline priced last, in seconds from the iteration's start.
  ///
  /// - Precondition: The stage was part of that pipeline.
  package func endSeconds(ofStage stageIndex: Int) -> Double {
    precondition(
      (0..<stageCount).contains(stageIndex), "stage \(stageIndex) is not one of \(stageCount)")
    return clocks[stageIndex]
  }

  /// Makes room for a pipeline's clocks and for others, sets all to 0 and lends them.
  mutating func withClocks(
    stageCount: Int, othersCount: Int = 0,
    _ body: (
      _ stageEnds: UnsafeMutableBufferPointer<Double>,
      _ others: UnsafeMutableBufferPointer<Double>
    ) -> Void
  ) {
    let count = stageCount + othersCount
    reserve(count)
    self.stageCount = stageCount
    clocks.withUnsafeMutableBufferPointer { clocks in
      let used = clocks[..<count]
      used.update(repeating: 0)
      body(
        UnsafeMutableBufferPointer(rebasing: used[..<stageCount]),
        UnsafeMutableBufferPointer(rebasing: used[stageCount...]))
    }
  }

  private mutating func reserve(_ count: Int) {
    if clocks.count < count {
      clocks = ContiguousArray(repeating: 0, count: count)
    }
  }
}
