import ArgumentParser
import Sextant

/// What outer steps between workers do.
struct OuterOptions: ParsableArguments {
  @Option(
    name: .customLong("outer-momentum"),
    help: ArgumentHelp("β of the outer step; 0.5 where not given, 0 keeps none.", valueName: "number"))
  var momentum: Double?

  @Option(
    name: .customLong("outer-learning-rate"),
    help: ArgumentHelp("α of the outer step; 1 where not given.", valueName: "number"))
  var learningRate: Double?

  @Option(
    name: .customLong("outer-clip"),
    help: ArgumentHelp(
      "φ, the largest magnitude of a number of the outer momentum; none where not given.", valueName: "number"))
  var clip: Double?

  @Option(
    name: .customLong("outer-penalty"),
    help: ArgumentHelp(
      "What the workers' mean is divided by: a number from 1, or gap-aware, or gap-aware:c for another weight than 1; 1 where not given.",
      valueName: "number|policy"))
  var penalty: String?

  /// Whether any of it was given.
  var isStated: Bool { [momentum, learningRate, clip].contains { $0 != nil } || penalty != nil }

  /// Nil where none of it was given.
  func stated() throws -> OuterOptimizer? {
    guard isStated else { return nil }
    let policy = try self.policy()
    do {
      return try OuterOptimizer(
        momentum: momentum ?? 0.5, learningRate: learningRate ?? 1, clip: clip, penalty: policy)
    } catch {
      // The flags have their prefix, the arguments have not.
      let flag = error.location == "learningRate" ? "learning-rate" : error.location
      throw SextantError(error.kind, location: "outer-\(flag)", expected: error.expected, found: error.found)
    }
  }

  private func policy() throws -> OuterOptimizer.Penalty {
    guard let penalty else { return .constant(1) }
    let words = penalty.split(separator: ":", omittingEmptySubsequences: false)
    if words[0] == "gap-aware", words.count <= 2 {
      guard words.count == 2 else { return .gapAware(1) }
      if let scale = Double(words[1]) { return .gapAware(scale) }
    } else if let scale = Double(penalty) {
      return .constant(scale)
    }
    throw ValidationError("--outer-penalty is a number from 1, gap-aware or gap-aware:c, not \"\(penalty)\"")
  }
}
