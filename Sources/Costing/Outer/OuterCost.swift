import Documents
import Training

/// What outer steps of workers add to the time of their iterations, see ``Documents/OuterStep``.
///
/// With T the seconds of an iteration of a worker alone, A those of the all-reduce among workers, S those of the outer step
/// and τ the period, a round takes
///
///     τ · T + A + S                     waited for
///     max(τ · T + f · A · s, A) + S     in flight during the next round
///
/// and an iteration the τ-th part. Where a worker has several nodes its own traffic and the all-reduce meet on the links
/// between them: f is the share of an iteration in which inner traffic holds them up, s the share of a link's rate that goes to
/// the all-reduce then, at most half; and A is longer by what it does not get meanwhile, of max-min fair links.
///
/// A round is as long as that of the slowest stage in each respect.
///
/// A reference, since costs are copied for every strategy, and most have none.
final class OuterCost: Sendable {
  let strategy: OuterStep
  private let hasMomentum: Bool
  /// Ranks of the same place in all workers.
  private let group: CommunicationGroup
  /// s.
  private let linkShare: Double
  /// Of the rate that the all-reduce has alone, the share that it has beside inner traffic.
  private let keptRate: Double
  /// Two votes of all workers, before and after, seconds.
  private let voteSeconds: Double
  /// That no worker fails in the course of an all-reduce, and what it costs if one does, seconds.
  private let successProbability: Double
  private let detectionSeconds: Double
  private let secondsPerMemoryByte: Double
  /// Nil where outer states lie on the device.
  private let host: HostSpeed?

  init(strategy: Strategy, job: TrainingJob, links: LayoutLinks, secondsPerMemoryByte: Double, host: HostSpeed?) {
    self.strategy = strategy.outer
    hasMomentum = job.outer.hasMomentum
    group = links.workers.group
    linkShare = min(0.5, links.workers.innerShare)
    keptRate = links.workers.innerShare > 0.5 ? 0.5 / links.workers.innerShare : 1
    let area = links.workers.wideArea
    // To whoever counts the votes, and back.
    voteSeconds = area == nil ? 0 : 2 * 2 * group.latencySeconds
    var probability = 1.0
    for _ in 0..<strategy.workerDegree { probability *= 1 - (area?.failureProbability ?? 0) }
    successProbability = probability
    detectionSeconds = area?.detectionSeconds ?? 0
    self.secondsPerMemoryByte = secondsPerMemoryByte
    self.host = strategy.outer.isHosted ? host : nil
  }

  /// The all-reduce of so many numbers of each rank on links of its own, seconds.
  ///
  /// One all-reduce of fp32, or numbers that are rounded sent straight to who sums them, and the means gathered, see
  /// ``Documents/OuterStep/Format``. With p the probability that all workers last, an all-reduce takes `A/p` and
  /// `1/p − 1` detections on average (PCCL, Keiblinger et al. 2025: a round that fails is tried again).
  func allReduceSeconds(parameterCount: Int) -> Double {
    guard group.rankCount > 1, parameterCount > 0 else { return 0 }
    let seconds: Double
    if strategy.format.isRounded {
      let bytes = Double(strategy.format.wireByteCount(elementCount: parameterCount, rankCount: group.rankCount))
      seconds = group.allToAllSeconds(byteCount: bytes) + group.allGatherSeconds(byteCount: bytes)
    } else {
      seconds = group.allReduceSeconds(byteCount: 4 * Double(parameterCount))
    }
    return (seconds + voteSeconds) / successProbability + (1 / successProbability - 1) * detectionSeconds
  }

  /// What a rank sends in it: all but its own chunk to their owners, and its own chunk's sum to all others, or as much round a
  /// ring.
  private func sentBytes(parameterCount: Int) -> Int {
    let count = group.rankCount
    let bytes =
      strategy.format.isRounded
      ? strategy.format.wireByteCount(elementCount: parameterCount, rankCount: count) : 4 * parameterCount
    return 2 * (count - 1) * (bytes / count)
  }

  /// The outer step of so many numbers, seconds: weights and anchor, the mean and the momentum are read, the new Δ, anchor,
  /// momentum and weights are written, in fp32; and what is rounded is written and read once more, there and back.
  ///
  /// On the host the same goes through its memory, the new Δ down and the new weights up over its link.
  func stepSeconds(parameterCount: Int) -> Double {
    let count = Double(parameterCount)
    let rounding = strategy.format.isRounded ? 2 * Double(4 + strategy.format.byteCount) : 0
    let bytes = count * ((hasMomentum ? 8 : 6) * 4 + rounding)
    guard let host else { return bytes * secondsPerMemoryByte }
    return bytes / host.updateBytesPerSecond + 2 * 4 * count / host.bytesPerSecond
  }

  /// What a round is made of.
  ///
  /// - Parameters:
  ///   - localSeconds: T.
  ///   - sharedSeconds: of an iteration, in which the worker's own traffic holds up the links that the all-reduce uses.
  ///   - parameterCount: that the busiest rank updates.
  func round(localSeconds: Double, sharedSeconds: Double, parameterCount: Int) -> Prediction.OuterRound {
    let period = Double(strategy.period)
    let busy = linkShare > 0 && localSeconds > 0 ? min(1, sharedSeconds / localSeconds) : 0
    let allReduce = allReduceSeconds(parameterCount: parameterCount) / (1 - busy * (1 - keptRate))
    let step = stepSeconds(parameterCount: parameterCount)
    let isLate = strategy.staleness > 0
    let held = isLate ? busy * allReduce * linkShare : 0
    let local = period * localSeconds
    // Absurd links make absurd numbers, which have to be countable all the same.
    let hidden = localSeconds > 0 ? ((1 - busy * linkShare) * allReduce / localSeconds).rounded(.up) : .infinity
    return Prediction.OuterRound(
      roundSeconds: (isLate ? max(local + held, allReduce) : local + allReduce) + step, localSeconds: localSeconds,
      allReduceSeconds: allReduce, interferenceSeconds: held / period, stepSeconds: step,
      sentBytes: sentBytes(parameterCount: parameterCount),
      leastHiddenPeriod: Int(max(1, min(hidden, 1e15))))
  }
}

extension OuterStep.Format {
  /// Bytes of a rank's numbers as they travel, those that stay with it included; of codes, as many words for each of the
  /// group's ranks as the longest chunk takes.
  package func wireByteCount(elementCount: Int, rankCount: Int) -> Int {
    quantisation.map {
      $0.gatheredWordCount(elementCount: elementCount, rankCount: rankCount) * Quantisation.wordByteCount
    } ?? elementCount * byteCount
  }
}
