package import Documents

/// A training framework in one dialect of its configuration: what it reads, and the way back.
///
/// One conformer a framework; the launchers know none of them.
package protocol LaunchTarget: Sendable {
  /// The word of `--for`.
  static var name: String { get }
  /// What the framework can be told.
  static var capabilities: Capabilities { get }

  /// What of a model has no words yet in what the target writes, although the framework may train it; nil where all has.
  static func unwritten(of model: ModelDescription) -> String?

  /// What every rank of a plan starts.
  ///
  /// - Precondition: ``capabilities`` offer the plan, as ``program(of:)`` makes sure.
  static func command(for plan: Plan) -> RankCommand

  /// The run that the target's own files state: those that ``program(of:)`` wrote, or a user's.
  ///
  /// - Parameters:
  ///   - files: text by name, in the order given.
  ///   - deviceCount: ranks in all, where the files do not say; nil where nobody says.
  /// - Throws: `DocumentError` that names the file and the place.
  static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration

  /// The groups of ranks that the framework forms of a configuration, by its own order of ranks: for every axis' name
  /// (`tensor`, `pipeline`, `data`) all groups, each with its ranks in order, ordered by their first.
  static func groups(of configuration: RunConfiguration) -> [String: [[Int]]]
}
