import ArgumentParser

/// One or several counts: `16`, `2,4,8,16`.
struct CountList: ExpressibleByArgument {
  /// In the order in which they were given.
  let values: [Int]

  init?(argument: String) {
    var values: [Int] = []
    for word in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let value = Int(word), !values.contains(value) else { return nil }
      values.append(value)
    }
    self.values = values
  }

  /// The one value, where several make no sense.
  ///
  /// - Parameter flag: how it was given.
  func single(of flag: String) throws -> Int {
    guard values.count == 1 else { throw ValidationError("\(flag) takes one value here; plan takes several") }
    return values[0]
  }
}
