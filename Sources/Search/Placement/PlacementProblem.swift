/// Nodes to be put into the places of a layout, and what an iteration takes when they are.
///
/// The places form rows of `columnCount` nodes. A row is what the pipelines of some replicas run through, a column
/// holds the `rowCount` nodes among which the gradients of its stages are reduced. A node may hold several stages, or
/// several replicas of a stage. Place `column · rowCount + row` is the rank order of the layouts.
///
/// The time is the critical cycle of 1F1B with links that differ, plus the tail of the slowest column, where L_i is the
/// sum of the transfers after stage i, S_i that of the stages from i on, p the stages and m the micro-batches:
///
///     max over rows ( 2 L_0 + (m − 1) · max_i (S_i + 2 L_i) / (p − i) ) + max over columns ( base + bytes · slowest edge of the ring )
///
/// With m = 1 and a tail on the first column only it is the objective of Pipette's worker dedication (Yim et al. 2024,
/// equations 4 to 6). The cost model lets all replicas of a stage wait for the slowest transfer of theirs: rows that
/// wait for each other are one row of the slowest hops.
package struct PlacementProblem: Sendable {
  /// What follows the last backward pass of a column's stages.
  package struct Tail: Sendable, Equatable {
    /// Seconds that do not depend on the links, less the column's lead over the first.
    package let baseSeconds: Double
    /// Bytes that pass over every edge of the column's ring.
    package let byteCount: Double

    /// A tail of a given number of seconds and bytes.
    package init(baseSeconds: Double, byteCount: Double) {
      self.baseSeconds = baseSeconds
      self.byteCount = byteCount
    }
  }

  /// Nodes to choose from.
  package private(set) var nodeCount: Int
  /// Nodes of a column.
  package let rowCount: Int
  /// Nodes of a row.
  package let columnCount: Int
  /// Whether rows wait for each other at every hop.
  package let rowsWait: Bool
  let stagesPerNode: Int
  /// Seconds per byte of a transfer between stages, from node times `nodeCount` plus to node.
  private(set) var hopSecondsPerByte: [Double]
  /// The same for an edge of a ring.
  private(set) var ringSecondsPerByte: [Double]
  let hopByteCount: Double
  let furtherMicroBatches: Double
  /// (m − 1) S_i / (p − i), and 2 (m − 1) / (p − i), of every stage.
  let periodBase: [Double]
  let periodPerSecond: [Double]
  let tails: [Tail]

  /// - Parameters:
  ///   - hopSecondsPerByte: of a transfer between stages, from node times `nodeCount` plus to node.
  ///   - ringSecondsPerByte: the same of an edge of a ring.
  ///   - hopByteCount: bytes of a transfer, one direction, one micro-batch.
  ///   - stageSeconds: forward and backward pass of one micro-batch, of every stage; a multiple of `columnCount`.
  ///   - tails: one for each column.
  ///   - rowsWait: whether a hop takes as long as the slowest of all rows, not only for its own row.
  /// - Precondition: matrices of `nodeCount`² finite positive entries (the diagonal
  ///   is not read), and at least as many nodes as places.
  package init(
    nodeCount: Int, rowCount: Int, columnCount: Int, hopSecondsPerByte: [Double], ringSecondsPerByte: [Double],
    hopByteCount: Double, microBatchCount: Int, stageSeconds: [Double], tails: [Tail], rowsWait: Bool = false
  ) {
    precondition(nodeCount >= rowCount * columnCount && tails.count == columnCount)
    precondition(stageSeconds.count % columnCount == 0)
    self.nodeCount = nodeCount
    self.rowCount = rowCount
    self.columnCount = columnCount
    stagesPerNode = stageSeconds.count / columnCount
    self.hopSecondsPerByte = hopSecondsPerByte
    self.ringSecondsPerByte = ringSecondsPerByte
    self.hopByteCount = hopByteCount
    self.tails = tails
    self.rowsWait = rowsWait
    let further = Double(microBatchCount - 1)
    furtherMicroBatches = further
    let p = stageSeconds.count
    var base = [Double](repeating: 0, count: p), perSecond = base
    var sum = 0.0
    for stage in (0..<p).reversed() {
      sum += stageSeconds[stage]
      // No stage is faster than itself.
      base[stage] = further * max(sum / Double(p - stage), stageSeconds[stage])
      perSecond[stage] = 2 * further / Double(p - stage)
    }
    periodBase = base
    periodPerSecond = perSecond
  }

  /// The same with some of the nodes to choose from only, by their index here.
  /// - Precondition: at least as many as places.
  func among(_ nodes: [Int]) -> Self {
    precondition(nodes.count >= placeCount)
    var copy = self
    copy.hopSecondsPerByte = nodes.flatMap { from in nodes.map { hopSecondsPerByte[from * nodeCount + $0] } }
    copy.ringSecondsPerByte = nodes.flatMap { from in nodes.map { ringSecondsPerByte[from * nodeCount + $0] } }
    copy.nodeCount = nodes.count
    return copy
  }

  /// Places that are filled.
  package var placeCount: Int { rowCount * columnCount }

  /// Seconds of a transfer from one node to another.
  @inline(__always)
  func hopSeconds(from: Int32, to: Int32) -> Double {
    hopByteCount * hopSecondsPerByte[Int(from) &* nodeCount &+ Int(to)]
  }

  /// Seconds per byte of a ring's edge from one node to another.
  @inline(__always)
  func edge(from: Int32, to: Int32) -> Double { ringSecondsPerByte[Int(from) &* nodeCount &+ Int(to)] }

  /// Seconds of the pipelines of a row whose hops are given.
  ///
  /// - Parameters:
  ///   - hops: seconds of transfers.
  ///   - first: where the hop into the first column would be.
  ///   - stride: from one column to the next.
  @inline(__always)
  func rowSeconds(hops: UnsafePointer<Double>, first: Int, stride: Int) -> Double {
    var transfers = 0.0, period = 0.0
    var stage = periodBase.count - 1
    var place = first + (columnCount - 1) * stride
    return periodBase.withUnsafeBufferPointer { base in
      periodPerSecond.withUnsafeBufferPointer { perSecond in
        while true {
          for _ in 0..<stagesPerNode {
            period = max(period, base[stage] + perSecond[stage] * transfers)
            stage &-= 1
          }
          guard place > first else { return 2 * transfers + period }
          transfers += hops[place]
          place &-= stride
        }
      }
    }
  }

  /// Seconds of the tail of one column, by the slowest edge of its ring and by the mean one.
  ///
  /// - Parameter edges: seconds per byte of the ring's edge into each place.
  @inline(__always)
  func tailSeconds(_ column: Int, edges: UnsafePointer<Double>) -> (slowest: Double, mean: Double) {
    let tail = tails[column]
    guard tail.byteCount > 0, rowCount > 1 else { return (tail.baseSeconds, tail.baseSeconds) }
    var slowest = 0.0, sum = 0.0
    for place in column * rowCount..<(column + 1) * rowCount {
      slowest = max(slowest, edges[place])
      sum += edges[place]
    }
    return (tail.baseSeconds + tail.byteCount * slowest, tail.baseSeconds + tail.byteCount * sum / Double(rowCount))
  }

  /// Seconds of an iteration with the nodes in the given order; places take the first ones.
  ///
  /// - Complexity: O(nodes · stages per node).
  package func seconds(order: [Int]) -> Double {
    var search = PlacementSearch(self, order: order, seed: 0)
    return search.walk(evaluationCount: 0).seconds
  }
}
