/// Clusters of a family, which differ in their number of nodes alone: `dgx-h100-8` is made from `dgx-h100-16`.
extension ClusterDescription {
  /// The same nodes on the same network in another number, under another name.
  ///
  /// Fewer nodes keep the levels of links that they need; the outermost spans them all. More nodes are the same
  /// network only where it is described as one level that slows nobody down: how a network of several levels goes on,
  /// or what it loses beyond the nodes it was built for, its description does not say.
  ///
  /// - Throws: a sentence where the description does not say what the links of so many nodes would be.
  package func member(ofNodes count: Int, name: String) throws(Contradiction) -> ClusterDescription {
    func refusal(_ why: String) -> Contradiction { Contradiction("\(self.name) cannot be made \(name): \(why)") }
    guard !namesHosts, measured == nil else {
      throw refusal("it is \(nodeCount.counted("host")) by name; --nodes takes a part of them")
    }
    guard !isMixed else { throw refusal("its nodes have different devices; describe the cluster in a file") }
    let outer = levels.filter { $0.span > devicesPerNode }
    if count > nodeCount {
      guard let network = outer.last else {
        throw refusal(
          count == 1 ? "it has no node" : "it describes one node and no network; state one with --device and --inter")
      }
      // Full domains go on as the first ones are.
      let networkLevels = outer.count { !$0.isScaleUp }
      guard networkLevels == 1 else {
        throw refusal(
          "its network of \(networkLevels.counted("level")) is described for \(nodeCount.counted("node")), "
            + "and not how it goes on")
      }
      guard network.oversubscription == 1 else {
        throw refusal(
          "level \"\(network.name)\" is oversubscribed for \(nodeCount.counted("node")), "
            + "and nobody says by how much for more")
      }
    }
    let devices = count * devicesPerNode
    guard devices <= Self.largestDeviceCount else {
      throw refusal("\(devices.grouped) devices are more than \(Self.largestDeviceCount.grouped)")
    }
    var levels = levels.filter { $0.span <= devicesPerNode } + outer.dropLast().filter { $0.span < devices }
    if devices > levels.last?.span ?? 1, let network = outer.first(where: { $0.span >= devices }) ?? outer.last {
      // An island of a network may be filled in part.
      let below = levels.last?.span ?? 1
      levels.append(network.spanning((devices + below - 1) / below * below))
    }
    return try ClusterDescription(
      name: name, source: "\(count.counted("node")) made from \(self.name): \(source)", device: device,
      nodeNames: Self.countingNames(count), namesHosts: false, devicesPerNode: devicesPerNode, levels: levels,
      host: host)
  }
}

extension ClusterDescription.Level {
  /// The same links among another number of devices.
  package func spanning(_ span: Int) -> ClusterDescription.Level {
    ClusterDescription.Level(
      name: name, span: span, bytesPerSecond: bytesPerSecond, latencySeconds: latencySeconds, efficiency: efficiency,
      sharedBytesPerSecond: sharedBytesPerSecond, oversubscription: oversubscription, hasFlatRings: hasFlatRings,
      isScaleUp: isScaleUp, wideArea: wideArea)
  }
}
