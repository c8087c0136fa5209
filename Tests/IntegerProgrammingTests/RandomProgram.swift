import IntegerProgramming
import TestSupport

/// A small program with integer data and variables, and its optimum by trying all values.
struct RandomProgram {
  struct Row {
    let coefficients: [Int]
    let lower: Int?
    let upper: Int?

    func admits(_ values: [Int]) -> Bool {
      let sum = zip(coefficients, values).reduce(0) { $0 + $1.0 * $1.1 }
      return sum >= lower ?? .min && sum <= upper ?? .max
    }
  }

  private(set) var objective: [Int] = []
  private(set) var lower: [Int] = []
  private(set) var upper: [Int] = []
  private(set) var rows: [Row] = []

  init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<Int.random(in: 1...6, using: &generator) {
      objective.append(Int.random(in: -9...9, using: &generator))
      lower.append(Int.random(in: -2...1, using: &generator))
      upper.append((lower.last ?? 0) + Int.random(in: 0...3, using: &generator))
    }
    for _ in 0..<Int.random(in: 1...5, using: &generator) {
      let coefficients = objective.map { _ in
        Int.random(in: 0...2, using: &generator) == 0 ? 0 : Int.random(in: -7...9, using: &generator)
      }
      let (least, width) = (Int.random(in: -12...8, using: &generator), Int.random(in: 0...6, using: &generator))
      switch Int.random(in: 0...6, using: &generator) {
      case 0: rows.append(Row(coefficients: coefficients, lower: least, upper: least))
      case 1: rows.append(Row(coefficients: coefficients, lower: nil, upper: nil))
      case 2: rows.append(Row(coefficients: coefficients, lower: least, upper: least + width))
      case 3, 4: rows.append(Row(coefficients: coefficients, lower: least, upper: nil))
      default: rows.append(Row(coefficients: coefficients, lower: nil, upper: least + 8))
      }
    }
  }

  /// The program; with `scale`, the numbers of every second row are multiplied by it; with `boundsAreRows`, variables
  /// have no bounds of their own, which the solver's presolver is not given.
  func program(scale: Double = 1, boundsAreRows: Bool = false) throws -> IntegerProgram {
    var program = IntegerProgram()
    var variables: [IntegerProgram.Variable] = []
    for (index, coefficient) in objective.enumerated() {
      let kind: IntegerProgram.Kind =
        lower[index] == 0 && upper[index] == 1 && !boundsAreRows ? .binary : .integer
      let (least, greatest) = (Double(lower[index]), Double(upper[index]))
      variables.append(
        try program.addVariable(
          "v\(index)", kind: kind, lower: boundsAreRows ? -.infinity : least,
          upper: boundsAreRows ? .infinity : greatest, objective: Double(coefficient)))
      if boundsAreRows, let variable = variables.last {
        try program.addRow("bounds \(index)", [1 * variable], lower: least, upper: greatest)
      }
    }
    for (index, row) in rows.enumerated() {
      let factor = index % 2 == 1 ? scale : 1
      try program.addRow(
        "r\(index)", zip(row.coefficients, variables).map { factor * Double($0) * $1 },
        lower: row.lower.map { factor * Double($0) } ?? -.infinity,
        upper: row.upper.map { factor * Double($0) } ?? .infinity)
    }
    return program
  }

  /// Whether values keep everything.
  func admits(_ values: [Int]) -> Bool {
    values.count == objective.count && rows.allSatisfy { $0.admits(values) }
      && values.indices.allSatisfy { lower[$0] <= values[$0] && values[$0] <= upper[$0] }
  }

  /// The least objective, or nil if nothing keeps the rows.
  func optimum() -> Int? {
    var best: Int?
    var values = lower
    while true {
      if rows.allSatisfy({ $0.admits(values) }) {
        let sum = zip(objective, values).reduce(0) { $0 + $1.0 * $1.1 }
        best = min(best ?? sum, sum)
      }
      guard let place = values.indices.first(where: { values[$0] < upper[$0] }) else { return best }
      for earlier in 0..<place { values[earlier] = lower[earlier] }
      values[place] += 1
    }
  }
}

/// A knapsack with several capacities, of which the solver needs many nodes.
func hardProgram(seed: UInt64 = 7, itemCount: Int = 40) throws -> IntegerProgram {
  var generator = SeededGenerator(seed: seed)
  var program = IntegerProgram()
  let items = try (0..<itemCount).map {
    try program.addVariable(
      "item \($0)", kind: .binary, objective: -Double(Int.random(in: 50...99, using: &generator)))
  }
  for row in 0..<5 {
    let terms = items.map { Double(Int.random(in: 20...99, using: &generator)) * $0 }
    try program.addRow("capacity \(row)", terms, upper: terms.reduce(0) { $0 + $1.coefficient } / 2)
  }
  return program
}
