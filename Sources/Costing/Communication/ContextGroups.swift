import Documents
import Training

/// The slowest groups of ranks that divide a sequence, as their exchanges see them.
struct ContextGroups: Sendable, Equatable {
  /// Neighbours that exchange sequences for heads.
  let heads: CommunicationGroup
  /// Ranks that share keys and values.
  let sequence: CommunicationGroup

  static let none = ContextGroups(heads: .alone, sequence: .alone)

  /// Seconds on the links of one collective, whatever hides it.
  func seconds(of collective: TensorCollective) -> Double {
    (collective.ranks == .headGroup ? heads : sequence).seconds(
      of: collective.kind, byteCount: Double(collective.byteCount))
  }

  /// Seconds of a block's exchanges in one pass that nothing hides.
  ///
  /// What is gathered or exchanged for heads is waited for. What goes round does so while attention to the keys of the step
  /// before is computed: `Σ max(0, hops − step)` over the C steps. Forward the next keys are on their way in each but the
  /// last; backward in each but the last two the next keys and the gradients of the step before.
  func exposedSeconds(_ pass: Account) -> Double {
    var seconds = 0.0, hopSeconds = 0.0, hopCount = 0
    for equal in pass.contextCollectives {
      let ofEach = self.seconds(of: equal.collective)
      switch equal.collective.kind {
      case .shift, .shiftBack: (hopSeconds, hopCount) = (ofEach, hopCount + equal.count)
      case .allGather, .reduceScatter, .allReduce, .allToAll: seconds += Double(equal.count) * ofEach
      }
    }
    guard hopCount > 0 else { return seconds }
    let stepCount = sequence.rankCount, step = pass.attentionSeconds / Double(stepCount)
    func exposed(_ hops: Double) -> Double { max(0, hops * hopSeconds - step) }
    let isForward = hopCount == stepCount - 1
    return seconds
      + (isForward
        ? Double(hopCount) * exposed(1) : 2 * exposed(1) + Double(max(0, stepCount - 2)) * exposed(2))
  }
}
