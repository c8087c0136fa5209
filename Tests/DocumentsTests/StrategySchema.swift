import Foundation
import JSONText
import TestSupport
import Testing

@testable import Documents

/// What the schemas say of a strategy, as it follows from the table of its keys.
enum StrategySchema {
  /// Where a strategy stands in a document.
  enum Place: String, CaseIterable, CustomTestStringConvertible {
    /// Of a plan and its alternatives: every part is stated.
    case whole = "plan.schema.json#/$defs/strategy"
    /// What `--fix` held.
    case pattern = "plan.schema.json#/$defs/strategyPattern"
    /// What a run states; what is not supported is read there.
    case run = "run.schema.json#/properties/strategy"

    var file: String { "docs/schemas/" + rawValue.prefix { $0 != "#" } }
    var pointer: String { String(rawValue.drop { $0 != "/" }) }
    var testDescription: String { rawValue }
  }

  /// The members of the schema that the table decides.
  static func members(_ place: Place) -> [JSONMember] {
    let running = MeasuredRun.RunningKey.allCases.map { key in
      JSONMember(key.rawValue, .object([JSONMember("description", .string(key.summary))] + key.schema))
    }
    let properties = JSONMember(
      "properties",
      .object(Strategy.keys.map { JSONMember($0.name, property($0, place)) } + (place == .run ? running : [])))
    guard place == .whole else { return [properties] }
    let shards = Strategy.keys.filter(\.isRequiredShard).map(\.name)
    return [
      JSONMember("required", .strings(Strategy.keys.filter(\.isRequired).map(\.name))),
      JSONMember(
        "dependentRequired",
        .object(
          Strategy.keys.filter(\.isShard).map { key in
            JSONMember(key.name, .strings(shards.filter { $0 != key.name }))
          })), properties,
    ]
  }

  private static func property(_ key: StrategyKey, _ place: Place) -> JSON {
    let mayBeAbsent = place != .whole || !(key.isRequired || key.isRequiredShard)
    func type(_ name: String) -> JSONMember {
      JSONMember("type", mayBeAbsent ? .strings([name, "null"]) : .string(name))
    }
    var members = [JSONMember("description", .string(key.summary))]
    switch key.values {
    case .integers(let range):
      // A number that nothing holds is a degree that is not supported above 1.
      let greatest = key.isHeld || place == .run ? range.upperBound : 1
      members += [
        type("integer"), JSONMember("minimum", .integer(range.lowerBound)), JSONMember("maximum", .integer(greatest)),
      ]
    case .booleans: members.append(type("boolean"))
    case .flagOrCount(let range):
      members += [
        JSONMember("type", .strings(["boolean", "integer"] + (mayBeAbsent ? ["null"] : []))),
        JSONMember("minimum", .integer(range.lowerBound)), JSONMember("maximum", .integer(range.upperBound)),
      ]
    case .sets(let names):
      members += [
        type("array"), JSONMember("items", .object([JSONMember("enum", .strings(names))])),
        JSONMember("uniqueItems", .boolean(true)),
      ]
    case .choices(let choices): members.append(JSONMember("enum", .array(choices + (mayBeAbsent ? [.null] : []))))
    }
    return .object(members)
  }
}

@Suite(.serialized) struct StrategySchemaTests {
  /// With `RECORD_GOLDEN=1` the schema is written anew, and the run fails.
  @Test(arguments: StrategySchema.Place.allCases)
  func theSchemaSaysWhatTheTableSays(place: StrategySchema.Place) throws {
    let document = try Checkout.json(place.file)
    let wanted = StrategySchema.members(place).reduce(document) {
      $0.replacing("\(place.pointer)/\($1.key)", with: $1.value)
    }
    guard wanted != document else { return }
    if ProcessInfo.processInfo.environment["RECORD_GOLDEN"] == "1" {
      try Data(wanted.text(style: .pretty).utf8).write(to: URL(filePath: "\(Checkout.root)/\(place.file)"))
      Issue.record("\(place.rawValue) is written anew")
    } else {
      Issue.record("\(place.rawValue) is not what Strategy.keys says; RECORD_GOLDEN=1 writes it anew")
    }
  }

  @Test func thePageOfPlanningNamesEveryKeyThatCanBeHeld() throws {
    let page = try String(contentsOf: URL(filePath: "\(Checkout.root)/docs/planning.md"), encoding: .utf8)
    let section = try #require(page.split(separator: "\n## ").first { $0.hasPrefix("Holding parts of the strategy\n") })
    let words = section.split(separator: "`").enumerated().filter { $0.offset % 2 == 1 }.map { String($0.element) }
    for key in Strategy.keys where key.isHeld { #expect(words.contains(key.name), "\(key.name)") }
  }
}
