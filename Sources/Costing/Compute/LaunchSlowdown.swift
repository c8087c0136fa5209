import Documents
import Glibc

extension DeviceProfile.Framework {
  /// The factor, at least 1, by which a host that needs so long to launch slows a device that needs so long to compute:
  /// `(device^k + host^k)^(1/k) / device`, k the framework's sharpness.
  ///
  /// A large k is the maximum of the two: the host runs ahead. A small one says that they wait for each other part of
  /// the time, as runs of Megatron-DeepSpeed show.
  func slowdown(device: Double, host: Double) -> Double {
    guard host > 0, device > 0 else { return 1 }
    let ratio = host / device, k = floorSharpness
    return ratio <= 1 ? pow(1 + pow(ratio, k), 1 / k) : ratio * pow(1 + pow(1 / ratio, k), 1 / k)
  }

  /// How far the device and not its host sets the pace, 0…1: `min(1, (device/host)^6)`.
  ///
  /// Only a host that is ahead of the device asks for memory before what it asked for earlier is free. The power is
  /// read off the runs of nanotron on H100: between a quarter and the whole of the host's time their memory grows by
  /// what a power between 6 and 7 gives.
  func deviceBoundShare(device: Double, host: Double) -> Double {
    guard host > device, memory.pendingActivationFactor > 0 else { return 1 }
    let ratio = device / host, cube = ratio * ratio * ratio
    return cube * cube
  }
}
