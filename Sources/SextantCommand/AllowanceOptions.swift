import ArgumentParser
import Sextant

/// What `plan` may do to values.
struct AllowanceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      """
      Methods that change what is trained and may be used: zero++ gathers weights as INT8 and exchanges gradients as INT4 \
      between nodes; zeroth-order trains by losses alone, without gradients or optimizer states; co2 lets workers train apart \
      from each other between outer steps; low-precision lets the plan choose the format of blocks' products, FP8 or FP4 beside \
      the job's bf16.
      """,
      valueName: "method"))
  var allow: [String] = []

  @Option(
    help: ArgumentHelp(
      """
      The largest relative error of a rounded tensor to accept: with --allow zero++ 0.02 admits INT8 weights, 0.2 INT4 gradients \
      as well; with --allow co2 0.005 admits bf16 between workers, 0.02 INT8; with --allow low-precision 0.03 admits FP8 by \
      blocks, 0.06 all FP8, 0.15 FP4.
      """,
      valueName: "fraction"))
  var tolerance: Double?

  @Option(
    help: ArgumentHelp(
      "Iterations from one outer step of workers to the next, with --allow co2: a number, or the least and the largest that the plan may choose, such as 12...48.",
      valueName: "count|least...most"))
  var outerPeriod: String?

  /// The methods that ``allow`` may name.
  private static let zeroPlusPlus = "zero++", zerothOrder = "zeroth-order", co2 = "co2", lowPrecision = "low-precision"

  private var methods: [Substring] { allow.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) } }

  private func allows(_ method: String) -> Bool { methods.contains { $0 == method } }

  func validate() throws {
    let known = [Self.zeroPlusPlus, Self.zerothOrder, Self.co2, Self.lowPrecision]
    for word in methods where !known.contains(String(word)) {
      throw ValidationError("--allow knows \(known.joined(separator: ", ")), not \"\(word)\"")
    }
    guard !allows(Self.zeroPlusPlus) || tolerance != nil else {
      throw ValidationError("--allow zero++ changes values: --tolerance has to say by how much at most, such as 0.02")
    }
    guard !allows(Self.lowPrecision) || tolerance != nil else {
      throw ValidationError(
        "--allow low-precision changes values: --tolerance has to say by how much at most, such as 0.06")
    }
    guard tolerance == nil || [Self.zeroPlusPlus, Self.co2, Self.lowPrecision].contains(where: allows) else {
      throw ValidationError("--tolerance is for --allow zero++, co2 and low-precision")
    }
    guard !allows(Self.co2) || outerPeriod != nil else {
      throw ValidationError(
        "--allow co2 changes the optimisation: --outer-period has to say how many iterations workers may train apart, such as 12...48"
      )
    }
    guard outerPeriod == nil || allows(Self.co2) else { throw ValidationError("--outer-period is for --allow co2") }
    _ = try periods()
  }

  /// The range that ``outerPeriod`` states.
  private func periods() throws -> ClosedRange<Int>? {
    guard let outerPeriod else { return nil }
    let ends = outerPeriod.split(separator: "...", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(ends.count), let least = ends[0], let most = ends[ends.count - 1], least > 0, least <= most
    else {
      throw ValidationError("--outer-period is a count, or least...most such as 12...48, not \"\(outerPeriod)\"")
    }
    return least...most
  }

  func allowance() throws -> Allowance {
    var allowance = allows(Self.zerothOrder) ? Allowance.zerothOrder : .exact
    if let periods = try periods() { allowance = try allowance.and(.co2(periods: periods, tolerance: tolerance)) }
    if allows(Self.zeroPlusPlus), let tolerance { allowance = try allowance.and(.zeroPlusPlus(tolerance: tolerance)) }
    if allows(Self.lowPrecision), let tolerance { allowance = try allowance.and(.lowPrecision(tolerance: tolerance)) }
    return allowance
  }
}
