public import ArgumentParser
public import Sextant

/// What updates the weights, and the formats of its states.
struct OptimizerOptions: ParsableArguments {
  @Option(name: .customLong("optimizer"), help: "adam, sgd, sgd-momentum, adafactor or muon; adam where not given.")
  var rule: Optimizer.Rule?

  @Option(name: .customLong("optimizer-moments"), help: "Format of moments: fp32, bf16 or 8-bit; fp32 where not given.")
  var moments: Optimizer.Moments?

  @Option(
    help: ArgumentHelp(
      "Exact weights beside 16-bit ones: fp32, remainders (the bits that bf16 has not) or none; fp32 where not given.",
      valueName: "kind"))
  var masterWeights: Optimizer.MasterWeights?

  @Flag(help: "Let states leave for the host's memory between steps where the device has no room (paged optimizers).")
  var pagedOptimizer = false

  /// Whether any of it was given.
  var isStated: Bool { rule != nil || moments != nil || masterWeights != nil || pagedOptimizer }

  /// Nil where none of it was given.
  var optimizer: Optimizer? {
    guard isStated else { return nil }
    return Optimizer(
      rule ?? .adam, moments: moments ?? .fp32, masterWeights: masterWeights ?? .fp32, isPaged: pagedOptimizer)
  }
}

extension Optimizer.Rule: ExpressibleByArgument {}
extension Optimizer.Moments: ExpressibleByArgument {}
extension Optimizer.MasterWeights: ExpressibleByArgument {}
