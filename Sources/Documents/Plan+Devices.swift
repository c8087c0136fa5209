/// The devices that a plan's stages lie on.
extension Plan {
  /// The devices of a stage: of several models, the one that can use the least memory.
  package func smallestDevice(ofStage stage: Int) -> DeviceProfile {
    let models = cluster.deviceModels(
      ofStage: stage, of: strategy.mesh, nodeOrder: arrangement.nodeOrder
    ).map { cluster.devices[$0] }
    return models.min { $0.usableMemoryBytes < $1.usableMemoryBytes } ?? cluster.device
  }

  /// The stage whose devices come nearest to what they can use, or exceed it most; the first of equals.
  package var tightestStageIndex: Int {
    guard cluster.isMixed else { return prediction.tightestStageIndex }
    func room(_ stage: Int) -> Int {
      smallestDevice(ofStage: stage).usableMemoryBytes - prediction.stageMemory[stage].peakBytes
    }
    return prediction.stageMemory.indices.min { (room($0), $0) < (room($1), $1) } ?? 0
  }
}

extension DeviceProfile {
  /// What can be used of a device's memory.
  package var usableMemoryBytes: Int { Int(Double(datasheet.memoryBytes) * memory.limitFraction) }
}
