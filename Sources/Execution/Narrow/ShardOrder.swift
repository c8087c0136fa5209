import Documents
import Training

/// The order in which a part's elements lie in the shards of replicas that gather weights of products in a narrow format: of
/// these weights, and of all else, every shard has its even share, as either takes a number of bytes of its own.
///
/// Megatron-LM has a buffer for each of the two and divides both, PyTorch's FSDP divides every tensor; that both are filled up
/// to the longest shard is ``Training/Exchange/byteCount(elementCount:elementByteCount:narrowCount:format:)``. Shards have as
/// many elements as they have in the order of the part's buffer.
struct ShardOrder: Sendable {
  /// By place in the order, the element of the part's buffer.
  private(set) var elements: [Int] = []
  /// By place in the order, whether it is a weight of a product.
  private(set) var isNarrow: [Bool] = []
  /// Places at which shards begin, and the end; a shard is what a replica updates.
  private(set) var starts: [Int] = []
  /// The shard that the rank updates.
  let own: Int

  private init(own: Int) { self.own = own }

  /// Orders of parts that replicas divide together.
  ///
  /// - Parameters:
  ///   - replica: the rank's number among those.
  static func orders(
    of layouts: [ParameterLayout], _ sharding: Sharding, ofReplica replica: Int, replicaCount: Int
  ) -> [ShardOrder] {
    let families = [Sharding.Family.weights, .gradients, .optimizer].map {
      sharding.spacing(of: $0, replicaCount: replicaCount)
    }
    // Each family's chunks are cut into the next one's.
    let own = families.reduce(0) { $0 * $1.count + $1.place(of: replica) }
    var orders = layouts.map { _ in ShardOrder(own: own) }
    typealias Place = (part: Int, element: Int)
    func divide(_ narrow: ArraySlice<Place>, _ others: ArraySlice<Place>, _ degrees: ArraySlice<Int>) {
      guard let degree = degrees.first else {
        for part in orders.indices { orders[part].starts.append(orders[part].elements.count) }
        for place in narrow { orders[place.part].append(place.element, isNarrow: true) }
        for place in others { orders[place.part].append(place.element, isNarrow: false) }
        return
      }
      var nextNarrow = narrow.startIndex, nextOther = others.startIndex
      for index in 0..<degree {
        func length(_ count: Int) -> Int { CollectiveSchedule.chunk(index, of: degree, elementCount: count).count }
        let narrowEnd = nextNarrow + length(narrow.count)
        let otherEnd = nextOther + length(narrow.count + others.count) - length(narrow.count)
        divide(narrow[nextNarrow..<narrowEnd], others[nextOther..<otherEnd], degrees.dropFirst())
        nextNarrow = narrowEnd
        nextOther = otherEnd
      }
    }
    var narrow: [Place] = [], others: [Place] = []
    for (part, layout) in layouts.enumerated() {
      for tensor in layout.tensors {
        let places = tensor.range.map { (part, $0) }
        if layout.isNarrow(tensor) { narrow += places } else { others += places }
      }
    }
    divide(narrow[...], others[...], families.map(\.count)[...])
    for part in orders.indices { orders[part].starts.append(orders[part].elements.count) }
    return orders
  }

  private mutating func append(_ element: Int, isNarrow: Bool) {
    elements.append(element)
    self.isNarrow.append(isNarrow)
  }

  var shardCount: Int { starts.count - 1 }

  /// Places of some shards that follow each other.
  func places(ofShards shards: Range<Int>) -> Range<Int> { starts[shards.lowerBound]..<starts[shards.upperBound] }

  /// The shards of the rank's group of so many, each of whose members has as many.
  func shards(ofGroup rankCount: Int, each count: Int) -> [Range<Int>] {
    let first = own / (rankCount * count) * rankCount * count
    return (0..<rankCount).map { first + $0 * count..<first + ($0 + 1) * count }
  }

  /// What the rank keeps, by place in the order.
  func ranges(_ sharding: Sharding) -> ShardRanges {
    func places(_ degree: Int) -> Range<Int> {
      let count = shardCount / degree, first = own / count * count
      return self.places(ofShards: first..<first + count)
    }
    return ShardRanges(
      weights: places(sharding.weightDegree), gradients: places(sharding.gradientDegree),
      optimizer: places(sharding.optimizerDegree), secondary: 0..<0)
  }

  /// What lies in the part's buffer, in the order.
  func ordered(_ values: [Float]) -> [Float] { elements.map { values[$0] } }

  /// Runs of the part's buffer that places follow, in their order.
  func runs(of places: Range<Int>) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    for element in elements[places] {
      if let last = runs.last, last.upperBound == element {
        runs[runs.count - 1] = last.lowerBound..<element + 1
      } else {
        runs.append(element..<element + 1)
      }
    }
    return runs
  }
}
