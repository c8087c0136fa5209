/// Which nodes make a worker where links were measured: workers of equal size whose slowest inner link is as fast as can be
/// found, so that slow links carry outer steps alone.
///
/// The slowest link is taken out: links are gone through from the fastest on, and as soon as those so far connect as many
/// loose nodes as a worker has, they are one. When there are enough workers the last link is the fastest that any
/// division into connected workers could have for its slowest, see ``leastThreshold``: links so fast, and no fewer,
/// leave components that hold workers enough. Nodes that came together early may have parted others, so that nodes of the
/// worker that is connected worst are swapped with those of others as long as that helps.
struct WorkerPartition {
  /// Seconds per byte between two nodes, the slower direction, from node times `nodeCount` plus to node.
  private let seconds: [Double]
  private let nodeCount: Int
  /// Nodes of each worker, in the order of their first.
  private(set) var workers: [[Int]]
  /// No division into connected workers has a slowest link of fewer seconds per byte.
  let leastThreshold: Double

  /// Looks at pairs of links while nodes are swapped, at most: a count, so that answers do not depend on speed.
  private static let lookLimit = 20_000_000

  /// - Parameters:
  ///   - secondsPerByte: of a link, from node times `nodeCount` plus to node.
  ///   - nodes: those to choose from, in the order in which equals are taken.
  ///   - workerCount: times `size` no more than the nodes; each at least 1.
  /// - Complexity: O(nodes²), and a limited number of swaps.
  init(secondsPerByte: [Double], nodeCount: Int, nodes: [Int], workerCount: Int, size: Int) {
    self.nodeCount = nodeCount
    seconds = secondsPerByte.indices.map { index in
      max(secondsPerByte[index], secondsPerByte[index % nodeCount * nodeCount + index / nodeCount])
    }
    workers = []
    guard size > 1 else {
      workers = nodes.prefix(workerCount).map { [$0] }
      leastThreshold = 0
      return
    }
    // Which nodes links up to a rate connect is told by those of a tree.
    let links = Self.tree(nodes, seconds: seconds, nodeCount: nodeCount).enumerated()
      .sorted { ($0.element.seconds, $0.offset) < ($1.element.seconds, $1.offset) }.map(\.element)
    var component = Array(0..<nodeCount), loose = component.map { [$0] }
    func root(_ node: Int) -> Int {
      var node = node
      while component[node] != node { node = component[node] }
      return node
    }
    var threshold = 0.0
    for link in links where workers.count < workerCount {
      let (one, other) = (root(link.from), root(link.to))
      component[other] = one
      loose[one] += loose[other]
      threshold = link.seconds
      if loose[one].count >= size {
        workers.append(Array(loose[one].prefix(size)))
        loose[one].removeFirst(size)
      }
    }
    leastThreshold = threshold
    improve(spare: Set(nodes).subtracting(workers.joined()).sorted())
    workers = workers.map { $0.sorted() }.sorted { $0[0] < $1[0] }
  }

  /// The slowest link that a worker cannot do without: of the tree of its fastest links.
  func slowest(_ worker: [Int]) -> Double {
    Self.tree(worker, seconds: seconds, nodeCount: nodeCount).reduce(0) { max($0, $1.seconds) }
  }

  /// The slowest of all workers'.
  var slowest: Double { workers.reduce(0) { max($0, slowest($1)) } }

  /// The links of a tree through some nodes whose slowest is as fast as can be (Prim's).
  private static func tree(
    _ nodes: [Int], seconds: [Double], nodeCount: Int
  ) -> [(seconds: Double, from: Int, to: Int)] {
    guard let first = nodes.first else { return [] }
    var links: [(seconds: Double, from: Int, to: Int)] = []
    var left = Array(nodes.dropFirst()), nearest = [Int](repeating: first, count: left.count)
    var best = left.map { seconds[first * nodeCount + $0] }
    while !left.isEmpty {
      var next = 0
      for place in left.indices where best[place] < best[next] { next = place }
      let node = left[next]
      links.append((best[next], nearest[next], node))
      left.remove(at: next)
      best.remove(at: next)
      nearest.remove(at: next)
      for place in left.indices {
        let other = seconds[node * nodeCount + left[place]]
        if other < best[place] { (best[place], nearest[place]) = (other, node) }
      }
    }
    return links
  }

  /// Swaps nodes of the worker that is connected worst as long as the worse of both becomes better.
  private mutating func improve(spare: [Int]) {
    guard let size = workers.first?.count, size < nodeCount else { return }
    var spare = spare, times = workers.map { slowest($0) }, looks = 0
    while let worst = times.indices.max(by: { (times[$0], $1) < (times[$1], $0) }), times[worst] > leastThreshold {
      var best: (seconds: Double, place: Int, other: Int, otherPlace: Int)?
      for place in workers[worst].indices {
        for other in workers.indices.map({ $0 }) + [workers.count] where other != worst {
          let others = other < workers.count ? workers[other] : spare
          for otherPlace in others.indices {
            looks += size * size
            guard looks < Self.lookLimit else { return }
            var own = workers[worst]
            own[place] = others[otherPlace]
            var seconds = slowest(own)
            guard seconds < best?.seconds ?? times[worst] else { continue }
            if other < workers.count {
              var changed = others
              changed[otherPlace] = workers[worst][place]
              seconds = max(seconds, slowest(changed))
            }
            if seconds < best?.seconds ?? times[worst] { best = (seconds, place, other, otherPlace) }
          }
        }
      }
      guard let best else { return }
      let node = workers[worst][best.place]
      if best.other < workers.count {
        workers[worst][best.place] = workers[best.other][best.otherPlace]
        workers[best.other][best.otherPlace] = node
        times[best.other] = slowest(workers[best.other])
      } else {
        workers[worst][best.place] = spare[best.otherPlace]
        spare[best.otherPlace] = node
      }
      times[worst] = slowest(workers[worst])
    }
  }
}
