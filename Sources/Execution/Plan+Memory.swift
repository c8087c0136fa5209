import Costing
public import Documents

extension Plan {
  /// A stage that needs more memory than a device can hold.
  public struct MemoryExcess: Sendable, Equatable {
    public let stage: Int
    public let peakBytes: Int
    /// What can be used of a device's memory.
    public let limitBytes: Int
  }

  /// The stage that exceeds the device's limit most, at the plan's full size; nil if all fit.
  public var memoryExcess: MemoryExcess? {
    let stage = tightestStageIndex
    let limit = smallestDevice(ofStage: stage).usableMemoryBytes
    let peak = prediction.stageMemory[stage].peakBytes
    return peak > limit ? MemoryExcess(stage: stage, peakBytes: peak, limitBytes: limit) : nil
  }
}
