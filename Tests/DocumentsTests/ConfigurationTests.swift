import JSONText
import TestSupport
import Testing

@testable import Documents

/// The configuration document.
@Suite struct ConfigurationTests {
  @Test func theSchemaNamesEveryFramework() throws {
    let schema = try #require(SchemaChecker().schema(ofKind: "configuration"))
    #expect(
      schema.member("properties")?.member("framework")?.member("enum") == .strings(Capabilities.all.map(\.name)))
  }

  @Test func whatIsWrittenIsReadBack() throws {
    for example in try exampleDocuments(of: .configuration) {
      let run = try RunConfiguration(Field(example.json, source: example.name))
      #expect(try RunConfiguration(Field(run.json, source: "written")) == run, "\(example.name)")
    }
  }

  @Test(arguments: [
    ("/layer_counts", JSON.array([.integer(4)]), "expected the layers of 2 virtual stages, not of 1"),
    ("/layer_counts", .array([.integer(3), .integer(3)]), "expected 4 layers in all, not 6"),
    ("/stage_choices", .array([]), "expected an array of 1 to 16384 elements, found 0"),
    ("/framework", .string("jax"), "expected one of"),
  ])
  func whatContradictsIsRefusedWithItsPlace(pointer: String, value: JSON, sentence: String) throws {
    let example = try #require(try exampleDocuments(of: .configuration).first { $0.name == "configuration" }).json
    #expect {
      try RunConfiguration(Field(example.replacing(pointer, with: value), source: "c.json"))
    } throws: { error in
      "\(error)".hasPrefix("c.json: \(pointer): \(sentence)")
    }
  }
}
