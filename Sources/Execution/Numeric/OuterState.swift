import Documents

/// What outer steps keep of a range of parameters: the anchor and its momentum.
///
/// A step works element by element, so that any division gives the same bits.
struct OuterState: Sendable, Equatable {
  /// The parameters from which all workers began the round.
  private(set) var anchor: [Float]
  /// Empty where outer steps keep none.
  private(set) var momentum: [Float]

  /// - Parameter anchor: initial values of the range.
  init(anchor: [Float], settings: OuterOptimizer) {
    self.anchor = anchor
    momentum = settings.hasMomentum ? [Float](repeating: 0, count: anchor.count) : []
  }

  /// What a worker has moved by since the round began: the anchor less its parameters.
  func progress(of parameters: [Float]) -> [Float] {
    precondition(parameters.count == anchor.count, "progress is that of the range")
    return zip(anchor, parameters).map { $0 - $1 }
  }

  /// One outer step, see ``Documents/OuterOptimizer``.
  ///
  /// - Parameters:
  ///   - sum: of what all workers have moved by, on the same range.
  ///   - penalty: Λ.
  /// - Returns: what the anchor has moved by.
  mutating func step(
    bySum sum: ArraySlice<Float>, workerCount: Int, penalty: Float, settings: OuterOptimizer
  ) -> [Float] {
    precondition(sum.count == anchor.count, "a step takes the sum of the range")
    let decay = Float(settings.momentum), rate = Float(settings.learningRate), limit = settings.clip.map { Float($0) }
    var moved = [Float](repeating: 0, count: anchor.count)
    for (index, value) in sum.enumerated() {
      let mean = value / Float(workerCount) / penalty
      var velocity = momentum.isEmpty ? mean : decay * momentum[index] + mean
      if let limit { velocity = min(max(velocity, -limit), limit) }
      if !momentum.isEmpty { momentum[index] = velocity }
      moved[index] = rate * velocity
      anchor[index] -= moved[index]
    }
    return moved
  }
}

/// How far anchors have moved, which gap-aware penalties go by.
struct AnchorSteps: Sendable, Equatable {
  /// Sum of squares of what the last outer step moved the anchor by; 0 before the first.
  var lastSquares: Float = 0
  /// The furthest that it has moved in a step so far.
  private var longest = 0.0

  /// Λ of the next outer step.
  mutating func penalty(_ policy: OuterOptimizer.Penalty) -> Float {
    switch policy {
    case .constant(let divisor): return Float(divisor)
    case .gapAware(let scale):
      let last = Double(lastSquares).squareRoot()
      longest = max(longest, last)
      return longest > 0 ? Float(1 + scale * last / longest) : 1
    }
  }
}
