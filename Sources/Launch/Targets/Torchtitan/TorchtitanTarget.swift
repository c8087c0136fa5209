package import Documents

/// torchtitan 0.3.0: a configuration function of ours and flags over it.
package enum TorchtitanTarget: LaunchTarget {
  package static let name = "torchtitan"
  package static let capabilities = TorchtitanDialect.flags.capabilities

  package static func program(of plan: Plan) throws(LaunchRefusal) -> RankCommand {
    if let refusal = refusal(of: plan) { throw refusal }
    return try TorchtitanLaunch(plan, dialect: .flags).command
  }

  /// - Parameter files: of any of the three dialects: tables (`.toml`), or a command line.
  package static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    var reading = try TorchtitanReading(files)
    return try reading.configuration(deviceCount: deviceCount)
  }

  package static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    TorchtitanDialect.groups(of: configuration)
  }
}

/// torchtitan since 2026-08-20, where batches are counted in tokens.
package enum TorchtitanMainTarget: LaunchTarget {
  package static let name = "torchtitan-main"
  package static let capabilities = TorchtitanDialect.flagsInTokens.capabilities

  package static func program(of plan: Plan) throws(LaunchRefusal) -> RankCommand {
    if let refusal = refusal(of: plan) { throw refusal }
    return try TorchtitanLaunch(plan, dialect: .flagsInTokens).command
  }

  package static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    try TorchtitanTarget.configuration(in: files, deviceCount: deviceCount)
  }

  package static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    TorchtitanDialect.groups(of: configuration)
  }
}

/// torchtitan 0.2.2: tables of TOML, and a flavour of Llama 3 of ours.
package enum TorchtitanTablesTarget: LaunchTarget {
  package static let name = "torchtitan-0.2"
  package static let capabilities = TorchtitanDialect.tables.capabilities

  package static func program(of plan: Plan) throws(LaunchRefusal) -> RankCommand {
    if let refusal = refusal(of: plan) { throw refusal }
    return try TorchtitanLaunch(plan, dialect: .tables).command
  }

  package static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    try TorchtitanTarget.configuration(in: files, deviceCount: deviceCount)
  }

  package static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    TorchtitanDialect.groups(of: configuration)
  }
}
