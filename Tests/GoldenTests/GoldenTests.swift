import Documents
import JSONText
import Testing

/// What the code said when it was recorded, it says today: seconds, bytes, programs and plans.
///
/// A change of structure changes nothing here. A change of what is computed says which answers change, why, and by how
/// much (docs/contributing.md).
@Suite("Answers as recorded") struct GoldenTests {
  @Test("Seconds and bytes of random strategies") func strategies() throws {
    var code = CodeUnderTest()
    let answers = try StrategyInput.all().map { input in
      do { return try code.price(input) } catch { throw Unanswered(id: input.id, reason: "\(error)") }
    }
    #expect(answers.count >= 500)
    try GoldenFile(name: "strategies.jsonl").check(answers)
  }

  /// Of every sixth strategy; ranks are counted from 0.
  @Test("Programs of all ranks of miniatures") func programs() throws {
    var code = CodeUnderTest()
    let inputs = try StrategyInput.all().enumerated().filter { $0.offset % 6 == 0 }.map(\.element)
    let answers = inputs.map { input in
      let answer: JSON
      do {
        answer = .strings(try code.programs(input, rankLimit: 16).map { ProgramDigest($0).hexadecimal })
      } catch {
        answer = .string("\(error)")
      }
      return object(("id", .string(input.id)), ("program_of_rank", answer))
    }
    #expect(answers.count { if case .array = $0["program_of_rank"] { true } else { false } } >= 60)
    try GoldenFile(name: "programs.jsonl").check(answers)
  }

  @Test("Whole plans, byte by byte") func plans() throws {
    var code = CodeUnderTest()
    let inputs = try SearchInput.all()
    #expect(inputs.count >= 10)
    for input in inputs {
      let text = try #require(try code.planText(input), "\(input.id): nothing fits")
      try GoldenFile(name: "plans/\(input.id).json").check(text: text)
    }
  }

  @Test("Predictions of measured runs") func runs() throws {
    let answers = try CodeUnderTest.predictions(ofRuns: GoldenFolder.inputs + "/runs.jsonl")
    #expect(answers.count >= 250)
    try GoldenFile(name: "runs.jsonl").check(answers)
  }
}

/// A question that the code refuses to answer.
private struct Unanswered: Error, CustomStringConvertible {
  let id: String
  let reason: String
  var description: String { "\(id): \(reason)" }
}
