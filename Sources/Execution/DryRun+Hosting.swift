import Costing
import Documents
import Training

/// What an update by the host has gradients and weights move.
extension DryRun {
  /// Bytes of an iteration over all ranks, from and to the host, counted of what each rank updates: as much of it as the
  /// strategy says; gradients at once in their own format, or divided ones of every micro-batch in the weights' format.
  static func updateTraffic(of run: MiniatureRun, stepCount: Int, miniature: Miniature) -> [Traffic] {
    let strategy = miniature.strategy, shape = run.setting.shape
    guard strategy.update.hasGradients, strategy.hosting.updatePercent > 0 else { return [] }
    let job = miniature.model.job, iterations = stepCount * shape.iterationCount()
    func row(
      _ kind: String, _ level: String, executed: (RankState.HostMoves) -> Int, counted: (RankState) -> Int
    ) -> Traffic {
      let ranks = run.ranks.map { rank in
        (executed: executed(rank.machine.state.hostMoves) / iterations, counted: counted(rank.machine.state))
      }
      return Traffic(
        kind: kind, level: level, executedBytes: ranks.reduce(0) { $0 + $1.executed },
        countedBytes: ranks.reduce(0) { $0 + $1.counted },
        disagreeingRankCount: ranks.count { $0.executed != $0.counted })
    }
    let elementByteCount = job.precision.byteCount, isDivided = strategy.sharding.gradientDegree > 1
    return [
      row("gradients", "to the host", executed: \.toHost) { state in
        isDivided
          ? hostedCount(of: state.number, shape) { $0.gradients.count } * elementByteCount
            * strategy.microBatchCount(globalBatch: job.globalBatch)
          : hostedCount(of: state.number, shape) { $0.optimizer.count } * job.gradientByteCount
      },
      row("weights", "from the host", executed: \.fromHost) { state in
        hostedCount(of: state.number, shape) { $0.optimizer.count } * elementByteCount
      },
    ]
  }

  /// Elements of a rank that its host has: of all but experts and of these, whose states are cut by themselves, together.
  ///
  /// - Parameter count: of what the rank has of a tensor.
  private static func hostedCount(of rank: Int, _ shape: IterationShape, _ count: (ShardRanges) -> Int) -> Int {
    let parts = shape.parameters(ofRank: rank).entries
    let all = [false, true].reduce(0) { sum, isOfExperts in
      let own = parts.filter { $0.part.isOfExperts == isOfExperts }
      guard let first = own.first?.part else { return sum }
      let sharding = shape.sharding(of: first), mesh = shape.mesh(of: first)
      // Where whole gradients are kept, everything at once.
      let tensors =
        sharding.gradientDegree == 1 ? [own.reduce(0) { $0 + $1.range.count }] : own.map(\.range.count)
      return sum
        + tensors.reduce(0) {
          $0
            + count(
              sharding.ranges(
                ofReplica: mesh.replica(ofRank: rank), replicaCount: mesh.replicaCount, elementCount: $1))
        }
    }
    return all * shape.strategy.hosting.updatePercent / 100
  }
}
