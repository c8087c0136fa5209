import IntegerProgramming
import TestSupport
import Testing

@Suite("Nothing that is passed ends the process")
struct HostileInputTests {
  private typealias Failure = IntegerProgramError

  @Test("Numbers out of range are refused, and the program stays as it was")
  func numbers() throws {
    var program = IntegerProgram()
    let x = try program.addVariable("x")
    let before = program
    for number in [.nan, .infinity, -.infinity, .signalingNaN, 1e16, -1e300, 1e-13, -.leastNonzeroMagnitude] as [Double]
    {
      #expect(throws: Failure.self) { try program.addVariable("y", objective: number) }
      #expect(throws: Failure.self) { try program.addRow("row", [number * x]) }
    }
    for (lower, upper) in [(.nan, 1), (0, .nan), (.infinity, .infinity), (-.infinity, -.infinity), (-1e16, 0)]
      as [(Double, Double)]
    {
      #expect(throws: Failure.self) { try program.addVariable("y", lower: lower, upper: upper) }
      #expect(throws: Failure.self) { try program.addRow("row", [1 * x], lower: lower, upper: upper) }
    }
    #expect(throws: Failure.duplicateVariable(row: "twice", variable: "x")) {
      try program.addRow("twice", [1 * x, 2 * x])
    }
    var other = program
    let y = try other.addVariable("y")
    #expect(throws: Failure.unknownVariable(row: "stranger", index: 1, variableCount: 1)) {
      try program.addRow("stranger", [1 * y])
    }
    #expect(program == before)
  }

  @Test("Limits out of range are refused")
  func limits() throws {
    let program = IntegerProgram()
    #expect(throws: Failure.nodeLimitOutOfRange(-1)) { try program.solve(limits: .init(nodeCount: -1)) }
    for gap in [-0.1, Double.nan, .infinity] {
      #expect(throws: Failure.self) { try program.solve(limits: .init(relativeGap: gap)) }
    }
    for seconds in [0, -1, .nan, -.infinity] as [Double] {
      #expect(throws: Failure.self) { try program.solve(limits: .init(wallSeconds: seconds)) }
    }
    for seconds in [Double.infinity, 1e300, 1e-300] {
      #expect(throws: Never.self) { try program.solve(limits: .init(wallSeconds: seconds)) }
    }
  }

  @Test("Messages are one line and name what is meant")
  func messages() throws {
    var program = IntegerProgram()
    let x = try program.addVariable("a\nb")
    do {
      try program.addRow("row", [.nan * x])
      Issue.record("NaN was taken")
    } catch {
      #expect(!"\(error)".contains("\n"))
      #expect("\(error)".contains(#""a\nb""#))
      #expect("\(error)".contains("nan"))
    }
  }

  /// Programs of numbers from everywhere within ``Magnitude``: there is nothing to compare with, but what is claimed to
  /// be an answer keeps bounds and rows, and the process lives.
  @Test("Numbers of all magnitudes, all options", arguments: [0, 1, 2, 3])
  func magnitudes(option: Int) throws {
    var answered = 0, refused = 0
    for seed in UInt64(1)...500 {
      var generator = SeededGenerator(seed: seed &* 4 &+ UInt64(option))
      let program = try Self.program(using: &generator)
      let limits = IntegerProgram.Limits(
        nodeCount: 200, wallSeconds: 5, cuts: option % 2 == 1 ? .all : [], usesFeasibilityPump: option >= 2)
      do {
        if try program.solve(limits: limits).objective != nil { answered += 1 }
      } catch {
        refused += 1
      }
    }
    #expect(answered >= 50)
    #expect(refused <= 100)
  }

  private static func program(using generator: inout SeededGenerator) throws -> IntegerProgram {
    let least = Double.random(in: -12...3, using: &generator)
    let greatest = Double.random(in: least...15, using: &generator)
    func number() -> Double {
      let magnitude = Double(
        sign: .plus, exponent: Int(Double.random(in: least...greatest, using: &generator) * 3.3), significand: 1)
      let size = min(max(magnitude, Magnitude.leastCoefficient), Magnitude.greatest)
      return Bool.random(using: &generator) ? size : -size
    }
    func bounds() -> (Double, Double) {
      let (a, b) = (number(), number())
      switch Int.random(in: 0...5, using: &generator) {
      case 0: return (a, a)
      case 1: return (-.infinity, a)
      case 2: return (a, .infinity)
      case 3: return (0, abs(a))
      case 4: return (-.infinity, .infinity)
      default: return (min(a, b), max(a, b))
      }
    }
    var program = IntegerProgram()
    var variables: [IntegerProgram.Variable] = []
    for index in 0..<Int.random(in: 1...8, using: &generator) {
      let kinds: [IntegerProgram.Kind] = [.continuous, .integer, .binary]
      let kind = kinds[Int.random(in: 0...2, using: &generator)]
      let (lower, upper) = kind == .binary ? (0, 1) : bounds()
      variables.append(
        try program.addVariable("v\(index)", kind: kind, lower: lower, upper: upper, objective: number()))
    }
    for index in 0..<Int.random(in: 1...8, using: &generator) {
      let terms = variables.filter { _ in Bool.random(using: &generator) }.map { number() * $0 }
      let (lower, upper) = bounds()
      try program.addRow("r\(index)", terms, lower: lower, upper: upper)
    }
    return program
  }
}
