import Documents
import Training

/// The largest magnitudes of weights that several ranks divide, which they tell each other before each casts its own: all cast by the
/// same scales, and know them of what they gather.
///
/// Four bytes a block and rank, in one message to each of the others, before the gather itself and on its stream.
struct ToldLargest: Sendable {
  /// Of this rank, then of all that were heard.
  var largest: [Float]
  let peers: [Int]
  var heardCount = 0

  var awaitedRank: Int? { heardCount < peers.count ? peers[heardCount] : nil }
}

extension NumericMachine {
  /// Casts the weights that a gather is of, if they are to be.
  ///
  /// - Returns: whether the gather may begin; otherwise a message is to come yet.
  mutating func tellLargest(
    of collective: Collective, _ index: Int, of program: PreparedProgram, _ network: Network
  ) throws(ExecutionFailure) -> Bool {
    guard case .exchanged(let exchange, let part, _) = collective.operand else { return true }
    let stream = program.program.steps[index].stream.index
    var now: ToldLargest
    if let begun = told[stream] {
      now = begun
      told[stream] = nil
    } else {
      guard let own = state.largestToTell(exchange, of: part) else { return true }
      now = ToldLargest(largest: own, peers: state.ranksThatDivide(exchange, part))
      for peer in now.peers {
        toldBytes += 4 * own.count
        network.put(Message(elements: own, step: index, tick: 0), from: number, to: peer, stream: stream)
      }
    }
    while let peer = now.awaitedRank {
      guard let message = network.take(at: number, from: peer, stream: stream) else {
        told[stream] = now
        return false
      }
      guard message.elements.count == now.largest.count else {
        throw .size(
          rank: number, step: index, what: program.program.steps[index], expected: now.largest.count,
          found: message.elements.count)
      }
      if state.setting.casting?.sharesLargest == true {
        now.largest = zip(now.largest, message.elements).map(ScaleHistory.larger)
      }
      now.heardCount += 1
    }
    state.castShards(exchange, of: part, largest: now.largest)
    return true
  }
}
