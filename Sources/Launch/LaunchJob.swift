import Documents

/// What launchers know of a plan: how many ranks, on which hosts, and under which name.
struct LaunchJob {
  /// Of the model and the framework: lower-case letters, digits and hyphens, at most 40, a letter first, so that Slurm
  /// and Kubernetes take it.
  let name: String
  let nodeCount: Int
  let ranksPerNode: Int
  /// In the plan's order; nil where they are known at launch only.
  let hosts: [String]?
  /// The resource that a device of the plan's kind is to Kubernetes.
  let deviceResource: String

  var rankCount: Int { nodeCount * ranksPerNode }

  init(_ plan: Plan, targetName: String, hosts: HostAssignment) {
    nodeCount = plan.arrangement.nodeOrder.count
    ranksPerNode = plan.cluster.devicesPerNode
    self.hosts = hosts.hosts
    name = Self.label("\(plan.job.model.name)-\(targetName)")
    // The names under which the device plugins of the two vendors offer their devices.
    deviceResource = plan.cluster.device.name.lowercased().hasPrefix("mi") ? "amd.com/gpu" : "nvidia.com/gpu"
  }

  private static func label(_ text: String) -> String {
    var label = ""
    for byte in text.lowercased().utf8 {
      let isPlain = byte.isASCIILetterOrDigit
      if isPlain { label.unicodeScalars.append(Unicode.Scalar(byte)) } else if label.last != "-" { label += "-" }
    }
    label = String(label.drop { !$0.isLetter }.prefix(40))
    while label.last == "-" { label.removeLast() }
    return label.isEmpty ? "training" : label
  }
}

/// A setting of `settings.sh` that a launcher asks for.
struct LauncherSetting {
  enum Value {
    case word(String)
    /// Words of a command line, none at first.
    case words
  }

  let name: String
  let value: Value
  let comment: String
}
