import Documents

/// How many layers the stages of a strategy hold on each model of device, worked out once for all orders of the nodes.
///
/// An order says on which models a stage lies, and what it holds there is the same in all of them.
package struct StageCapacities {
  private let deviceCount: Int
  /// By stage, model of device, limit and whether layers are kept; -1 what nobody asked for yet.
  private var layerCounts: [Int] = []

  /// - Parameter deviceCount: models of device of the cluster.
  package init(deviceCount: Int) { self.deviceCount = deviceCount }

  /// Forgets all, for another strategy or another freedom of its stages.
  package mutating func begin(stageCount: Int) {
    layerCounts.removeAll(keepingCapacity: true)
    layerCounts.append(contentsOf: repeatElement(-1, count: stageCount * deviceCount * 4))
  }

  /// What is known of a stage, worked out if it is not known yet, or if nobody is to know.
  ///
  /// - Parameters:
  ///   - limit: one that a verdict leaves, no bytes more or less.
  ///   - isKept: of layers that recompute nothing.
  @inline(__always)
  static func capacity(
    _ known: inout Self?, stage: Int, device: Int, within limit: MemoryLimit, isKept: Bool, work: () -> Int
  ) -> Int {
    guard known != nil, limit.extraBytes == 0 else { return work() }
    return known?.capacity(stage, device, isFits: limit.verdict == .fits, isKept: isKept, work: work) ?? work()
  }

  @inline(__always)
  private mutating func capacity(_ stage: Int, _ device: Int, isFits: Bool, isKept: Bool, work: () -> Int) -> Int {
    let place = (stage * deviceCount + device) * 4 + (isFits ? 2 : 0) + (isKept ? 1 : 0)
    if layerCounts[place] < 0 { layerCounts[place] = work() }
    return layerCounts[place]
  }
}
