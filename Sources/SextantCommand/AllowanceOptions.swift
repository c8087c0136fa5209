import ArgumentParser
import Sextant

/// What `plan` may do to values.
struct AllowanceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Methods that change what is trained and may be used: zero++ gathers weights as INT8 and exchanges gradients as INT4 \
      between nodes; zeroth-order trains by losses alone, without gradients or optimizer states.
      """,
      valueName: "method"))
  var allow: [String] = []

  @Option(
    help: ArgumentHelp(
      "The largest relative error of a quantised tensor to accept with --allow zero++: 0.02 admits INT8 weights, 0.2 INT4 gradients as well.",
      valueName: "fraction"))
  var tolerance: Double?

  /// The methods that ``allow`` may name.
  private static let zeroPlusPlus = "zero++", zerothOrder = "zeroth-order"

  private var methods: [Substring] { allow.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) } }

  func validate() throws {
    for word in methods where word != Self.zeroPlusPlus && word != Self.zerothOrder {
      throw ValidationError(
        word == "co2"
          ? "--allow: co2 is not supported yet"
          : "--allow knows \(Self.zeroPlusPlus) and \(Self.zerothOrder), not \"\(word)\"")
    }
    let quantises = methods.contains { $0 == Self.zeroPlusPlus }
    guard !quantises || tolerance != nil else {
      throw ValidationError("--allow zero++ changes values: --tolerance has to say by how much at most, such as 0.02")
    }
    guard tolerance == nil || quantises else { throw ValidationError("--tolerance is for --allow zero++") }
  }

  func allowance() throws -> Allowance {
    let zerothOrder = methods.contains { $0 == Self.zerothOrder } ? Allowance.zerothOrder : .exact
    guard let tolerance else { return zerothOrder }
    return try zerothOrder.and(.zeroPlusPlus(tolerance: tolerance))
  }
}
