import CGLPK

/// What a branch-and-cut search tells while it runs, and whether it may go on.
struct SearchProgress {
  /// The most nodes to solve.
  let nodeLimit: Int
  /// Nodes taken up so far.
  private(set) var nodeCount = 0
  /// The least bound of the nodes that are open: nothing better than both it and the best answer is to be found.
  private(set) var bestBound = -Double.infinity
  /// Why the search was ended, if it was.
  private(set) var stop: IntegerProgram.Stop?

  /// The node of the last look, 0 if there was none.
  private var node: Int32 = 0

  init(nodeLimit: Int) { self.nodeLimit = nodeLimit }

  /// Runs a search that calls back.
  mutating func follow(
    isCancelled: () -> Bool,
    _ search: (
      _ callback: @escaping @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Void,
      _ information: UnsafeMutableRawPointer
    ) -> Int32
  ) -> Int32 {
    withoutActuallyEscaping(isCancelled) { isCancelled in
      var observer = Observer(progress: self, isCancelled: isCancelled)
      let code = withUnsafeMutablePointer(to: &observer) { pointer in
        search(
          { tree, information in
            guard let tree, let observer = information?.assumingMemoryBound(to: Observer.self) else { return }
            observer.pointee.look(at: tree)
          }, pointer)
      }
      self = observer.progress
      return code
    }
  }

  /// What a callback of C can reach: a closure of the caller is no number.
  private struct Observer {
    var progress: SearchProgress
    let isCancelled: () -> Bool

    mutating func look(at tree: OpaquePointer) {
      let cancelled = isCancelled()
      progress.look(at: tree, isCancelled: cancelled)
    }
  }

  /// GLPK calls back several times a node, and not at every node before it is chosen; when it is between nodes, the
  /// current one is 0. A node is never taken up twice in a row.
  private mutating func look(at tree: OpaquePointer, isCancelled: Bool) {
    let best = glp_ios_best_node(tree)
    if best != 0 {
      let bound = glp_ios_node_bound(tree, best)
      // GLPK's infinity is the greatest number.
      bestBound = abs(bound) < .greatestFiniteMagnitude ? bound : bound < 0 ? -.infinity : .infinity
    }
    let current = glp_ios_curr_node(tree)
    defer { node = current }
    if isCancelled {
      stop = .cancellation
    } else if Self.isBeyondSolver(tree) {
      stop = .numericalTrouble
    } else if current != 0, current != node {
      if nodeCount == nodeLimit { stop = .nodeCount } else { nodeCount += 1 }
    }
    if stop != nil { glp_ios_terminate(tree) }
  }

  /// Whether GLPK would end the process if it went on: its presolver may leave rows and not a single column, which its
  /// cover cuts do not expect; and from 2⁵² on, adding a half to an integer gives another, and neither counts as one.
  private static func isBeyondSolver(_ tree: OpaquePointer) -> Bool {
    let problem = glp_ios_get_prob(tree)
    let columnCount = glp_get_num_cols(problem)
    if columnCount == 0 { return true }
    // The one look between the solution of a node and the test for integers.
    guard glp_ios_reason(tree) == GLP_IROWGEN else { return false }
    return (1...columnCount).contains {
      glp_get_col_kind(problem, $0) != GLP_CV && !(abs(glp_get_col_prim(problem, $0)) < 0x1p52)
    }
  }
}
