import IntegerProgramming
import Testing

@Suite("Programs with known answers")
struct KnownAnswerTests {
  @Test("A linear program: the vertex, without nodes")
  func linear() throws {
    // Maximise 3x + 5y: x ≤ 4, 2y ≤ 12, 3x + 2y ≤ 18. The answer is 36 at (2, 6).
    var program = IntegerProgram()
    let x = try program.addVariable("x", upper: 4, objective: -3)
    let y = try program.addVariable("y", objective: -5)
    try program.addRow("two", [2 * y], upper: 12)
    try program.addRow("three", [3 * x, 2 * y], upper: 18)
    let solution = try program.solve()
    #expect(solution.status == .optimal)
    #expect(abs(solution[x] - 2) < 1e-9)
    #expect(abs(solution[y] - 6) < 1e-9)
    #expect(abs((solution.objective ?? 0) + 36) < 1e-9)
    #expect(solution.bestBound == solution.objective)
    #expect(solution.nodeCount == 0)
    #expect(solution.relativeGap == 0)
  }

  @Test("The example of the documentation")
  func example() throws {
    var program = IntegerProgram()
    let small = try program.addVariable("small", kind: .binary, objective: -3)
    let large = try program.addVariable("large", kind: .binary, objective: -5)
    try program.addRow("capacity", [2 * small, 4 * large], upper: 5)
    let solution = try program.solve()
    #expect(solution.status == .optimal)
    #expect(solution.objective == -5)
    #expect(solution.values == [0, 1])
    #expect(program.name(of: large) == "large")
  }

  @Test("Equal, free, ranged, one-sided and empty rows, and bounds of every kind")
  func rowsOfEveryKind() throws {
    var program = IntegerProgram()
    let free = try program.addVariable("free", lower: -.infinity, objective: 1)
    let whole = try program.addVariable("whole", kind: .integer, lower: -.infinity, upper: 7.9, objective: -1)
    let fixed = try program.addVariable("fixed", lower: 2.5, upper: 2.5)
    try program.addRow("equal", [1 * free, 1 * fixed], lower: 1, upper: 1)
    try program.addRow("free", [1 * free, 100 * whole])
    try program.addRow("ranged", [2 * whole, 1 * free], lower: -3, upper: 10)
    try program.addRow("at least", [1 * whole], lower: -100)
    try program.addRow("empty", [0 * whole], lower: -1, upper: 1)
    let solution = try program.solve()
    // free = −1.5; 2 · whole ≤ 11.5.
    #expect(solution.status == .optimal)
    #expect(abs(solution[free] + 1.5) < 1e-9)
    #expect(solution[whole] == 5)
    #expect(solution[fixed] == 2.5)
    #expect(abs((solution.objective ?? 0) + 6.5) < 1e-9)
  }

  @Test("A program without variables or rows")
  func empty() throws {
    var program = IntegerProgram()
    #expect(try program.solve().status == .optimal)
    #expect(try program.solve().objective == 0)
    try program.addRow("nothing", [], lower: -1)
    #expect(try program.solve().status == .optimal)
    try program.addRow("something of nothing", [], lower: 1)
    #expect(try program.solve().status == .infeasible)
    #expect(try program.solve().bestBound == .infinity)

    var alone = IntegerProgram()
    _ = try alone.addVariable("least", kind: .integer, lower: -2.5, objective: 3)
    _ = try alone.addVariable("greatest", upper: 4.5, objective: -1)
    _ = try alone.addVariable("any", lower: 3)
    #expect(try alone.solve().values == [-2, 4.5, 3])
    #expect(try alone.solve().objective == -10.5)
    _ = try alone.addVariable("endless", objective: -1)
    #expect(try alone.solve().status == .unbounded)
    _ = try alone.addVariable("nowhere", lower: 1, upper: 0)
    #expect(try alone.solve().status == .infeasible)
  }

  @Test("Contradictions are infeasible", arguments: [IntegerProgram.Kind.continuous, .integer, .binary])
  func infeasible(kind: IntegerProgram.Kind) throws {
    var program = IntegerProgram()
    let x = try program.addVariable("x", kind: kind, upper: 1)
    let y = try program.addVariable("y", kind: kind, upper: 1)
    try program.addRow("more than all", [1 * x, 1 * y], lower: 2.5)
    #expect(try program.solve().status == .infeasible)
    #expect(try program.solve().values.isEmpty)

    var gap = IntegerProgram()
    _ = try gap.addVariable("between integers", kind: .integer, lower: 0.2, upper: 0.8)
    #expect(try gap.solve().status == .infeasible)
  }

  @Test("Unbounded, and unbounded but for the rows that exclude everything")
  func unbounded() throws {
    for kind in [IntegerProgram.Kind.continuous, .integer] {
      var program = IntegerProgram()
      let x = try program.addVariable("x", kind: kind, objective: -1)
      let y = try program.addVariable("y", kind: kind)
      try program.addRow("together", [1 * x, -1 * y], lower: -1, upper: 1)
      #expect(try program.solve().status == .unbounded)
      #expect(try program.solve().bestBound == -.infinity)
      let z = try program.addVariable("z", kind: kind, upper: 3)
      try program.addRow("too much", [2 * z], lower: 7)
      #expect(try program.solve().status == .infeasible)
    }
  }

  @Test("The cheapest assignment of five to five")
  func assignment() throws {
    let costs = [[9.0, 2, 7, 8, 6], [6, 4, 3, 7, 5], [5, 8, 1, 8, 9], [7, 6, 9, 4, 2], [3, 9, 5, 6, 8]]
    var program = IntegerProgram()
    var chosen: [[IntegerProgram.Variable]] = []
    for (i, row) in costs.enumerated() {
      chosen.append([])
      for (j, cost) in row.enumerated() {
        chosen[i].append(try program.addVariable("\(i) to \(j)", kind: .binary, objective: cost))
      }
    }
    for i in 0..<5 {
      try program.addRow("from \(i)", chosen[i].map { 1 * $0 }, lower: 1, upper: 1)
      try program.addRow("to \(i)", chosen.map { 1 * $0[i] }, lower: 1, upper: 1)
    }
    let solution = try program.solve()
    func cheapest(from i: Int, taken: Set<Int>) -> Double {
      i == 5
        ? 0
        : (0..<5).filter { !taken.contains($0) }
          .map { costs[i][$0] + cheapest(from: i + 1, taken: taken.union([$0])) }.min() ?? .infinity
    }
    #expect(solution.status == .optimal)
    #expect(solution.objective == cheapest(from: 0, taken: []))
  }

  @Test("A large factor between a switch and what it switches does not leak")
  func switches() throws {
    // x ≤ 1e9 · open, and opening costs 5: a switch of 1e-7 counts as closed for the solver and lets 100 through.
    var program = IntegerProgram()
    let x = try program.addVariable("x", upper: 100, objective: -0.01)
    let open = try program.addVariable("open", kind: .binary, objective: 5)
    try program.addRow("switch", [1 * x, -1e9 * open], upper: 0)
    let solution = try program.solve()
    #expect(solution.status == .optimal)
    #expect(solution.values == [0, 0])
  }
}
