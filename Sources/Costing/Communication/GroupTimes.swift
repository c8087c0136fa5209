import Documents
import Training

/// What measured collectives say of all groups of one shape, by kind of collective.
///
/// A reference, since groups are copied for every strategy.
final class GroupTimes: Sendable, Equatable {
  /// A measured curve, as it tells the time of another message: seconds of `sizeFactor` times the size, times
  /// `timeFactor`.
  struct Part: Sendable, Equatable {
    let curve: SizeCurve
    let source: MeasuredPrice.Source
    var sizeFactor = 1.0
    var timeFactor = 1.0
  }

  /// One kind of collective: the sum of its parts.
  struct Price: Sendable, Equatable {
    var parts: [Part]
    /// Whether no collective of the very kind and shape was timed.
    var isInferred: Bool

    func seconds(byteCount: Double) -> Double {
      parts.reduce(0) { $0 + $1.timeFactor * $1.curve.seconds(byteCount: $1.sizeFactor * byteCount) }
    }

    func changed(size: Double = 1, time: Double, isInferred: Bool) -> Self {
      Price(
        parts: parts.map {
          Part(
            curve: $0.curve, source: $0.source, sizeFactor: $0.sizeFactor * size, timeFactor: $0.timeFactor * time)
        }, isInferred: isInferred)
    }
  }

  private let allReduce: Price?
  private let allGather: Price?
  private let reduceScatter: Price?
  private let allToAll: Price?

  private init(allReduce: Price?, allGather: Price?, reduceScatter: Price?, allToAll: Price?) {
    self.allReduce = allReduce
    self.allGather = allGather
    self.reduceScatter = reduceScatter
    self.allToAll = allToAll
  }

  /// From what was measured of the shape, with what follows for kinds that were not.
  ///
  /// A ring sums to shards and gathers them in n − 1 steps each, of the same messages, and an all-reduce is one after
  /// the other (the bus-bandwidth factors (n − 1)/n and 2(n − 1)/n of NVIDIA nccl-tests, doc/PERFORMANCE.md): an
  /// all-gather takes as long as a reduce-scatter, and half as long as an all-reduce.
  convenience init?(
    measuredAllReduce: Price?, measuredAllGather gather: Price?, measuredReduceScatter scatter: Price?
  ) {
    guard measuredAllReduce != nil || gather != nil || scatter != nil else { return nil }
    let half = measuredAllReduce?.changed(time: 0.5, isInferred: true)
    let sum: Price? =
      if let gather, let scatter {
        Price(parts: scatter.parts + gather.parts, isInferred: true)
      } else {
        (gather ?? scatter)?.changed(time: 2, isInferred: true)
      }
    self.init(
      allReduce: measuredAllReduce ?? sum, allGather: gather ?? scatter?.changed(time: 1, isInferred: true) ?? half,
      reduceScatter: scatter ?? gather?.changed(time: 1, isInferred: true) ?? half, allToAll: nil)
  }

  /// The same with the price of an all-to-all, where every rank's link carries as much of it as of a reduce-scatter:
  /// all but the rank's own part, once.
  var withAllToAll: GroupTimes {
    GroupTimes(
      allReduce: allReduce, allGather: allGather, reduceScatter: reduceScatter,
      allToAll: reduceScatter?.changed(time: 1, isInferred: true))
  }

  /// The price of a kind; nil where it follows from nothing that was measured.
  func price(of kind: CollectiveKind) -> Price? {
    switch kind {
    case .allReduce: allReduce
    case .allGather: allGather
    case .reduceScatter: reduceScatter
    case .allToAll: allToAll
    case .shift, .shiftBack: nil
    }
  }

  /// The same after a change of every price.
  func map(_ change: (Price) -> Price) -> GroupTimes {
    GroupTimes(
      allReduce: allReduce.map(change), allGather: allGather.map(change), reduceScatter: reduceScatter.map(change),
      allToAll: allToAll.map(change))
  }

  static func == (left: GroupTimes, right: GroupTimes) -> Bool {
    left === right
      || left.allReduce == right.allReduce && left.allGather == right.allGather
        && left.reduceScatter == right.reduceScatter && left.allToAll == right.allToAll
  }
}
