import ArgumentParser

/// What makes of `plan` a table of several.
struct SweepOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "What a device costs an hour, in any currency: a table with costs, of one or several --nodes and --global-batch.",
      valueName: "price"))
  var pricePerDeviceHour: Double?

  @Option(
    help: ArgumentHelp(
      "Tokens of the whole training, such as 300e9 or 15T: a table with its time, and with a price its cost.",
      valueName: "count"), transform: tokenCount)
  var tokens: Double?

  /// Whether a table is asked for even of a single plan.
  var isStated: Bool { pricePerDeviceHour != nil || tokens != nil }

  func validate() throws {
    guard pricePerDeviceHour.map({ $0 > 0 && $0 <= 1e12 }) ?? true else {
      throw ValidationError("--price-per-device-hour is above 0 and at most 1e12")
    }
  }

  /// A count in words as people write tokens: with M, B (or G) or T behind it.
  private static func tokenCount(_ text: String) throws -> Double {
    let factors: [Character: Double] = ["M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12]
    let factor = text.last.flatMap { factors[$0] }
    guard let number = Double(factor == nil ? text[...] : text.dropLast()), number > 0, number * (factor ?? 1) <= 1e24
    else { throw ValidationError("expected a count such as 300e9, 300B or 15T") }
    return number * (factor ?? 1)
  }
}
