import Documents
import Training

/// Rounds of workers: what this rank's worker has moved by, the sum over workers, and the outer step.
///
/// All of it is of the elements whose optimizer states the rank keeps.
extension RankState {
  /// What a rank has in hand of rounds.
  struct Rounds {
    /// What its worker has moved by, as it is sent: numbers, or where they are quantised a run of words for every worker.
    var pending: [Float] = []
    /// The rank's own chunk of a sum, as it is sent on.
    var ownChunk: [Float] = []
    /// The sum over workers that has come; nil until it has.
    var sum: [Float]?
    var steps = AnchorSteps()
    /// Squared norm and loss of every iteration since the program began.
    var scalars: [[Float]] = []
  }

  var isOuter: Bool { setting.strategy.update == .outer }
  private var workerCount: Int { setting.strategy.workerDegree }
  private var format: OuterStep.Format { setting.strategy.outer.format }
  private var ownedCount: Int { parts.reduce(0) { $0 + $1.owned.count } }

  /// What outer states take, from the beginning on.
  mutating func makeOuterStates() {
    guard isOuter else { return }
    for index in parts.indices {
      parts[index].outer = OuterState(anchor: parts[index].optimizer.masters, settings: setting.job.outer)
    }
    addOuter(ownedCount * (setting.job.outer.hasMomentum ? 8 : 4))
  }

  private mutating func addOuter(_ byteCount: Int) {
    memory.add(byteCount, setting.strategy.outer.isHosted ? .host : .outer)
  }

  /// What is pending is kept from round to round where steps are late; otherwise it is taken for the step only.
  private mutating func addPending(_ sign: Int) {
    let byteCount = sign * ownedCount * format.byteCount
    if setting.shape.isLate { addOuter(byteCount) } else { memory.add(byteCount, .workspace) }
  }

  // MARK: The round

  /// Takes what the worker has moved by. What was pending is on its way, or where nobody sends anything is the sum.
  mutating func takeProgress() {
    if setting.shape.isLate, workerCount == 1, !rounds.pending.isEmpty { rounds.sum = rounds.pending }
    let values = parts.flatMap { $0.outer?.progress(of: $0.optimizer.masters) ?? [] }
    if rounds.pending.isEmpty { addPending(1) }
    rounds.pending = sent(values)
  }

  mutating func returnToAnchor() {
    for index in parts.indices {
      guard let anchor = parts[index].outer?.anchor else { continue }
      parts[index].optimizer.replaceMasters(with: anchor, settings: setting.optimizer)
      keepWeights(parts[index].optimizer.masters.map(setting.arithmetic.rounded), index, parts[index].owned)
    }
  }

  mutating func outerStep(workerCount: Int) {
    let sum = rounds.sum ?? rounds.pending
    guard sum.count == ownedCount else { preconditionFailure("an outer step has no sum of workers") }
    let penalty = rounds.steps.penalty(setting.job.outer.penalty)
    var moved: [[Float]] = [], next = 0
    for index in parts.indices {
      let count = parts[index].owned.count
      moved.append(
        parts[index].outer?.step(
          bySum: sum[next..<next + count], workerCount: workerCount, penalty: penalty, settings: setting.job.outer)
          ?? [])
      next += count
    }
    rounds.sum = nil
    if setting.job.outer.penalty.asksForAnchorStep { rounds.steps.lastSquares = Float(ownedSquares { moved[$0][...] }) }
    if !setting.shape.isLate {
      addPending(-1)
      rounds.pending = []
    }
    returnToAnchor()
  }

  // MARK: Between workers

  /// Numbers as they are sent.
  private func sent(_ values: [Float]) -> [Float] {
    switch format {
    case .fp32: return values
    case .bf16: return values.map(Precision.bf16.rounded)
    case .int8:
      guard let quantisation = format.quantisation else { return values }
      let wordCount = quantisation.wordCount(elementCount: chunk(0).count)
      return (0..<workerCount).flatMap { quantised(Array(values[chunk($0)]), quantisation, wordCount: wordCount) }
    }
  }

  /// What words stand for.
  private func received(_ words: ArraySlice<Float>, elementCount: Int) -> [Float] {
    format.quantisation?.dequantise(words, elementCount: elementCount) ?? Array(words)
  }

  /// The elements that a worker sums.
  private func chunk(_ worker: Int) -> Range<Int> {
    CollectiveSchedule.chunk(worker, of: workerCount, elementCount: ownedCount)
  }

  /// What this rank adds to a collective of its like in all workers.
  func progressLoad(_ hop: Exchange.Hop?) -> [Float] { hop == .fromOwners ? rounds.ownChunk : rounds.pending }

  /// Takes up what has come: of its own chunk everybody's numbers, or the whole sum.
  mutating func progressStore(_ buffer: [Float], _ hop: Exchange.Hop?) {
    let run = buffer.count / workerCount
    switch hop {
    case .toOwners:
      let count = chunk(place[.worker]).count
      var sum = received(buffer[..<run], elementCount: count)
      for worker in 1..<workerCount {
        let addend = received(buffer[worker * run..<(worker + 1) * run], elementCount: count)
        for index in sum.indices { sum[index] += addend[index] }
      }
      guard let quantisation = format.quantisation else {
        rounds.ownChunk = sum.map(Precision.bf16.rounded)
        return
      }
      rounds.ownChunk = quantised(
        sum, quantisation, wordCount: quantisation.wordCount(elementCount: chunk(0).count))
    case .fromOwners where format.quantisation != nil:
      rounds.sum = (0..<workerCount).flatMap { worker in
        received(buffer[worker * run..<(worker + 1) * run], elementCount: chunk(worker).count)
      }
    default: rounds.sum = buffer
    }
  }

  /// Whether two ranks have the same anchor and momentum, to the bit.
  func outerStatesEqual(_ other: RankState) -> Bool { parts.map(\.outer) == other.parts.map(\.outer) }
}
