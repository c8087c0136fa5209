package import JSONText

extension NodeStructure {
  /// The `levels` of a cluster document that follow: the one inside a node, with its
  /// rate where one follows from NVLink.
  package var clusterLevels: JSON {
    let isLinked = if case .nvlink? = deviceRange?.upperBound { true } else { false }
    var members = [
      JSONMember("name", .string(isLinked ? "nvlink" : "pcie")), JSONMember("span", .integer(devices.count)),
    ]
    if isLinked, let rate = nvlinkBytesPerSecond { members.append(JSONMember("bytes_per_second", .number(rate))) }
    return .array([.object(members)])
  }
}
