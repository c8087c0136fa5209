package import Documents
import JSONText

/// The repository that the tests are of, and the inputs that it ships.
package enum Shipped {
  /// The folder that holds Package.swift.
  package static let root = String(#filePath.dropLast("/Tests/TestSupport/Shipped.swift".count))

  /// The shipped inputs, by name.
  package static let catalog = Catalog(root: root)

  /// Nodes of up to four devices, A100 where no others are named, with a network of one level.
  package static func smallCluster(_ deviceCount: Int, device: String = "a100-sxm4-80gb") throws -> ClusterDescription {
    let inNode = deviceCount % 4 == 0 ? 4 : deviceCount % 2 == 0 ? 2 : deviceCount
    var levels = [ClusterDescription.Level(name: "node", span: inNode, bytesPerSecond: 300e9)]
    if deviceCount > inNode {
      levels.append(ClusterDescription.Level(name: "network", span: deviceCount, bytesPerSecond: 25e9))
    }
    return try ClusterDescription(
      name: "small", device: catalog.device(device),
      nodeNames: (0..<deviceCount / inNode).map { "n\($0)" }, devicesPerNode: inNode, levels: levels)
  }
}
