import Documents

/// What devices have in their nodes' memory, and whether it holds that.
struct HostMemoryReport {
  let prediction: Documents.Prediction
  let strategy: Documents.Strategy
  let cluster: ClusterDescription

  /// A line; empty where everything is on the devices.
  var text: String {
    let bytes = strategy.hostBytes(of: prediction.stageMemory, devicesPerNode: cluster.devicesPerNode)
    guard bytes > 0, let host = cluster.host else { return "" }
    return """
      Memory of a node: \(Format.gigabytes(bytes)) of the \(Format.gigabytes(host.usableMemoryBytes)) that a run may take of \
      \(Format.gigabytes(host.memoryBytes)) (\(bytes <= host.usableMemoryBytes ? "fits" : "does not fit"))

      """
  }
}
