import IntegerProgramming
import TestSupport
import Testing

@Suite("The optimum is the one that trying everything finds")
struct BruteForceTests {
  private static let options: [IntegerProgram.Limits] = [
    .init(), .init(cuts: .all), .init(cuts: [.gomory, .cover], usesFeasibilityPump: true),
  ]

  @Test("Small programs of integers", arguments: [0, 1, 2])
  func integers(option: Int) throws {
    var solved = 0, infeasible = 0
    for seed in UInt64(1)...400 {
      let random = RandomProgram(seed: seed)
      let solution = try random.program().solve(limits: Self.options[option])
      guard let optimum = random.optimum() else {
        #expect(solution.status == .infeasible, "seed \(seed)")
        #expect(solution.bestBound == .infinity, "seed \(seed)")
        infeasible += 1
        continue
      }
      solved += 1
      #expect(solution.status == .optimal, "seed \(seed)")
      #expect(solution.objective == Double(optimum), "seed \(seed)")
      #expect(solution.bestBound == Double(optimum), "seed \(seed)")
      #expect(random.admits(solution.values.map { Int($0) }), "seed \(seed)")
    }
    #expect(solved >= 100)
    #expect(infeasible >= 50)
  }

  @Test("Variables with bounds in rows only")
  func unboundedVariables() throws {
    for seed in UInt64(1)...200 {
      let random = RandomProgram(seed: seed)
      let solution = try random.program(boundsAreRows: true).solve()
      let optimum = random.optimum()
      #expect(solution.objective == optimum.map { Double($0) }, "seed \(seed)")
      #expect(solution.status == (optimum == nil ? .infeasible : .optimal), "seed \(seed)")
    }
  }

  @Test("Rows in very small and very large units", arguments: [1e-9, 1e-6, 1e6, 1e12])
  func units(scale: Double) throws {
    for seed in UInt64(1)...150 {
      let random = RandomProgram(seed: seed)
      let solution = try random.program(scale: scale).solve()
      let optimum = random.optimum()
      #expect(solution.objective == optimum.map { Double($0) }, "seed \(seed)")
      #expect(solution.status == (optimum == nil ? .infeasible : .optimal), "seed \(seed)")
    }
  }

  @Test("A gap is kept, and the bound is below the optimum")
  func gap() throws {
    let optimum = try hardProgram().solve(limits: .init(cuts: .all))
    #expect(optimum.status == .optimal)
    #expect(optimum.nodeCount > 1)
    let best = try #require(optimum.objective)
    let near = try hardProgram().solve(limits: .init(relativeGap: 0.02))
    #expect(near.relativeGap <= 0.02)
    #expect(near.nodeCount < optimum.nodeCount || near.status == .feasible(stoppedBy: .relativeGap))
    #expect(near.bestBound <= best + 1e-6)
    #expect(try #require(near.objective) >= best)
  }

  @Test("A knapsack equals dynamic programming", arguments: UInt64(1)...40)
  func knapsack(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let capacity = Int.random(in: 20...80, using: &generator)
    let items = (0..<15).map { _ in
      (weight: Int.random(in: 1...30, using: &generator), worth: Int.random(in: 1...50, using: &generator))
    }
    var most = [Int](repeating: 0, count: capacity + 1)
    for item in items where item.weight <= capacity {
      for room in stride(from: capacity, through: item.weight, by: -1) {
        most[room] = max(most[room], most[room - item.weight] + item.worth)
      }
    }
    var program = IntegerProgram()
    let terms = try items.map {
      Double($0.weight) * (try program.addVariable("item", kind: .binary, objective: -Double($0.worth)))
    }
    try program.addRow("capacity", terms, upper: Double(capacity))
    #expect(try program.solve().objective == -Double(most[capacity]))
  }
}
