import TestSupport
import Testing

@testable import Search

/// Which nodes make a worker, against all divisions of few nodes and on sites whose nodes are in no order.
@Suite struct WorkerPartitionTests {
  /// Seconds per byte between two nodes of a site, and of different sites.
  private static func links(
    siteOf: [Int], fast: ClosedRange<Double>, slow: ClosedRange<Double>, seed: UInt64
  ) -> [Double] {
    var random = SeededGenerator(seed: seed)
    return siteOf.flatMap { from in
      siteOf.map { 1 / Double.random(in: from == $0 ? fast : slow, using: &random) }
    }
  }

  /// Every division of the nodes into sets of equal size, some nodes left out.
  private static func divisions(of nodes: [Int], count: Int, size: Int) -> [[[Int]]] {
    guard count > 0 else { return [[]] }
    guard nodes.count >= count * size, let first = nodes.first else { return [] }
    let rest = Array(nodes.dropFirst())
    let with = choices(of: rest, count: size - 1).flatMap { others in
      divisions(of: rest.filter { !others.contains($0) }, count: count - 1, size: size).map { [[first] + others] + $0 }
    }
    return with + (nodes.count > count * size ? divisions(of: rest, count: count, size: size) : [])
  }

  private static func choices(of nodes: [Int], count: Int) -> [[Int]] {
    guard count > 0 else { return [[]] }
    guard let first = nodes.first else { return [] }
    let rest = Array(nodes.dropFirst())
    return choices(of: rest, count: count - 1).map { [first] + $0 } + choices(of: rest, count: count)
  }

  @Test(arguments: [[0, 0, 1, 1, 2, 2], [0, 1, 2, 2, 1, 0], [2, 0, 1, 0, 2, 1, 0, 1, 2], [0, 1, 0, 1, 0, 1, 0, 1]])
  func workersLieInsideOfSites(siteOf: [Int]) {
    let sites = Set(siteOf).count, size = siteOf.count / sites
    for seed in UInt64(0)..<4 {
      let partition = WorkerPartition(
        secondsPerByte: Self.links(siteOf: siteOf, fast: 20e9...25e9, slow: 0.1e9...3e9, seed: seed),
        nodeCount: siteOf.count, nodes: Array(siteOf.indices), workerCount: sites, size: size)
      #expect(partition.workers.count == sites)
      #expect(partition.workers.flatMap { $0 }.sorted() == Array(siteOf.indices))
      for worker in partition.workers { #expect(Set(worker.map { siteOf[$0] }).count == 1, "\(worker), seed \(seed)") }
    }
  }

  /// Half a site makes a worker as well, and of sites that are too large or too small some nodes are left out.
  @Test func sitesNeedNotBeWorkers() {
    let siteOf = [0, 1, 0, 2, 0, 1, 1, 2, 0, 1, 0]
    let links = Self.links(siteOf: siteOf, fast: 20e9...25e9, slow: 0.1e9...3e9, seed: 9)
    for (count, size) in [(5, 2), (4, 2), (2, 4), (3, 3)] {
      let partition = WorkerPartition(
        secondsPerByte: links, nodeCount: siteOf.count, nodes: Array(siteOf.indices), workerCount: count, size: size)
      #expect(partition.workers.allSatisfy { $0.count == size } && partition.workers.count == count)
      #expect(Set(partition.workers.joined()).count == count * size)
      // Of three nodes there are two sites only, and a pair.
      let isInside = partition.workers.allSatisfy { Set($0.map { siteOf[$0] }).count == 1 }
      #expect(isInside == (size != 3), "\(count) of \(size): \(partition.workers)")
    }
  }

  /// The bound is one, and what is found is mostly the best of all divisions.
  @Test func fewNodesAreDividedAsWellAsCanBe() {
    var random = SeededGenerator(seed: 4), bestCount = 0
    let shapes = [(6, 3, 2), (6, 2, 3), (8, 2, 4), (8, 4, 2), (7, 3, 2), (7, 2, 3), (5, 5, 1)]
    for round in 0..<70 {
      let (nodes, count, size) = shapes[round % shapes.count]
      let links = (0..<nodes * nodes).map { _ in 1 / Double.random(in: 1e9...25e9, using: &random) }
      let partition = WorkerPartition(
        secondsPerByte: links, nodeCount: nodes, nodes: Array(0..<nodes), workerCount: count, size: size)
      let best =
        Self.divisions(of: Array(0..<nodes), count: count, size: size)
        .map { $0.reduce(0) { max($0, partition.slowest($1)) } }.min() ?? 0
      #expect(partition.leastThreshold <= best, "round \(round)")
      #expect(best <= partition.slowest, "round \(round)")
      #expect(partition.slowest <= best * 3, "round \(round)")
      if partition.slowest == best { bestCount += 1 }
    }
    #expect(bestCount >= 60, "\(bestCount) of 70")
  }
}
