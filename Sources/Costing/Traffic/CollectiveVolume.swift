/// Elements that each rank of a group sends to each other in a collective, in closed form.
///
/// A tensor of S elements is cut into one chunk per rank, lengths c₀ ≥ c₁ ≥ … that differ by at most one. In a ring a rank
/// sends its successor everything but one chunk: the successor's own when gathering, its own when reducing and scattering.
/// A hierarchical collective runs such rings level by level, gathering from the outermost level inwards and reducing
/// from the innermost outwards: at a level of `a` ranks over `k` below it, among ranks that agree in all other places,
/// on the 1/k of the tensor whose chunks belong to their place below.
///
/// Nothing is taken from the collective schedules: the executor, which performs those, is checked against this.
struct CollectiveVolume {
  /// Ranks at each level, innermost first; their product is the group's size. One level is a flat ring.
  let degrees: [Int]
  /// Elements of the full tensor, S.
  let elementCount: Int

  private var rankCount: Int { degrees.reduce(1, *) }

  /// Calls `body(sender, receiver, elements)` for every pair that exchanges elements in an all-gather.
  func forEachAllGatherPair(_ body: (_ from: Int, _ to: Int, _ elementCount: Int) -> Void) {
    forEachRingPair { from, to, total, _, receiverPiece in body(from, to, total - receiverPiece) }
  }

  /// The same of a reduce-scatter.
  func forEachReduceScatterPair(_ body: (_ from: Int, _ to: Int, _ elementCount: Int) -> Void) {
    forEachRingPair { from, to, total, senderPiece, _ in body(from, to, total - senderPiece) }
  }

  /// Every hop of every ring of every level, with the elements that go round in it and both ends' own pieces of them.
  private func forEachRingPair(
    _ body: (_ from: Int, _ to: Int, _ total: Int, _ senderPiece: Int, _ receiverPiece: Int) -> Void
  ) {
    let n = rankCount
    guard n > 1, elementCount > 0 else { return }
    var inner = 1
    for degree in degrees {
      // Pieces of the level: chunks of ranks that agree in every place up to and including this level's.
      let outer = inner * degree
      var pieces = [Int](repeating: 0, count: outer)
      for rank in 0..<n { pieces[rank % outer] += chunkLength(rank) }
      if degree > 1 {
        // What goes round in each ring: the pieces of its members.
        var totals = [Int](repeating: 0, count: inner)
        for place in 0..<outer { totals[place % inner] += pieces[place] }
        for rank in 0..<n {
          let below = rank % inner, place = rank / inner % degree
          let next = rank + ((place + 1) % degree - place) * inner
          body(rank, next, totals[below], pieces[rank % outer], pieces[next % outer])
        }
      }
      inner = outer
    }
  }

  private func chunkLength(_ rank: Int) -> Int {
    elementCount / rankCount + (rank < elementCount % rankCount ? 1 : 0)
  }
}
