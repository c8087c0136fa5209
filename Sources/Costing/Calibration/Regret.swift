import Documents

/// What following the model would have cost: within each group of runs that compete, the measured throughput of the
/// configuration it would choose, against the best measured.
package struct Regret: Sendable {
  /// Runs of the same model on the same devices with the same tokens an iteration.
  package struct Group: Sendable, Equatable {
    /// The source and what its runs have in common.
    package let name: String
    /// 1 − measured throughput of the choice / best measured; 1 when the choice failed.
    package let regret: Double
    /// The run that the model would choose.
    package let choiceID: String
  }

  /// By name. Groups with fewer than five successful runs are left out.
  package let groups: [Group]

  /// The middle of the groups; nil without groups.
  package var median: Double? { groups.map(\.regret).median }
  /// The mean of the groups; nil without groups.
  package var mean: Double? {
    groups.isEmpty ? nil : groups.reduce(0) { $0 + $1.regret } / Double(groups.count)
  }

  /// - Parameter cases: marked ones are left out; among the rest the choice is the fastest predicted of those that fit,
  ///   else of those that are risky, else of all.
  package init(_ cases: [Validation.Case]) {
    var groups: [Group] = []
    for (name, members) in Self.competing(cases) {
      let measured = members.compactMap { item in item.run.measured.iterationSeconds.map { tokens(item) / $0 } }
      guard measured.count >= 5, let best = measured.max() else { continue }
      let pool =
        [Prediction.Verdict.fits, .risky].map { verdict in members.filter { $0.prediction.verdict == verdict } }
        .first { !$0.isEmpty } ?? members
      guard let choice = pool.max(by: { throughput($0) < throughput($1) }) else { continue }
      let regret = choice.run.measured.iterationSeconds.map { 1 - tokens(choice) / $0 / best } ?? 1
      groups.append(Group(name: name, regret: regret, choiceID: choice.run.id))
    }
    self.groups = groups
  }

  /// Runs that compete, by what they have in common; marked ones are left out.
  static func competing(_ cases: [Validation.Case]) -> [(name: String, members: [Validation.Case])] {
    var byName: [String: [Validation.Case]] = [:]
    for item in cases where !item.run.isMarked { byName[name(item), default: []].append(item) }
    return byName.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private static func name(_ item: Validation.Case) -> String {
    if let group = item.run.group { return "\(item.run.family)/\(group)" }
    let job = try? item.run.job.get()
    return
      "\(item.run.family)/\(job?.model.name ?? "")/\(item.run.machine.deviceCount)/\(job?.globalBatch ?? 0)x\(job?.sequenceLength ?? 0)"
  }
}

/// Tokens of an iteration per device.
private func tokens(_ item: Validation.Case) -> Double {
  guard let job = try? item.run.job.get() else { return 0 }
  return Double(job.globalBatch) * Double(job.sequenceLength) / Double(item.run.machine.deviceCount)
}

/// Predicted tokens per second and device.
private func throughput(_ item: Validation.Case) -> Double { tokens(item) / item.prediction.iterationSeconds }
