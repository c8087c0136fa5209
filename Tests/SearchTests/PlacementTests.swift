import Documents
import Search
import TestSupport
import Testing

/// Placement on the 16 measured nodes, against the published objective of Pipette (see Profiles/links).
@Suite struct PlacementGoldenTests {
  struct Case: Sendable {
    let snapshot: Int
    let columns: Int
    /// Milliseconds with the nodes in name order, and of the best order that is known.
    let named: Double
    let best: Double
  }

  static let cases = [
    Case(snapshot: 0, columns: 2, named: 233.606, best: 231.184),
    Case(snapshot: 0, columns: 4, named: 117.312, best: 116.597),
    Case(snapshot: 0, columns: 8, named: 73.527, best: 72.231),
    Case(snapshot: 0, columns: 16, named: 78.593, best: 77.301),
    Case(snapshot: 1, columns: 2, named: 255.209, best: 235.825),
    Case(snapshot: 1, columns: 4, named: 126.016, best: 117.176),
    Case(snapshot: 1, columns: 8, named: 74.604, best: 73.009),
    Case(snapshot: 1, columns: 16, named: 80.420, best: 79.170),
  ]

  /// GPT with 64 layers of 3,072 in float32, micro-batch 4 of 1,024 tokens, tensor degree
  /// 8: bytes of a transfer, and of the gradients of a rank.
  static func problem(_ test: Case) throws -> PlacementProblem {
    let links = try MeasuredLinks(contentsOf: Shipped.root + "/Profiles/links/a100-hdr-16.json")
    let gradientBytes = [2: 2.49311232e9, 4: 1.285152768e9, 8: 0.681172992e9, 16: 0.379183104e9]
    let n = links.nodeNames.count
    // Pipette reads its receive table as row to column.
    var matrix = [Double](repeating: 0, count: n * n)
    for from in 0..<n {
      for to in 0..<n where from != to {
        let rate = try #require(links.snapshots[test.snapshot].bytesPerSecond[to][from])
        // The published times are of rates in GB/s with three decimals.
        matrix[from * n + to] = 1 / ((rate / 1e6).rounded() * 1e6)
      }
    }
    let rows = n / test.columns
    let ring = 2 * Double(rows - 1) / Double(rows) * (try #require(gradientBytes[test.columns]))
    return PlacementProblem(
      nodeCount: n, rowCount: rows, columnCount: test.columns, hopSecondsPerByte: matrix, ringSecondsPerByte: matrix,
      hopByteCount: 0.050331648e9, microBatchCount: 1, stageSeconds: [Double](repeating: 0, count: test.columns),
      tails: (0..<test.columns).map { PlacementProblem.Tail(baseSeconds: 0, byteCount: $0 == 0 ? ring : 0) })
  }

  @Test(arguments: cases) func nameOrderCostsWhatIsPublished(_ test: Case) throws {
    // There a row's nodes follow one another, here a column's.
    let rows = 16 / test.columns
    let order = (0..<16).map { $0 % rows * test.columns + $0 / rows }
    let seconds = try Self.problem(test).seconds(order: order)
    #expect(abs(seconds * 1e3 - test.named) < 0.0006)
  }

  @Test(arguments: cases) func searchFindsTheBestThatIsKnown(_ test: Case) throws {
    let problem = try Self.problem(test)
    var search = PlacementSearch(problem, order: Array(0..<16), seed: 1)
    let found = search.walk(evaluationCount: 400_000)
    let bound = PlacementBound(problem).seconds
    #expect(problem.seconds(order: found.order) == found.seconds)
    #expect(found.seconds * 1e3 <= test.best * 1.001)
    #expect(bound <= found.seconds)
    #expect(bound >= 0.98 * found.seconds)
  }
}

/// Placement on random links, against all orders and against what it should find.
@Suite struct PlacementTests {
  /// A problem with uneven stages, tails and links, and nodes to spare.
  static func random(seed: UInt64) -> PlacementProblem {
    var random = SeededGenerator(seed: seed)
    let shapes = [(1, 4), (2, 2), (2, 3), (3, 2), (4, 1), (3, 1), (1, 2), (5, 1)]
    let (rows, columns) = shapes[Int.random(in: 0..<shapes.count, using: &random)]
    let nodes = min(6, rows * columns + Int.random(in: 0...1, using: &random))
    func matrix(_ random: inout SeededGenerator) -> [Double] {
      (0..<nodes * nodes).map { _ in 1 / Double.random(in: 1e9...25e9, using: &random) }
    }
    let stagesPerHost = rows == 1 ? Int.random(in: 1...3, using: &random) : 1
    return PlacementProblem(
      nodeCount: nodes, rowCount: rows, columnCount: columns, hopSecondsPerByte: matrix(&random),
      ringSecondsPerByte: matrix(&random), hopByteCount: 1e8, microBatchCount: Int.random(in: 1...9, using: &random),
      stageSeconds: (0..<columns * stagesPerHost).map { _ in Double.random(in: 0.01...0.3, using: &random) },
      tails: (0..<columns).map { _ in
        PlacementProblem.Tail(
          baseSeconds: Double.random(in: -0.5...0.5, using: &random),
          byteCount: Double.random(in: 0...2e9, using: &random))
      })
  }

  static func permutations(of items: [Int]) -> [[Int]] {
    guard items.count > 1 else { return [items] }
    return items.indices.flatMap { index in
      var rest = items
      let first = rest.remove(at: index)
      return permutations(of: rest).map { [first] + $0 }
    }
  }

  @Test(arguments: 0..<60) func smallProblemsAreSolvedAndBounded(seed: UInt64) {
    let problem = Self.random(seed: seed)
    let orders = Self.permutations(of: Array(0..<problem.nodeCount))
    let best = orders.map(problem.seconds(order:)).min() ?? 0
    var search = PlacementSearch(problem, order: Array(0..<problem.nodeCount), seed: seed)
    let found = search.walk(evaluationCount: 20_000)
    #expect(found.seconds == best)
    #expect(problem.seconds(order: found.order) == found.seconds)
    #expect(PlacementBound(problem).seconds <= best + 1e-9)
  }

  /// 8 racks of 8 nodes, faster inside, some links at half their rate, the nodes in no order.
  static func racks(seed: UInt64) -> PlacementProblem {
    var random = SeededGenerator(seed: seed)
    let n = 64
    let rack = (0..<n).map { $0 / 8 }.shuffled(using: &random)
    var matrix = [Double](repeating: 0, count: n * n)
    for from in 0..<n {
      for to in 0..<n where from != to {
        let rate = rack[from] == rack[to] ? 24e9 : 16e9
        matrix[from * n + to] = 1 / (Double.random(in: 0..<1, using: &random) < 0.05 ? rate / 2 : rate)
      }
    }
    return PlacementProblem(
      nodeCount: n, rowCount: 8, columnCount: 8, hopSecondsPerByte: matrix, ringSecondsPerByte: matrix,
      hopByteCount: 0.050331648e9, microBatchCount: 1, stageSeconds: [Double](repeating: 0, count: 8),
      tails: (0..<8).map { PlacementProblem.Tail(baseSeconds: 0, byteCount: $0 == 0 ? 2 * 7 / 8 * 0.681172992e9 : 0) })
  }

  @Test func shuffledRacksAreFoundAgain() {
    let problem = Self.racks(seed: 1)
    let named = problem.seconds(order: Array(0..<64))
    var search = PlacementSearch(problem, order: Array(0..<64), seed: 1)
    let found = search.walk(evaluationCount: 300_000)
    #expect(found.seconds <= 0.7 * named)
  }

  @Test func theSameSeedFindsTheSameOrder() {
    let problem = Self.racks(seed: 2)
    func order(seed: UInt64) -> [Int] {
      var search = PlacementSearch(problem, order: Array(0..<64), seed: seed)
      return search.walk(evaluationCount: 5_000).order
    }
    #expect(order(seed: 3) == order(seed: 3))
    #expect(order(seed: 3).sorted() == Array(0..<64))
  }
}
