import ArgumentParser
import Sextant

/// What `plan` may do to values.
struct AllowanceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Methods that change values and may be used: zero++ gathers weights as INT8 and exchanges gradients as INT4 between nodes.",
      valueName: "method"))
  var allow: [String] = []

  @Option(
    help: ArgumentHelp(
      "The largest relative error of a quantised tensor to accept with --allow zero++: 0.02 admits INT8 weights, 0.2 INT4 gradients as well.",
      valueName: "fraction"))
  var tolerance: Double?

  /// The methods that ``allow`` may name.
  private static let zeroPlusPlus = "zero++"

  func validate() throws {
    for word in allow.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) })
    where word != Self.zeroPlusPlus {
      throw ValidationError(
        ["co2", "zeroth-order"].contains(word)
          ? "--allow: \(word) is not supported yet" : "--allow knows zero++, not \"\(word)\"")
    }
    guard allow.isEmpty || tolerance != nil else {
      throw ValidationError("--allow zero++ changes values: --tolerance has to say by how much at most, such as 0.02")
    }
    guard tolerance == nil || !allow.isEmpty else {
      throw ValidationError("--tolerance is for methods that --allow names")
    }
  }

  func allowance() throws -> Allowance {
    guard !allow.isEmpty, let tolerance else { return .exact }
    return try .zeroPlusPlus(tolerance: tolerance)
  }
}
