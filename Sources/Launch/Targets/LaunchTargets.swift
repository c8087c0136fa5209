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

  /// The target that a plan is for where nobody says: the one of its framework's name, or the first of those that are
  /// priced with that framework's coefficients if only that one runs the plan; nil where there is none.
  package static func standard(for plan: Plan) -> (any LaunchTarget.Type)? {
    let own = named(plan.frameworkName)
    if let own, own.refusal(of: plan) == nil { return own }
    let kin = all.first { $0.capabilities.coefficientNames.contains(plan.frameworkName) && $0.refusal(of: plan) == nil }
    return kin ?? own
  }
}

extension LaunchTarget {
  /// Why the framework does not run a plan, with the nearest that it does; nil if it does.
  package static func refusal(of plan: Plan) -> LaunchRefusal? {
    (capabilities.refusal(of: plan.job) ?? capabilities.refusal(of: plan.strategy, split: plan.split)
      ?? capabilities.refusal(of: plan.strategy, job: plan.job))
      .map { LaunchRefusal($0.description) }
  }
}
