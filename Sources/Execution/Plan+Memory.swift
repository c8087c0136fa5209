import Costing
package import Documents

extension Plan {
  /// A stage that needs more memory than a device can hold.
  package struct MemoryExcess: Sendable, Equatable {
    package let stage: Int
    package let peakBytes: Int
    /// What can be used of a device's memory.
    package let limitBytes: Int
  }

  /// The stage that exceeds the device's limit most, at the plan's full size; nil if all fit.
  package var memoryExcess: MemoryExcess? {
    let stage = tightestStageIndex
    let limit = usableMemoryBytes(of: smallestDevice(ofStage: stage))
    let peak = prediction.stageMemory[stage].peakBytes
    return peak > limit ? MemoryExcess(stage: stage, peakBytes: peak, limitBytes: limit) : nil
  }
}
