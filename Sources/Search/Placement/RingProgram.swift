import IntegerProgramming

/// The ring of a given number of nodes whose slowest link is fastest, as integer programs.
///
/// A row that keeps every link below a variable is what a solver cannot prove, so the slowest link is taken out: it is
/// one of the sorted times of the links, and is bisected. Whether the links up to one of them hold a ring is a program
/// without an objective. Every link is taken or not; a node is entered as often as it is left, once if it is part of
/// the ring; and a commodity, of which the node where it starts sends every other node a unit over the links that are
/// taken, leaves no room for a second ring (Gavish and Graves 1978).
struct RingProgram {
  /// Nodes of a program: a count, so that answers do not depend on speed.
  static let nodeLimit = 2_000
  /// With more nodes programs are seldom decided within the limit of branches.
  static let largestNodeCount = 32

  let nodeCount: Int
  /// Nodes of the ring.
  let length: Int
  /// From node times `nodeCount` plus to node.
  let secondsPerByte: [Double]

  private enum Answer {
    case ring([Int])
    case impossible
    case undecided
  }

  /// The time per byte of a ring's slowest link.
  func slowest(_ ring: [Int]) -> Double {
    ring.indices.reduce(0) { slowest, index in
      max(slowest, secondsPerByte[ring[index] * nodeCount + ring[(index + 1) % ring.count]])
    }
  }

  /// The best ring, beginning with one that is known.
  ///
  /// - Parameters:
  ///   - known: a ring.
  ///   - least: no ring's slowest link takes less.
  /// - Returns: the best ring found, a time per byte below which no ring's slowest link is, and how many programs were
  ///   solved.
  /// - Throws: ``Stopped``.
  func best(
    known: [Int], noneBelow least: Double, watch: StopWatch = .never
  ) throws(Stopped) -> (ring: [Int], bound: Double, programCount: Int) {
    var best = known
    let links = Set(secondsPerByte.indices.lazy.filter { $0 / nodeCount != $0 % nodeCount }.map { secondsPerByte[$0] })
    let thresholds = links.filter { $0 >= least && $0 <= slowest(known) }.sorted()
    // The last is that of the ring that is known.
    var low = 0, high = thresholds.count - 1, programCount = 0
    while low < high {
      let middle = (low + high) / 2
      programCount += 1
      let answer = answer(threshold: thresholds[middle], watch: watch)
      try watch.check()
      switch answer {
      case .ring(let ring):
        best = ring
        let time = slowest(ring)
        high = thresholds.firstIndex { $0 >= time } ?? middle
      case .impossible: low = middle + 1
      case .undecided: return (best, thresholds[low], programCount)
      }
    }
    return (best, slowest(best), programCount)
  }

  private func answer(threshold: Double, watch: StopWatch) -> Answer {
    do {
      var program = IntegerProgram()
      var leaving = [[IntegerProgram.Term]](repeating: [], count: nodeCount), entering = leaving, balance = leaving
      var taken: [(from: Int, to: Int, variable: IntegerProgram.Variable)] = []
      for from in 0..<nodeCount {
        for to in 0..<nodeCount where from != to && secondsPerByte[from * nodeCount + to] <= threshold {
          let link = try program.addVariable("\(from) to \(to)", kind: .binary)
          let flow = try program.addVariable("units \(from) to \(to)", upper: Double(length - 1))
          try program.addRow("units over links taken", [1 * flow, Double(1 - length) * link], upper: 0)
          leaving[from].append(1 * link)
          entering[to].append(1 * link)
          balance[from].append(1 * flow)
          balance[to].append(-1 * flow)
          taken.append((from, to, link))
        }
      }
      var members: [IntegerProgram.Term] = [], starts: [IntegerProgram.Term] = []
      for node in 0..<nodeCount {
        let isMember = try program.addVariable(
          "\(node) is part", kind: .binary, lower: length == nodeCount ? 1 : 0)
        // Every node is as good a start where all are part.
        let isStart = try program.addVariable(
          "\(node) is the start", kind: .binary, upper: length == nodeCount && node > 0 ? 0 : 1)
        try program.addRow("left once", leaving[node] + [-1 * isMember], lower: 0, upper: 0)
        try program.addRow("entered once", entering[node] + [-1 * isMember], lower: 0, upper: 0)
        try program.addRow("starts if part", [1 * isStart, -1 * isMember], upper: 0)
        try program.addRow(
          "keeps a unit", balance[node] + [1 * isMember, Double(-length) * isStart], lower: 0, upper: 0)
        members.append(1 * isMember)
        starts.append(1 * isStart)
      }
      try program.addRow("length", members, lower: Double(length), upper: Double(length))
      try program.addRow("one start", starts, lower: 1, upper: 1)
      let solution = try program.solve(limits: .init(nodeCount: Self.nodeLimit)) { watch.isRequested }
      if solution.status == .infeasible { return .impossible }
      guard !solution.values.isEmpty else { return .undecided }
      return ring(taken.filter { solution.values[$0.variable.index] > 0.5 }.map { ($0.from, $0.to) })
    } catch {
      // What the solver refuses is not decided.
      return .undecided
    }
  }

  /// The ring that links form; undecided if they form none, whatever the solver says.
  private func ring(_ links: [(from: Int, to: Int)]) -> Answer {
    let next = Dictionary(links.map { ($0.from, $0.to) }, uniquingKeysWith: { first, _ in first })
    guard let start = links.first?.from else { return .undecided }
    var ring = [start]
    while let node = next[ring[ring.count - 1]], node != start, ring.count < length { ring.append(node) }
    let isClosed = ring.count == length && next[ring[ring.count - 1]] == start && Set(ring).count == length
    return isClosed ? .ring(ring) : .undecided
  }
}
