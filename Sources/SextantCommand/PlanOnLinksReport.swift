import Documents
import Foundation
import JSONText
import Sextant

/// What a person, or a program, sees of a plan on measured links.
struct PlanOnLinksReport {
  let priced: PlanOnLinks

  var text: String {
    func share(_ seconds: Double) -> String { String(format: "%.2f %%", seconds / priced.measuredSeconds * 100) }
    var result =
      "\nThe plan on these links: \(Format.seconds(priced.measuredSeconds)) an iteration; it states "
      + "\(Format.seconds(priced.statedSeconds)).\n"
    if let note = priced.note { result += "  Note: \(note.oneLine).\n" }
    guard !priced.costs.isEmpty else { return result + "  Nothing is slow that could cost it time.\n" }
    for cost in priced.costs.prefix(20) where cost.seconds / priced.measuredSeconds >= 5e-5 {
      result +=
        "  \(cost.subject.oneLine) costs \(Format.seconds(cost.seconds)) an iteration (\(share(cost.seconds))).\n"
    }
    let idle = priced.costs.count { $0.seconds / priced.measuredSeconds < 5e-5 }
    if idle > 0 {
      result += "  The other \(Format.count(idle)) of what is slow cost it nothing alone.\n"
    }
    return result
      + "  Without any of them: \(Format.seconds(priced.healedSeconds)), \(share(priced.measuredSeconds - priced.healedSeconds)) less.\n"
  }

  var json: JSON {
    .object([
      JSONMember("stated_seconds", .number(priced.statedSeconds)),
      JSONMember("iteration_seconds", .number(priced.measuredSeconds)),
      JSONMember("healed_seconds", .number(priced.healedSeconds)),
      JSONMember(
        "costs",
        .array(
          priced.costs.map {
            .object([JSONMember("of", .string($0.subject)), JSONMember("seconds", .number($0.seconds))])
          })),
    ])
  }
}
