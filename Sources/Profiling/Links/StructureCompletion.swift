import Documents
import Glibc

/// Completes a matrix of rates of which a part was measured from the structure of the network.
///
/// Nodes are in blocks (racks, rails, leaf switches). In logarithms a rate is what its pair of blocks has in common,
/// plus how far its sender and its receiver lie off: log r(i,j) = B(block i, block j) + R(i) + C(j), fitted to the
/// measured rates by median polish (Tukey 1977, chapter 11), which one slow link does not disturb. A block pair of
/// which nothing was measured takes what pairs of the same kind (within a block,
/// between blocks) have in common, or all.
package struct StructureCompletion: Sendable {
  private let block: [Int]
  private let blockPair: [[Double?]]
  private let within: Double?
  private let between: Double?
  private let overall: Double
  private let row: [Double]
  private let column: [Double]

  /// - Parameters:
  ///   - bytesPerSecond: measured rates, positive; nil where not.
  ///   - block: for each node the number of its block, from 0 on.
  /// - Returns: nil when nothing was measured.
  /// - Complexity: O(nodes² log nodes).
  package init?(bytesPerSecond: [[Double?]], block: [Int]) {
    let count = block.count
    let blockCount = (block.max() ?? 0) + 1
    var measured: [(from: Int, to: Int, log: Double)] = []
    for from in 0..<count {
      for to in 0..<count where from != to {
        if let rate = bytesPerSecond[from][to] { measured.append((from, to, log(rate))) }
      }
    }
    guard let overall = measured.map(\.log).median else { return nil }
    var blockPair = [[Double?]](repeating: [Double?](repeating: nil, count: blockCount), count: blockCount)
    var row = [Double](repeating: 0, count: count)
    var column = [Double](repeating: 0, count: count)
    // Every round of the polish takes the medians of what the other parts leave over; ten settle any matrix met.
    for _ in 0..<10 {
      var groups = [[[Double]]](repeating: [[Double]](repeating: [], count: blockCount), count: blockCount)
      for entry in measured {
        groups[block[entry.from]][block[entry.to]].append(entry.log - row[entry.from] - column[entry.to])
      }
      blockPair = groups.map { $0.map(\.median) }
      row = Self.medians(measured.map { ($0.from, $0.log - common($0.from, $0.to) - column[$0.to]) }, count: count)
      column = Self.medians(measured.map { ($0.to, $0.log - common($0.from, $0.to) - row[$0.from]) }, count: count)
    }
    func common(_ from: Int, _ to: Int) -> Double { blockPair[block[from]][block[to]] ?? 0 }
    self.block = block
    self.blockPair = blockPair
    self.overall = overall
    self.row = row
    self.column = column
    within = (0..<blockCount).compactMap { blockPair[$0][$0] }.median
    between =
      (0..<blockCount).flatMap { one in
        (0..<blockCount).compactMap { one == $0 ? nil : blockPair[one][$0] }
      }.median
  }

  /// What a pair that was not measured is taken to deliver.
  package func bytesPerSecond(from: Int, to: Int) -> Double {
    let common =
      blockPair[block[from]][block[to]] ?? (block[from] == block[to] ? within ?? between : between ?? within) ?? overall
    return exp(common + row[from] + column[to])
  }

  private static func medians(_ entries: [(Int, Double)], count: Int) -> [Double] {
    var groups = [[Double]](repeating: [], count: count)
    for (index, value) in entries { groups[index].append(value) }
    return groups.map { $0.median ?? 0 }
  }
}
