import Documents

/// torchtitan in one of its dialects, which differ in what they read and not in how ranks are ordered; any of them reads
/// the files of all.
protocol TorchtitanDialectTarget: LaunchTarget {
  static var dialect: TorchtitanDialect { get }
}

/// torchtitan 0.3.0: a configuration function of ours and flags over it.
package enum TorchtitanTarget: TorchtitanDialectTarget {
  package static let name = "torchtitan"
  static let dialect = TorchtitanDialect.flags
}

/// torchtitan since 2026-08-20, where batches are counted in tokens.
package enum TorchtitanMainTarget: TorchtitanDialectTarget {
  package static let name = "torchtitan-main"
  static let dialect = TorchtitanDialect.flagsInTokens
}

/// torchtitan 0.2.2: tables of TOML, and a flavour of Llama 3 of ours.
package enum TorchtitanTablesTarget: TorchtitanDialectTarget {
  package static let name = "torchtitan-0.2"
  static let dialect = TorchtitanDialect.tables
}

extension TorchtitanDialectTarget {
  package static var capabilities: Capabilities { dialect.capabilities }

  /// What a family of torchtitan's has not, its table says.
  package static func unwritten(of model: ModelDescription) -> String? { nil }

  package static func command(for plan: Plan) -> RankCommand { TorchtitanLaunch(plan, dialect: dialect).command }

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
