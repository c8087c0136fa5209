import Documents
import Training

/// A sum over workers as the messages of its collectives, each worker with buffers of its own: what remains of it when one
/// goes away can be looked at.
struct WorkerSum: Sendable {
  let workerCount: Int
  let elementCount: Int
  let format: OuterStep.Format

  /// What every worker has in the end; nil where fewer messages than all arrive.
  ///
  /// - Parameters:
  ///   - inputs: by worker. Nothing is written to them.
  ///   - messageLimit: messages that arrive; nil is all.
  func results(of inputs: [[Float]], messageLimit: Int? = nil) -> [[Float]]? {
    guard workerCount > 1 else { return messageLimit.map { $0 > 0 } ?? true ? inputs : nil }
    var left = messageLimit ?? .max
    guard format.isRounded else {
      return exchange(inputs, CollectiveSchedule(.allReduce, rankCount: workerCount, elementCount: elementCount), &left)
    }
    // Every worker's rounded numbers to the owner of each chunk, who adds them up in the order of workers.
    let chunks = (0..<workerCount).map {
      CollectiveSchedule.chunk($0, of: workerCount, elementCount: elementCount)
    }
    var owned: [[Float]] = []
    for owner in 0..<workerCount {
      var sum = [Float](repeating: 0, count: chunks[owner].count)
      for worker in 0..<workerCount {
        if worker != owner, !chunks[owner].isEmpty {
          guard left > 0 else { return nil }
          left -= 1
        }
        let addend = rounded(inputs[worker][chunks[owner]])
        if worker == 0 { sum = addend } else { for index in sum.indices { sum[index] += addend[index] } }
      }
      owned.append(rounded(sum[...]))
    }
    let gather = CollectiveSchedule(.allGather, rankCount: workerCount, elementCount: elementCount)
    let buffers = (0..<workerCount).map { worker in
      var buffer = [Float](repeating: 0, count: elementCount)
      buffer.replaceSubrange(chunks[worker], with: owned[worker])
      return buffer
    }
    return exchange(buffers, gather, &left)
  }

  /// Numbers as those see them whom they are sent to.
  private func rounded(_ values: ArraySlice<Float>) -> [Float] {
    format.quantisation?.rounded(values) ?? values.map(Precision.bf16.rounded)
  }

  /// Every message of a collective on buffers of its own; nil where not all arrive.
  private func exchange(_ inputs: [[Float]], _ schedule: CollectiveSchedule, _ left: inout Int) -> [[Float]]? {
    var buffers = inputs
    var next = 0
    let transfers = schedule.transfers
    while next < transfers.count {
      // Messages of one step read what the step before has left.
      let before = buffers, step = transfers[next].stepIndex
      while next < transfers.count, transfers[next].stepIndex == step {
        guard left > 0 else { return nil }
        left -= 1
        let transfer = transfers[next]
        for element in transfer.elementRange {
          let value = before[transfer.fromRank][element]
          if transfer.action == .add {
            buffers[transfer.toRank][element] += value
          } else {
            buffers[transfer.toRank][element] = value
          }
        }
        next += 1
      }
    }
    return buffers
  }
}
