import Costing
import Documents

/// Nodes of several workers: which make a worker, in which order inside of it, and in which order workers stand on the rings
/// of their outer steps.
extension NodeArranger {
  /// Orders of all nodes worth a look for a mesh of several workers.
  ///
  /// Workers are made so that the slowest link inside of any is fast (``WorkerPartition``), the nodes of each put into the
  /// order in which it trains fastest by itself, and the workers into one in which the slowest link from one to the next
  /// is fast: a rank's outer ring goes through the nodes that have its place in each.
  ///
  /// - Parameter nodes: all nodes of the cluster, each once.
  /// - Returns: with nodes arranged inside of workers, then as they were given; and how many programs were solved.
  /// - Throws: ``Stopped``.
  mutating func workerOrders(
    _ strategy: Strategy, _ split: Split, nodes: [Int], watch: StopWatch
  ) throws(Stopped) -> (orders: [[Int]], programCount: Int) {
    let problem = problem(strategy, split), count = strategy.workerDegree
    let partition =
      partitions[count]
      ?? WorkerPartition(
        secondsPerByte: problem.ringSecondsPerByte, nodeCount: problem.nodeCount, nodes: nodes, workerCount: count,
        size: problem.placeCount)
    partitions[count] = partition
    let plain = partition.workers
    var arranged: [[Int]] = [], programCount = 0
    for worker in plain {
      let found = try self.orders(
        problem.among(worker), given: Array(worker.indices), evaluationsOfMany: Self.evaluationsOfMany / count + 1,
        watch: watch)
      programCount += found.programCount
      arranged.append((found.orders.first ?? Array(worker.indices)).map { worker[$0] })
    }
    var orders: [[Int]] = []
    for workers in [arranged, plain] {
      let ring = try self.ring(of: workers, problem: problem, watch: watch)
      programCount += ring.programCount
      orders.append(ring.workers.flatMap { $0 })
    }
    return (orders, programCount)
  }

  /// Workers in an order in which the slowest link from one to the next is fast.
  private func ring(
    of workers: [[Int]], problem: PlacementProblem, watch: StopWatch
  ) throws(Stopped) -> (workers: [[Int]], programCount: Int) {
    guard workers.count > 2 else { return (workers, 0) }
    let seconds = workers.flatMap { from in
      workers.map { to in
        zip(from, to).reduce(0) { max($0, problem.ringSecondsPerByte[$1.0 * problem.nodeCount + $1.1]) }
      }
    }
    let count = workers.count
    let ring = PlacementProblem(
      nodeCount: count, rowCount: count, columnCount: 1, hopSecondsPerByte: seconds, ringSecondsPerByte: seconds,
      hopByteCount: 0, microBatchCount: 1, stageSeconds: [0],
      tails: [PlacementProblem.Tail(baseSeconds: 0, byteCount: 1)])
    let found = try orders(ring, given: Array(workers.indices), watch: watch)
    return ((found.orders.first ?? Array(workers.indices)).map { workers[$0] }, found.programCount)
  }
}
