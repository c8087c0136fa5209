import Documents
import Glibc

extension DeviceProfile.Framework {
  /// The factor, at least 1, by which a host that needs so long to launch slows a device that needs so long to compute:
  /// `(device^k + host^k)^(1/k) / device`, k the framework's sharpness.
  ///
  /// A large k is the maximum of the two: the host runs ahead. A small one says that they wait for each other part of the
  /// time, as runs of Megatron-DeepSpeed show.
  func slowdown(device: Double, host: Double) -> Double {
    guard host > 0, device > 0 else { return 1 }
    let ratio = host / device, k = floorSharpness
    return ratio <= 1 ? pow(1 + pow(ratio, k), 1 / k) : ratio * pow(1 + pow(1 / ratio, k), 1 / k)
  }
}
