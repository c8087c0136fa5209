import Documents
import Training

extension MicroBatchCost.Passes {
  /// Passes whose collectives nothing hides, of embedding and head.
  init(forward: Account, backward: Account, group: CommunicationGroup) {
    func seconds(_ account: Account) -> Double {
      account.collectives.reduce(0) {
        $0 + Double($1.count) * group.seconds(of: $1.collective.kind, byteCount: Double($1.collective.byteCount))
      }
    }
    forwardComputeSeconds = forward.seconds
    forwardTensorSeconds = seconds(forward)
    backwardComputeSeconds = backward.seconds + backward.accumulationSeconds
    backwardTensorSeconds = seconds(backward)
  }

  /// Adds what is run again before the backward pass, as the forward pass that it is part of.
  mutating func addAgain(_ again: Self) {
    recomputeSeconds += again.forwardComputeSeconds
    backwardTensorSeconds += again.forwardTensorSeconds
    backwardContextSeconds += again.forwardContextSeconds
    backwardExpertSeconds += again.forwardExpertSeconds
  }

  /// All that passes take, by cause.
  private static var causes: [any WritableKeyPath<Self, Double> & Sendable] {
    [
      \.forwardComputeSeconds, \.forwardTensorSeconds, \.forwardContextSeconds, \.forwardExpertSeconds,
      \.backwardComputeSeconds, \.backwardTensorSeconds, \.backwardContextSeconds, \.backwardExpertSeconds,
      \.recomputeSeconds, \.weightGradientSeconds,
    ]
  }

  /// Adds the passes of another part.
  mutating func add(_ other: Self) {
    for cause in Self.causes { self[keyPath: cause] += other[keyPath: cause] }
  }

  /// Adds what so many layers of each kind take longer than others; no cause takes less than nothing by that.
  mutating func add(_ layers: LayerCounts, as own: ByKind<Self>, for others: ByKind<Self>) {
    for cause in Self.causes {
      let added = own.sum(layers) { $0[keyPath: cause] } - others.sum(layers) { $0[keyPath: cause] }
      self[keyPath: cause] = max(0, self[keyPath: cause] + added)
    }
  }

  /// Passes of a block, whose collectives a framework runs at a rate of its own, and beside its products for a share.
  init(
    forward: Account, backward: Account, group: CommunicationGroup, context: ContextGroups,
    experts: ExpertGroups, framework: DeviceProfile.Framework
  ) {
    func exposedSeconds(_ account: Account) -> Double {
      var seconds = 0.0, regatherSeconds = 0.0, count = 0
      for equal in account.collectives {
        // A share of the rate: the bytes that would take as long at the full one.
        let ofEach = group.seconds(
          of: equal.collective.kind, byteCount: Double(equal.collective.byteCount) / framework.tensorRateFraction)
        count += equal.count
        if equal.collective.operand == .columnInput {
          regatherSeconds += Double(equal.count) * ofEach
        } else {
          seconds += Double(equal.count) * ofEach
        }
      }
      // The gathers of inputs for the weights' gradients run under the product that does not
      // need them (Korthikanti et al. 2022, section 4.2.2).
      seconds += max(0, regatherSeconds - account.columnInputGradientSeconds)
      return seconds - framework.tensorOverlapFraction * min(seconds, account.seconds)
        + Double(count) * framework.tensorCollectiveSeconds
    }
    forwardComputeSeconds = forward.seconds
    forwardTensorSeconds = exposedSeconds(forward)
    backwardComputeSeconds = backward.seconds + backward.accumulationSeconds
    backwardTensorSeconds = exposedSeconds(backward)
    forwardContextSeconds = context.exposedSeconds(forward)
    backwardContextSeconds = context.exposedSeconds(backward)
    forwardExpertSeconds = experts.seconds(forward)
    backwardExpertSeconds = experts.seconds(backward)
  }
}
