extension Int {
  /// Thousands apart: `12,345`.
  package var grouped: String {
    let digits = String(magnitude)
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return (self < 0 ? "-" : "") + result
  }

  /// A count with its noun: `1 node`, `1,024 nodes`, `2 micro-batches`.
  package func counted(_ noun: String) -> String {
    "\(grouped) \(noun)" + (self == 1 ? "" : noun.hasSuffix("ch") || noun.hasSuffix("ss") ? "es" : "s")
  }
}
