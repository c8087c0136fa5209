import JSONText
import TestSupport
import Testing

@testable import Documents

/// The table of several plans as a document.
@Suite struct SweepTests {
  private static func sweep(price: Double? = 2.5, tokens: Double? = 3e11) throws -> Sweep {
    let plan = try examplePlan()
    // Half a second an iteration.
    func row(_ nodes: Int, devices: Int, batch: Int, _ answer: Sweep.Answer) -> Sweep.Row {
      Sweep.Row(
        clusterName: "example", modelName: "m", nodeCount: nodes, deviceCount: devices, globalBatch: batch,
        sequenceLength: 1_024, framework: "megatron-lm", answer: answer)
    }
    return Sweep(
      toolVersion: "0.0.0",
      rows: [
        row(1, devices: 8, batch: 16, .none("does not fit")), row(2, devices: 16, batch: 32, .plan(plan)),
        row(4, devices: 32, batch: 48, .plan(try exampleNarrowPlan())), row(4, devices: 32, batch: 48, .plan(plan)),
      ], askedCount: 6, pricePerDeviceHour: price, tokenCount: tokens)
  }

  @Test func throughputAndCostsFollowFromThePlan() throws {
    let sweep = try Self.sweep(), row = sweep.rows[1]
    #expect(row.tokensPerSecond == 65_536 && row.tokensPerSecondPerDevice == 4_096)
    // 16 devices for half a second at 2.5 an hour each; 32,768 tokens in it.
    let cost = try #require(row.costPerIteration(pricePerDeviceHour: 2.5))
    #expect(abs(cost / (16 * 0.5 / 3600 * 2.5) - 1) < 1e-12)
    let billion = try #require(row.cost(ofTokens: 1e9, pricePerDeviceHour: 2.5))
    #expect(abs(billion / (cost / 32_768 * 1e9) - 1) < 1e-12)
    #expect(row.seconds(ofTokens: 65_536) == 1)
    #expect(sweep.rows[0].tokensPerSecond == nil && sweep.rows[0].costPerIteration(pricePerDeviceHour: 1) == nil)
  }

  /// More devices are faster and cost more a token; of equal rows the first is meant.
  @Test func theFastestAndTheCheapestAreTheFirstOfEquals() throws {
    let sweep = try Self.sweep()
    #expect(sweep.fastestIndex == 2 && sweep.cheapestIndex == 1)
    let none = Sweep(toolVersion: "0", rows: [sweep.rows[0]], askedCount: 1)
    #expect(none.fastestIndex == nil && none.cheapestIndex == nil)
  }

  @Test func theDocumentSatisfiesItsSchemaWithAndWithoutCosts() throws {
    let checker = try SchemaChecker()
    let schema = try #require(checker.schema(ofKind: "sweep"))
    #expect(schema.member("properties")?.member("schema")?.member("const")?.word == Sweep.schema)
    for sweep in [try Self.sweep(), try Self.sweep(price: nil), try Self.sweep(tokens: nil)] {
      #expect(checker.complaint(about: sweep.json, ofKind: "sweep") == nil)
    }
    // What the schema describes is written, and nothing else is.
    let json = try Self.sweep().json
    #expect(Set(schema.describedProperties.map(\.key)).subtracting(json.keys).sorted() == [])
    for (key, property) in schema.describedProperties where property.member("$ref") == nil {
      #expect(property.member("description")?.word?.isEmpty == false, "\(key)")
    }
    guard case .object(let members) = json else { return }
    #expect(checker.complaint(about: .object(members + [JSONMember("more", .integer(1))]), ofKind: "sweep") != nil)
    for key in ["schema", "rows", "asked"] {
      #expect(checker.complaint(about: .object(members.filter { $0.key != key }), ofKind: "sweep") != nil, "\(key)")
    }
  }
}
