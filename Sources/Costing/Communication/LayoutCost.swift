package import Documents

/// One mesh on a cluster: its links as each model of device reaches them, and the devices under each stage.
///
/// Computed once per mesh and shared by all strategies that differ in other respects.
package struct LayoutCost: Sendable {
  /// Which rank does what.
  package let mesh: Mesh
  /// Which layers of the model have experts.
  let kinds: LayerKinds
  /// By model of device, in the cluster's order.
  let links: [LayoutLinks]
  /// By stage, the models of device on which it lies, ascending.
  let devices: [[Int]]
  /// By stage, the first of these.
  let firstDevices: [Int]
  /// Stages that lie on more than one model.
  let sharedStages: [Int]

  /// - Parameters:
  ///   - links: by model of device, at least one.
  ///   - devices: by stage, indices into `links`, at least one.
  init(_ mesh: Mesh, kinds: LayerKinds, links: [LayoutLinks], devices: [[Int]]) {
    self.mesh = mesh
    self.kinds = kinds
    self.links = links
    self.devices = devices
    firstDevices = devices.map { $0[0] }
    sharedStages = devices.indices.filter { devices[$0].count > 1 }
  }
}
