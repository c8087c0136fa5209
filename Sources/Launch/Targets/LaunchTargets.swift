package import Documents

/// The targets that launch files can be written for.
package enum LaunchTargets {
  /// All of them, in the order in which documents list them.
  package static let all: [any LaunchTarget.Type] = [
    MegatronLMTarget.self, MegatronFSDPTarget.self, DeepSpeedTarget.self, TorchtitanTarget.self,
    TorchtitanTablesTarget.self, TorchtitanMainTarget.self, NanotronTarget.self,
  ]

  /// The target of a name, compared without case; nil where there is none.
  package static func named(_ name: String) -> (any LaunchTarget.Type)? {
    let wanted = name.lowercased()
    return all.first { $0.name == wanted }
  }

  /// The target that a plan is for where nobody says: its framework's; of a plan of the whole lattice the first that
  /// runs it; nil where there is none.
  package static func standard(for plan: Plan) -> (any LaunchTarget.Type)? {
    named(plan.question.framework)
      ?? (plan.question.capabilities == nil ? all.first { $0.refusal(of: plan) == nil } : nil)
  }
}

extension LaunchTarget {
  package static func unwritten(of model: ModelDescription) -> String? { model.unwritten }

  /// What every rank of a plan starts.
  ///
  /// - Throws: ``LaunchRefusal`` with the nearest that the target can, where it cannot express the plan.
  package static func program(of plan: Plan) throws(LaunchRefusal) -> RankCommand {
    if let refusal = refusal(of: plan) { throw refusal }
    return command(for: plan)
  }

  /// Why the framework does not run a plan, with the nearest that it does; nil if it does.
  package static func refusal(of plan: Plan) -> LaunchRefusal? {
    if let refusal = capabilities.refusal(of: plan.strategy, split: plan.split, job: plan.job) {
      return LaunchRefusal(refusal.description)
    }
    let drops = plan.job.expertCapacity == .none ? nil : "jobs with expert_capacity"
    return (unwritten(of: plan.job.model) ?? drops).map {
      LaunchRefusal("\($0) are planned and priced, and not written for \(name) yet")
    }
  }
}
