/// Plans of the first major version, `sextant.plan/1`.
///
/// They searched the whole lattice for the fastest strategy, did not say how many of the best they looked for, and held
/// the launch arguments of some frameworks, which are made anew on export.
extension Plan.Question {
  init(firstMajor fields: inout Fields, job: TrainingJob, cluster: ClusterDescription) throws(DocumentError) {
    _ = try fields.required("launch").fields()
    var next = 0
    for entry in try fields.required("alternatives").array(count: 0...1_000) {
      var alternative = try entry.fields()
      if alternative.optional("kind") == nil { next += 1 }
    }
    var arrangement = try fields.required("arrangement").fields()
    try self.init(
      cluster: cluster, job: job,
      nodeCount: arrangement.required("nodes").array(count: 1...cluster.nodeCount).count,
      coefficientName: Self.coefficientName(fields.required("framework"), cluster: cluster),
      fixed: StrategyPattern(fields.required("fixed")),
      allowance: fields.optional("allowed").map { (field) throws(DocumentError) in try Allowance(field) } ?? .exact,
      resultCount: next + 1)
  }
}
