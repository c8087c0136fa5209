import Documents
import Training

/// What a sharding's exchanges hold on one rank beside shards, bytes: whatever is gathered, and whatever waits to be
/// reduced, and codes where they are quantised.
///
/// A gather of codes holds what all ranks have sent; an exchange what it sends and receives, twice, and in fp32 what its
/// node has summed.
///
/// A reference, since every strategy of a layout with the same sharding has the same.
final class ExchangeBuffers: Sendable {
  /// An exchange of replicas, and how the groups that quantise it lie on their nodes.
  private struct Held: Sendable {
    let exchange: Exchange
    /// Nil where nothing is quantised.
    let quantisation: ShardQuantisation?

    /// Elements of what is exchanged of a tensor.
    func elementCount(of parameterCount: Int) -> Int {
      (parameterCount + exchange.divisor - 1) / exchange.divisor
    }

    /// Codes and sums.
    func codeBytes(parameterCount: Int) -> Int {
      guard let quantisation else { return 0 }
      let count = elementCount(of: parameterCount)
      if exchange.kind == .allGather { return quantisation.gatheredByteCount(elementCount: count) }
      guard let hops = quantisation.exchange(elementCount: count) else { return 0 }
      return 2 * (hops.insideByteCount + hops.acrossByteCount) + (hops.insideByteCount > 0 ? 4 * hops.nodeSumCount : 0)
    }
  }

  /// Gathers before a pass, quantised if any are.
  private let uses: [Held]
  /// Reductions after a part's backward pass.
  private let reductions: [Held]
  /// Once an iteration.
  private let once: [Held]

  /// Those of every strategy of a mesh.
  init(_ sharding: Sharding, in mesh: Mesh, devicesPerNode: Int) {
    func held(_ moment: Moment) -> [Held] {
      sharding.exchanges(at: moment, in: mesh).filter { $0.family != nil }.map { exchange in
        Held(
          exchange: exchange,
          quantisation: exchange.quantisation == nil
            ? nil
            : ShardQuantisation(
              exchange.group(containing: 0, sharding: sharding, in: mesh), devicesPerNode: devicesPerNode))
      }
    }
    uses = held(.firstUse)
    reductions = held(.partBackward)
    once = held(.lastBackward) + held(.step)
  }

  /// While a part of the model runs backward: its weights are gathered, and its gradient is reduced.
  ///
  /// - Parameters:
  ///   - nextCount: parameters of the part whose weights are on their way.
  ///   - savedBytes: by which less is gathered of both than as weights are stored.
  func passBytes(parameterCount: Int, nextCount: Int, weightByteCount: Int, savedBytes: Int = 0) -> Int {
    var count = 0, gathered = 0, exchanged = 0
    for use in uses {
      count += parameterCount + nextCount
      gathered += use.codeBytes(parameterCount: parameterCount) - savedBytes
    }
    // The gradient before it is reduced to the shard, and between two reductions what the first leaves of it.
    for reduction in reductions {
      count += reduction.elementCount(of: parameterCount)
      exchanged = max(exchanged, reduction.codeBytes(parameterCount: parameterCount))
    }
    return count * weightByteCount + gathered + exchanged
  }

  /// At the step, of a tensor that is reduced and gathered at once.
  func stepBytes(parameterCount: Int) -> Int {
    once.reduce(0) { max($0, $1.codeBytes(parameterCount: parameterCount)) }
  }
}
