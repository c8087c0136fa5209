import Sextant

/// What a person sees of a running configuration beside a plan.
struct ComparisonReport {
  let comparison: Comparison

  var text: String {
    let gain = comparison.runningSeconds - comparison.planSeconds
    var result = """

      What runs takes \(Format.seconds(comparison.runningSeconds)) an iteration, the plan \
      \(Format.seconds(comparison.planSeconds)) (\(Format.percent(gain / comparison.runningSeconds)) less)

      """
    guard !comparison.changes.isEmpty else { return result + "Nothing differs.\n" }
    result += "What to change, what gains most first:\n"
    for change in comparison.changes {
      result += "  \(change.key): \(change.from) -> \(change.to)"
      if let gain = change.gainSeconds {
        let share = Format.percent(abs(gain) / comparison.runningSeconds)
        let with = change.needs.isEmpty ? "" : " with \(change.needs.joined(separator: ", "))"
        result += gain >= 0 ? ": \(share) less time\(with)" : ": \(share) more time\(with)"
      } else {
        result += ": not for what runs"
      }
      if let reason = change.reason { result += "; alone: \(reason)" }
      result += "\n"
    }
    return result
  }
}
