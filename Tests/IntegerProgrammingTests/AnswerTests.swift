import Testing

@testable import IntegerProgramming

@Suite("An answer of the solver is checked without the solver")
struct AnswerTests {
  /// 2x + 3y + z within 0 ... 10, x and y whole and within 0 ... 4, z within 0 ... 1.
  private func program() throws -> IntegerProgram {
    var program = IntegerProgram()
    let x = try program.addVariable("x", kind: .integer, upper: 4, objective: 1)
    let y = try program.addVariable("y", kind: .integer, upper: 4, objective: 10)
    let z = try program.addVariable("z", upper: 1, objective: 100)
    try program.addRow("sum", [2 * x, 3 * y, 1 * z], lower: 0, upper: 10)
    return program
  }

  @Test("Integers are rounded, others brought within their bounds, and the objective is of these values")
  func corrections() throws {
    let answer = try Answer(checking: [2.000_000_4, 0.999_999_8, -1e-8], for: program())
    #expect(answer.values == [2, 1, 0])
    #expect(answer.objective == 12)
  }

  @Test(
    "What is wrong is refused by name",
    arguments: [
      ([2.1, 1, 0], "x"), ([5, 0, 0], "x"), ([0, -1, 0], "y"), ([0, 0, 1.1], "z"), ([4, 1, 0], "sum"),
      ([0, .nan, 0], "y"), ([0, 0, .infinity], "z"), ([0, 0, .nan], "z"),
    ] as [([Double], String)])
  func refusals(values: [Double], name: String) throws {
    let program = try program()
    do {
      _ = try Answer(checking: values, for: program)
      Issue.record("\(values) was taken")
    } catch IntegerProgramError.answerFailsCheck(let found, let violation, let tolerance) {
      #expect(found == name)
      #expect(!(violation <= tolerance))
    }
  }

  @Test("A row may be broken in proportion to its terms, and not by what rounding a switch lets through")
  func tolerances() throws {
    var program = IntegerProgram()
    let x = try program.addVariable("x", upper: 1e4)
    let open = try program.addVariable("open", kind: .binary)
    try program.addRow("switch", [1 * x, -1e9 * open], upper: 0)
    #expect(throws: IntegerProgramError.self) { try Answer(checking: [100, 1e-7], for: program) }
    #expect(throws: Never.self) { try Answer(checking: [100, 1], for: program) }

    var small = IntegerProgram()
    let y = try small.addVariable("y", upper: 2)
    try small.addRow("nanoseconds", [1e-9 * y], upper: 1e-9)
    #expect(throws: Never.self) { try Answer(checking: [1 + 1e-7], for: small) }
    #expect(throws: IntegerProgramError.self) { try Answer(checking: [1.01], for: small) }
  }
}
