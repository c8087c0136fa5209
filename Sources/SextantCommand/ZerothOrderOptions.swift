import ArgumentParser
import Sextant

/// How weights move in zeroth-order training.
struct ZerothOrderOptions: ParsableArguments {
  @Option(
    name: .customLong("zo-directions"),
    help: ArgumentHelp("Random directions of an iteration, two losses each; 1 where not given.", valueName: "count"))
  var directions: Int?

  @Option(
    name: .customLong("zo-epsilon"),
    help: ArgumentHelp(
      "The step from the weights to where losses are evaluated; 0.001 where not given.", valueName: "number"))
  var epsilon: Double?

  @Option(
    name: .customLong("zo-learning-rate"),
    help: ArgumentHelp("The learning rate; 1e-6 where not given.", valueName: "number"))
  var learningRate: Double?

  @Option(
    name: .customLong("zo-seed"),
    help: ArgumentHelp("What all directions are made from; 0 where not given.", valueName: "number"))
  var seed: Int?

  /// Whether any of it was given.
  var isStated: Bool { directions != nil || seed != nil || [epsilon, learningRate].contains { $0 != nil } }

  /// Nil where none of it was given.
  func stated() throws -> ZerothOrder? {
    guard isStated else { return nil }
    do {
      return try ZerothOrder(
        directions: directions ?? 1, epsilon: epsilon ?? 1e-3, learningRate: learningRate ?? 1e-6, seed: seed ?? 0)
    } catch {
      // The flags have their prefix, the arguments have not.
      throw SextantError(
        error.kind, location: "zo-\(error.location)", expected: error.expected, found: error.found)
    }
  }
}
