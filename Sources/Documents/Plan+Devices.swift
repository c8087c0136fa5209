/// The devices that a plan's stages lie on.
extension Plan {
  /// The devices of a stage: of several models, the one that can use the least memory.
  package func smallestDevice(ofStage stage: Int) -> DeviceProfile {
    let models = cluster.deviceModels(
      ofStage: stage, of: strategy.mesh, nodeOrder: arrangement.nodeOrder
    ).map { cluster.devices[$0] }
    return models.min { usableMemoryBytes(of: $0) < usableMemoryBytes(of: $1) } ?? cluster.device
  }

  /// What the plan's framework can use of a device's memory.
  package func usableMemoryBytes(of device: DeviceProfile) -> Int {
    let share =
      device.framework(named: question.coefficientName).map { device.limitFraction(of: $0) }
      ?? device.memory.limitFraction
    return Int(Double(device.datasheet.memoryBytes) * share)
  }

  /// The stage whose devices come nearest to what they can use, or exceed it most; the first of equals.
  package var tightestStageIndex: Int {
    guard cluster.isMixed else { return prediction.tightestStageIndex }
    func room(_ stage: Int) -> Int {
      usableMemoryBytes(of: smallestDevice(ofStage: stage)) - prediction.stageMemory[stage].peakBytes
    }
    return prediction.stageMemory.indices.min { (room($0), $0) < (room($1), $1) } ?? 0
  }
}

extension DeviceProfile {
  /// Share of the memory below which a framework's peak fits.
  package func comfortableFraction(of framework: Framework) -> Double {
    framework.memory.comfortableFraction ?? memory.comfortableFraction
  }

  /// Share of the memory above which a framework's peak does not fit.
  package func limitFraction(of framework: Framework) -> Double {
    max(framework.memory.limitFraction ?? memory.limitFraction, comfortableFraction(of: framework))
  }
}
