import Documents

/// `placement.tsv` and `hosts`: where every rank belongs.
enum PlacementFile {
  static let name = "placement.tsv"
  static let hostsName = "hosts"

  /// A line a rank: rank, node, device in the node, pipeline stage. A node is its host's name where that is known.
  static func placement(of plan: Plan, hosts: [String]?) -> LaunchFile {
    var text = "rank\tnode\tdevice\tstage\n"
    let mesh = plan.strategy.mesh
    for (index, ranks) in plan.ranksByNode.enumerated() {
      let node = hosts?[index] ?? "node-\(index)"
      for (device, rank) in ranks.enumerated() {
        text += "\(rank)\t\(node)\t\(device)\t\(mesh.coordinate(ofRank: rank, along: .pipeline))\n"
      }
    }
    return LaunchFile(name: name, text: text)
  }

  /// A host file in the plan's order, as Open MPI and DeepSpeed read it.
  static func hosts(of job: LaunchJob) -> LaunchFile {
    guard let hosts = job.hosts else {
      return LaunchFile(
        name: hostsName,
        text: """
          # The nodes of the plan have no names of their own, and any host can be any of them. Name \(job.nodeCount) here, a line
          # each, unless Slurm or Kubernetes chooses them: host slots=\(job.ranksPerNode)

          """)
    }
    return LaunchFile(
      name: hostsName, text: hosts.map { "\($0) slots=\(job.ranksPerNode)\n" }.joined())
  }
}
