import TestSupport
import Testing

@testable import Search

/// Rings with the fastest slowest link, against all rings.
@Suite("Integer programs find the best ring and prove it")
struct RingProgramTests {
  private func links(nodes: Int, seed: UInt64) -> [Double] {
    var random = SeededGenerator(seed: seed)
    return (0..<nodes * nodes).map { _ in 1 / Double.random(in: 1e9...25e9, using: &random) }
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func smallRingsAreTheBestOfAll(seed: UInt64) throws {
    let nodes = 4 + Int(seed % 3), length = seed % 2 == 0 ? nodes : nodes - 1
    let program = RingProgram(nodeCount: nodes, length: length, secondsPerByte: links(nodes: nodes, seed: seed))
    let truth =
      PlacementTests.permutations(of: Array(0..<nodes)).map { program.slowest(Array($0.prefix(length))) }.min() ?? 0
    let found = try program.best(known: Array(0..<length), noneBelow: 0)
    #expect(program.slowest(found.ring) == truth)
    #expect(found.bound == truth)
    #expect(Set(found.ring).count == length)
  }

  @Test func sixteenHostsAreProvenToo() throws {
    for seed in UInt64(50)...52 {
      let program = RingProgram(nodeCount: 16, length: 16, secondsPerByte: links(nodes: 16, seed: seed))
      let known = Array(0..<16)
      let found = try program.best(known: known, noneBelow: 0)
      #expect(found.bound == program.slowest(found.ring))
      #expect(found.bound < program.slowest(known))
      #expect(found.programCount > 1)
    }
  }
}
