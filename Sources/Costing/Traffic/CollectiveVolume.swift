import Training

/// Elements that each rank of a group sends to each other in a collective, in closed form.
///
/// A tensor of S elements is cut into one chunk per rank, lengths c₀ ≥ c₁ ≥ … that differ by at most one. In a ring a rank
/// sends its successor everything but one chunk: the successor's own when gathering, its own when reducing and scattering.
/// A hierarchical collective runs such rings level by level, gathering from the outermost level inwards and reducing
/// from the innermost outwards: at a level of `a` ranks over `k` below it, among ranks that agree in all other places,
/// on the 1/k of the tensor whose chunks belong to their place below.
///
/// Nothing is taken from the messages of collective schedules: the executor, which performs those, is checked against this.
struct CollectiveVolume {
  /// Ranks at each level, innermost first; their product is the group's size. One level is a flat ring.
  let degrees: [Int]
  /// Elements of the full tensor, S.
  let elementCount: Int

  /// Whether an all-reduce goes up and down a tree instead.
  let isTree: Bool
  /// Whether every chunk goes straight to whom it is for.
  let isDirect: Bool

  init(degrees: [Int], elementCount: Int, isTree: Bool = false, isDirect: Bool = false) {
    self.degrees = degrees
    self.elementCount = elementCount
    self.isTree = isTree
    self.isDirect = isDirect
  }

  /// - Precondition: a direct route level by level has no volume here: no price leads to it.
  init(_ route: Route, rankCount: Int, elementCount: Int) {
    switch route {
    case .ring: self.init(degrees: [rankCount], elementCount: elementCount)
    case .tree: self.init(degrees: [rankCount], elementCount: elementCount, isTree: true)
    case .hierarchical(let degrees): self.init(degrees: degrees, elementCount: elementCount)
    case .direct: self.init(degrees: [rankCount], elementCount: elementCount, isDirect: true)
    case .directByLevel: preconditionFailure("no price leads to a direct route level by level")
    }
  }

  private var rankCount: Int { degrees.reduce(1, *) }

  /// Calls `body(sender, receiver, elements)` for every pair that exchanges elements in a collective.
  func forEachPair(of kind: CollectiveKind, _ body: (_ from: Int, _ to: Int, _ elementCount: Int) -> Void) {
    switch kind {
    case .allGather: forEachAllGatherPair(body)
    case .reduceScatter: forEachReduceScatterPair(body)
    case .allReduce where isTree:
      // Everything up each edge, and down again.
      guard elementCount > 0 else { return }
      for edge in binomialTree(rankCount) {
        body(edge.child, edge.parent, elementCount)
        body(edge.parent, edge.child, elementCount)
      }
    case .allReduce:
      forEachReduceScatterPair(body)
      forEachAllGatherPair(body)
    case .allToAll:
      for from in 0..<rankCount {
        for to in 0..<rankCount where to != from { body(from, to, chunkLength(to)) }
      }
    case .shift, .shiftBack:
      guard rankCount > 1 else { return }
      for from in 0..<rankCount {
        body(from, (from + (kind == .shift ? 1 : rankCount - 1)) % rankCount, elementCount)
      }
    }
  }

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
    if isDirect {
      // As if two went round by themselves: each sends all but what the other keeps.
      for from in 0..<n {
        for to in 0..<n where to != from {
          let (sent, received) = (chunkLength(from), chunkLength(to))
          body(from, to, sent + received, sent, received)
        }
      }
      return
    }
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
