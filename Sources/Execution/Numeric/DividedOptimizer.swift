/// The optimizer states of what a rank updates of a part: those of its first elements lie on the host, which takes their steps, and
/// the others on the device.
///
/// A step works element by element, so that wherever it is cut it gives the same bits.
struct DividedOptimizer: Sendable {
  private(set) var onHost: OptimizerState
  private(set) var onDevice: OptimizerState

  /// - Parameters:
  ///   - masters: initial values of all elements.
  ///   - hostCount: of them, those on the host.
  init(masters: [Float], hostCount: Int = 0, settings: OptimizerSettings) {
    onHost = OptimizerState(masters: Array(masters.prefix(hostCount)), settings: settings)
    onDevice = OptimizerState(masters: Array(masters.dropFirst(hostCount)), settings: settings)
  }

  /// Elements that the host updates.
  var hostCount: Int { onHost.masters.count }

  /// The parameters that are updated, all of them.
  var masters: [Float] { hostCount == 0 ? onDevice.masters : onHost.masters + onDevice.masters }

  /// One step, see ``OptimizerState/update(gradient:scale:step:settings:)``.
  mutating func update(gradient: ArraySlice<Float>, scale: Float, step: Int, settings: OptimizerSettings) {
    onHost.update(gradient: gradient.prefix(hostCount), scale: scale, step: step, settings: settings)
    onDevice.update(gradient: gradient.dropFirst(hostCount), scale: scale, step: step, settings: settings)
  }

  /// Goes on from other parameters, with the moments as they are.
  mutating func replaceMasters(with parameters: [Float], settings: OptimizerSettings) {
    onHost.replaceMasters(with: Array(parameters.prefix(hostCount)), settings: settings)
    onDevice.replaceMasters(with: Array(parameters.dropFirst(hostCount)), settings: settings)
  }
}
