/// Which rank does what: the one place where ranks and coordinates are turned into each other.
///
/// The order is Megatron-LM's `tp-cp-ep-dp-pp`, innermost first, with context and expert degrees of 1:
/// `rank = tensor + tensorDegree · (data + dataDegree · stage)`.
public struct ParallelLayout: Sendable, Hashable {
  public let tensorDegree: Int
  public let dataDegree: Int
  public let pipelineDegree: Int

  public init(tensorDegree: Int, dataDegree: Int, pipelineDegree: Int) {
    self.tensorDegree = tensorDegree
    self.dataDegree = dataDegree
    self.pipelineDegree = pipelineDegree
  }

  public init(_ strategy: Strategy) {
    self.init(
      tensorDegree: strategy.tensorDegree, dataDegree: strategy.dataDegree, pipelineDegree: strategy.pipelineDegree)
  }

  /// The axes along which ranks form groups.
  public enum Axis: String, Sendable, CaseIterable {
    case tensor, data, pipeline
  }

  public var worldSize: Int { tensorDegree * dataDegree * pipelineDegree }

  /// A rank's place on each axis.
  public struct Coordinates: Sendable, Hashable {
    public let tensor: Int
    public let data: Int
    public let stage: Int
  }

  public func coordinates(ofRank rank: Int) -> Coordinates {
    Coordinates(
      tensor: rank % tensorDegree, data: rank / tensorDegree % dataDegree, stage: rank / (tensorDegree * dataDegree))
  }

  public func rank(of place: Coordinates) -> Int {
    place.tensor + tensorDegree * (place.data + dataDegree * place.stage)
  }

  /// Distance in ranks between neighbours of a group of an axis.
  public func stride(of axis: Axis) -> Int {
    switch axis {
    case .tensor: 1
    case .data: tensorDegree
    case .pipeline: tensorDegree * dataDegree
    }
  }

  /// Ranks in a group of an axis.
  public func degree(of axis: Axis) -> Int {
    switch axis {
    case .tensor: tensorDegree
    case .data: dataDegree
    case .pipeline: pipelineDegree
    }
  }

  /// All groups of an axis, ordered by their first rank; each lists its ranks in the axis' order.
  public func groups(of axis: Axis) -> [[Int]] {
    let stride = stride(of: axis), degree = degree(of: axis)
    return (0..<worldSize).filter { $0 / stride % degree == 0 }.map { first in
      (0..<degree).map { first + $0 * stride }
    }
  }

  /// The group of an axis that a rank is in, in the axis' order.
  public func group(of axis: Axis, containing rank: Int) -> [Int] { rankGroup(of: axis, containing: rank).ranks }
}
