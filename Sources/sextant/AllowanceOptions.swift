import ArgumentParser
import Documents

/// What `plan` may do to values.
struct AllowanceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Methods that change values and may be used: zero++ gathers weights as INT8 and exchanges gradients as INT4 between nodes.",
      valueName: "method"))
  var allow: String?

  @Option(
    help: ArgumentHelp(
      "The largest relative error of a quantised tensor to accept with --allow zero++: 0.02 admits INT8 weights, 0.2 INT4 gradients as well.",
      valueName: "fraction"))
  var tolerance: Double?

  func validate() throws {
    if let allow {
      for word in allow.split(separator: ",", omittingEmptySubsequences: false) {
        guard let method = Allowance.Method(rawValue: String(word)) else {
          throw ValidationError(
            ["co2", "zeroth-order"].contains(word)
              ? "--allow: \(word) is not supported yet" : "--allow knows zero++, not \"\(word)\"")
        }
        if method == .zeroPlusPlus, tolerance == nil {
          throw ValidationError(
            "--allow zero++ changes values: --tolerance has to say by how much at most, such as 0.02")
        }
      }
    }
    if let tolerance {
      guard allow != nil else { throw ValidationError("--tolerance is for methods that --allow names") }
      guard (1e-9...1).contains(tolerance) else { throw ValidationError("--tolerance is a fraction from 1e-9 to 1") }
    }
  }

  var allowance: Allowance { Allowance(quantisationTolerance: allow == nil ? nil : tolerance) }

  /// Refuses a strategy that is held where only an allowance may take it.
  func check(_ pattern: StrategyPattern) throws {
    guard allow == nil else { return }
    let stated = [("quantise_weights", pattern.quantisesWeights), ("quantise_gradients", pattern.quantisesGradients)]
    if let key = stated.first(where: { $0.1 == true })?.0 {
      throw ValidationError("--fix \(key)=true changes values: it needs --allow zero++ and a --tolerance")
    }
  }
}
