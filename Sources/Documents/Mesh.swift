/// Which rank does what: the degree of every parallel axis, from which ranks, coordinates, groups and blocks follow.
///
/// Axes are ordered as in Megatron-LM's `tp-cp-ep-dp-pp`, innermost first, with workers outermost. A rank is the number
/// whose mixed-radix digits are its coordinates: `rank = Σ coordinate(axis) · blockSize(below: axis)`. Nobody else
/// multiplies degrees, so that a new axis is one more case of ``Axis`` in its place, and whoever uses it.
///
/// Everything but routed experts has one mesh. Those have a second one, ``Strategy/expertMesh``, which divides the same ranks
/// among other degrees of tensor, expert and data with the same pipeline blocks.
@usableFromInline package struct Mesh: Sendable, Hashable, ExpressibleByDictionaryLiteral, CustomStringConvertible {
  /// An axis along which ranks form groups, innermost first.
  @usableFromInline package enum Axis: Int, Sendable, CaseIterable, Comparable {
    /// Ranks that divide the matrices of every layer.
    case tensor
    /// Ranks that divide the sequence.
    case context
    /// Ranks that divide the experts of every layer.
    case expert
    /// Replicas, which divide the batch and may divide states.
    case data
    /// Stages, which divide the layers.
    case pipeline
    /// Workers that train apart from each other for many steps.
    case worker

    /// The key of the axis in documents.
    package var name: String { "\(self)" }

    @usableFromInline package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  }

  /// A rank's place on each axis.
  package struct Coordinates: Sendable, Hashable {
    fileprivate var places = SIMD8<Int32>(repeating: 0)

    package subscript(axis: Axis) -> Int { Int(places[axis.rawValue]) }
  }

  /// One lane for each axis, by its raw value, and lanes of 1 after the last: stored
  /// inline, since strategies are copied by the thousand.
  private var degrees = SIMD8<Int32>(repeating: 1)

  /// A mesh of these degrees; axes that are not named have degree 1.
  /// - Precondition: no axis is named twice, and degrees are at least 1.
  @usableFromInline package init(dictionaryLiteral elements: (Axis, Int)...) {
    for (axis, degree) in elements {
      precondition(self.degree(of: axis) == 1, "an axis is named once")
      self = with(axis, degree: degree)
    }
  }

  /// The same with another degree of one axis.
  /// - Precondition: the degree is at least 1.
  package func with(_ axis: Axis, degree: Int) -> Mesh {
    precondition(degree >= 1, "a degree counts ranks")
    var copy = self
    copy.degrees[axis.rawValue] = Int32(degree)
    return copy
  }

  /// Ranks in a group of an axis.
  @usableFromInline package func degree(of axis: Axis) -> Int { Int(degrees[axis.rawValue]) }

  /// Consecutive ranks that differ only on axes inside of this one: the distance between neighbours on it.
  @usableFromInline package func blockSize(below axis: Axis) -> Int {
    var size = 1
    for lane in 0..<axis.rawValue { size *= Int(degrees[lane]) }
    return size
  }

  /// Ranks in all.
  @usableFromInline package var worldSize: Int {
    var size = 1
    for lane in degrees.indices { size *= Int(degrees[lane]) }
    return size
  }

  /// The ranks of a block, by its number: below the pipeline axis those of a stage.
  package func block(_ index: Int, below axis: Axis) -> Range<Int> {
    let size = blockSize(below: axis)
    return index * size..<(index + 1) * size
  }

  /// How the groups of an axis are spaced among all ranks.
  package func spacing(along axis: Axis) -> RankGroup.Spacing {
    RankGroup.Spacing(stride: blockSize(below: axis), count: degree(of: axis))
  }

  /// A rank's place on an axis.
  package func coordinate(ofRank rank: Int, along axis: Axis) -> Int { spacing(along: axis).place(of: rank) }

  /// A rank's place on every axis.
  package func coordinates(ofRank rank: Int) -> Coordinates {
    var coordinates = Coordinates()
    for axis in Axis.allCases { coordinates.places[axis.rawValue] = Int32(coordinate(ofRank: rank, along: axis)) }
    return coordinates
  }

  /// The rank at a place.
  package func rank(at coordinates: Coordinates) -> Int {
    Axis.allCases.reduce(0) { $0 + coordinates[$1] * blockSize(below: $1) }
  }

  /// All ranks.
  package var ranks: RankGroup { RankGroup(first: 0, stride: 1, count: worldSize) }

  /// The group of an axis that a rank is in, in the axis' order.
  package func group(along axis: Axis, containing rank: Int) -> RankGroup {
    ranks.group(spacing(along: axis), containing: rank)
  }

  /// All groups of an axis, ordered by their first rank.
  package func groups(along axis: Axis) -> [RankGroup] { ranks.groups(spacing(along: axis)) }

  /// How the ranks that hold the same weights are spaced: replicas, and those that divide their sequences. Between them
  /// states are divided and gradients summed.
  package var replicas: RankGroup.Spacing {
    let stride = replicaStride
    return RankGroup.Spacing(stride: stride, count: blockSize(below: .pipeline) / stride)
  }

  /// Ranks that hold the same weights.
  @usableFromInline package var replicaCount: Int { blockSize(below: .pipeline) / replicaStride }

  /// On the grid of experts ranks that divide these hold other weights; it has no axis of sequences.
  private var replicaStride: Int { blockSize(below: degree(of: .expert) > 1 ? .data : .context) }

  /// A rank's number among those that hold the same weights.
  package func replica(ofRank rank: Int) -> Int { replicas.place(of: rank) }

  /// The number of the rank at a place among those that hold the same weights.
  package func replica(at place: Coordinates) -> Int { replica(ofRank: rank(at: place)) }

  /// The ranks that hold the same weights as a rank.
  package func replicaGroup(containing rank: Int) -> RankGroup { ranks.group(replicas, containing: rank) }

  /// All groups of ranks that hold the same weights, ordered by their first rank.
  package var replicaGroups: [RankGroup] { ranks.groups(replicas) }

  /// The axes whose degrees a strategy states.
  package static let statedAxes: [Axis] = searchedAxes + [.context, .worker]

  /// The axes whose degrees a strategy states and a search enumerates, the one that varies slowest first; of the others
  /// it looks at some degrees only.
  package static let searchedAxes: [Axis] = [.tensor, .pipeline, .data]

  /// The axes whose groups a plan lists: those that are searched, and others along which ranks differ.
  package var listedAxes: [Axis] { Axis.allCases.filter { Self.searchedAxes.contains($0) || degree(of: $0) > 1 } }

  /// The degrees that a strategy states, as a product.
  @usableFromInline package var description: String {
    (Self.searchedAxes + [.context, .worker].filter { degree(of: $0) > 1 })
      .map { "\($0.name) \(degree(of: $0))" }.joined(separator: " × ")
  }

  /// The mesh of one worker: the same without the others.
  package var ofOneWorker: Mesh { with(.worker, degree: 1) }
}
