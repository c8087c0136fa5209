import Documents
import Training

/// Weights that replicas cast before they gather them.
///
/// A weight takes a byte then, or half of one, of the bits of its number, and everything else as many bytes as it is stored in, the first
/// of which stands for all. Every shard has its weights first, in as many bytes as the longest shard's take.
extension RankState {
  /// How a part's weights are cast that replicas gather as they are multiplied.
  struct NarrowWeights {
    /// With the scales of what this rank holds.
    var blocks: WeightBlocks
    /// Whether what this rank keeps was cast since its last update.
    var isCast = true
  }

  // MARK: At the beginning

  /// The order of elements in shards of each part whose weights are gathered narrow, and of those that are gathered with such.
  func shardOrders(of layouts: [ParameterLayout]) -> [ModelPart: ShardOrder] {
    guard setting.gathersNarrow else { return [:] }
    var orders: [ModelPart: ShardOrder] = [:]
    for isOfExperts in [false, true] {
      let own = layouts.filter { $0.part.isOfExperts == isOfExperts }
      guard let first = own.first else { continue }
      let sharding = setting.shape.sharding(of: first.part), mesh = setting.shape.mesh(of: first.part)
      // Where whole gradients are kept everything is divided at once.
      let scopes = sharding.gradientDegree == 1 ? [own] : own.map { [$0] }
      for scope in scopes where scope.contains(where: \.hasNarrowTensors) {
        let found = ShardOrder.orders(
          of: scope, sharding, ofReplica: mesh.replica(ofRank: number), replicaCount: mesh.replicaCount)
        for (layout, order) in zip(scope, found) { orders[layout.part] = order }
      }
    }
    return orders
  }

  /// Weights before the first step, which every rank has whole and casts by itself where they are gathered narrow.
  func initialWeights(_ initial: [Float], of layout: ParameterLayout) -> (weights: [Float], narrow: NarrowWeights?) {
    guard setting.gathersNarrow, layout.hasNarrowTensors, let casting = setting.casting,
      let rule = casting.rules[.weight]
    else { return (initial.map(setting.arithmetic.rounded), nil) }
    var weights = layout.stored(initial, setting.arithmetic), blocks = WeightBlocks(layout, rule)
    let places = layout.narrowTensors.flatMap(\.range)
    casting.castShard(
      &weights, layout, &blocks, largest: blocks.largest(of: places.map { ($0, initial[$0]) }), step: 0)
    return (weights, NarrowWeights(blocks: blocks))
  }

  // MARK: After an update

  /// By block the largest magnitude of the weights of a part that this rank updates; none where these are not cast.
  func ownLargest(_ index: Int) -> [Float] {
    guard let narrow = parts[index].narrow else { return [] }
    return narrow.blocks.largest(of: ownWeights(index))
  }

  /// The optimizer's own weights of products that this rank updates.
  private func ownWeights(_ index: Int) -> [(element: Int, value: Float)] {
    guard let order = parts[index].order else { return [] }
    return zip(parts[index].owned, parts[index].optimizer.masters).compactMap { place, value in
      order.isNarrow[place] ? (order.elements[place], value) : nil
    }
  }

  /// Casts the weights of a part that this rank updates.
  ///
  /// - Parameter largest: by block the largest magnitude of all its weights, whoever updates them.
  mutating func castShard(_ index: Int, largest: [Float]) {
    guard let casting = setting.casting, let order = parts[index].order else { return }
    let layout = parts[index].layout
    var weights = [Float](repeating: 0, count: layout.count)
    for (element, value) in ownWeights(index) { weights[element] = value }
    if var blocks = parts[index].narrow?.blocks {
      casting.castShard(&weights, layout, &blocks, largest: largest, step: step)
      parts[index].narrow = NarrowWeights(blocks: blocks)
    }
    let owned = parts[index].owned
    let kept = zip(owned, keptWeights(index, owned)).map { place, stored in
      order.isNarrow[place] ? weights[order.elements[place]] : stored
    }
    keepWeights(kept, index, owned)
  }

  // MARK: Largest numbers

  /// What this rank tells the others that divide the weights of an exchange before it casts its own: by part and block its largest
  /// magnitude. Nil where nothing is to be cast.
  func largestToTell(_ exchange: Exchange, of part: ModelPart?) -> [Float]? {
    guard gathersNarrow(exchange, part) else { return nil }
    let uncast = uncastParts(exchange, part)
    return uncast.isEmpty ? nil : uncast.flatMap(ownLargest)
  }

  /// Casts what is to be cast by what all have told.
  mutating func castShards(_ exchange: Exchange, of part: ModelPart?, largest: [Float]) {
    var next = 0
    for index in uncastParts(exchange, part) {
      let count = parts[index].narrow?.blocks.count ?? 0
      castShard(index, largest: Array(largest[next..<next + count]))
      next += count
    }
  }

  /// The other ranks that divide the weights of an exchange, whichever of them gather together.
  func ranksThatDivide(_ exchange: Exchange, _ part: ModelPart?) -> [Int] {
    guard let index = indices(of: part, exchange).first else { return [] }
    let sharding = parts[index].sharding, mesh = setting.shape.mesh(of: parts[index].part)
    var ranks: Set = [number]
    for family in [Sharding.Family.weights, .gradients, .optimizer] {
      ranks.formUnion(ranks.flatMap { sharding.group(of: family, containing: $0, in: mesh).ranks })
    }
    return ranks.subtracting([number]).sorted()
  }

  private func uncastParts(_ exchange: Exchange, _ part: ModelPart?) -> [Int] {
    indices(of: part, exchange).filter { parts[$0].narrow?.isCast == false }
  }

  // MARK: Gathers

  /// Whether weights of an exchange are gathered as they are multiplied.
  func gathersNarrow(_ exchange: Exchange, _ part: ModelPart?) -> Bool {
    setting.gathersNarrow
      && setting.shape.narrowCount(of: exchange, part: part, stage: place[.pipeline]) > 0
  }

  /// A gather of weights from shards.
  private struct NarrowGather {
    /// By rank of the group what of which parts it adds, as places in their orders.
    let shards: [[(index: Int, places: Range<Int>)]]
    /// The rank's own place in the group.
    let own: Int
    /// Bytes of the weights of each shard, as many as the longest shard's take.
    let narrowByteCount: Int
    /// Of one of those, and of every other element.
    let bitCount: Int
    let elementByteCount: Int
    var perByte: Int { 8 / bitCount }
  }

  private func narrowGather(_ exchange: Exchange, of part: ModelPart?) -> NarrowGather? {
    let indices = indices(of: part, exchange)
    guard let first = indices.first, let order = parts[first].order, let format = setting.shape.gatheredFormat,
      let bitCount = format.gatheredWeightBitCount
    else { return nil }
    let sharding = parts[first].sharding
    let each =
      switch exchange.family {
      case .weights: sharding.optimizerDegree / sharding.weightDegree
      case .gradients: sharding.optimizerDegree / sharding.gradientDegree
      default: 1
      }
    let shards = order.shards(ofGroup: exchange.rankCount, each: each).map { shards in
      indices.compactMap { index in parts[index].order.map { (index: index, places: $0.places(ofShards: shards)) } }
    }
    let narrowCounts = shards.map { pieces in
      pieces.reduce(0) { sum, piece in sum + (parts[piece.index].order?.isNarrow[piece.places].count { $0 } ?? 0) }
    }
    return NarrowGather(
      shards: shards, own: order.own / each % exchange.rankCount,
      narrowByteCount: format.gatheredByteCount(weightCount: narrowCounts.max() ?? 0), bitCount: bitCount,
      elementByteCount: exchange.elementByteCount(setting.job))
  }

  /// What this rank adds to a gather, byte by byte.
  ///
  /// - Parameter byteCount: of every shard.
  func narrowShard(_ exchange: Exchange, of part: ModelPart?, byteCount: Int) -> [Float] {
    guard let gather = narrowGather(exchange, of: part) else { return [] }
    var codes: [UInt8] = [], others: [Float] = []
    for (index, places) in gather.shards[gather.own] {
      guard let order = parts[index].order else { continue }
      for (place, value) in zip(places, keptWeights(index, places)) {
        if order.isNarrow[place] {
          codes.append(parts[index].narrow?.blocks.code(of: value, at: order.elements[place]) ?? 0)
        } else {
          others.append(value)
          others.append(contentsOf: repeatElement(0, count: gather.elementByteCount - 1))
        }
      }
    }
    var bytes = stride(from: 0, to: codes.count, by: gather.perByte).map { first in
      let inByte = codes[first..<min(first + gather.perByte, codes.count)]
      return Float(inByte.reversed().reduce(0) { $0 << gather.bitCount | Int($1) })
    }
    bytes.append(contentsOf: repeatElement(0, count: gather.narrowByteCount - bytes.count))
    bytes += others
    bytes.append(contentsOf: repeatElement(0, count: max(0, byteCount - bytes.count)))
    return bytes
  }

  /// Takes up what was gathered, its own shard too as others have it.
  mutating func storeNarrow(_ buffer: [Float], _ exchange: Exchange, of part: ModelPart?) {
    guard let gather = narrowGather(exchange, of: part) else { return }
    if let part, exchange.family == .weights {
      let index = index(of: part), count = parts[index].layout.count
      memory.add(count * setting.job.precision.byteCount, .workspace)
      parts[index].weights = [Float](repeating: 0, count: count)
    }
    let length = buffer.count / gather.shards.count
    for (shard, pieces) in gather.shards.enumerated() {
      var nextCode = 0, nextOther = shard * length + gather.narrowByteCount
      for (index, places) in pieces {
        guard let order = parts[index].order else { continue }
        let values = places.map { place -> Float in
          guard order.isNarrow[place] else {
            defer { nextOther += gather.elementByteCount }
            return buffer[nextOther]
          }
          let byte = Int(buffer[shard * length + nextCode / gather.perByte])
          let code = byte >> (nextCode % gather.perByte * gather.bitCount) & (1 << gather.bitCount - 1)
          nextCode += 1
          return parts[index].narrow?.blocks.value(ofCode: UInt8(code), at: order.elements[place]) ?? 0
        }
        if exchange.family == .weights {
          for (element, value) in zip(order.elements[places], values) { parts[index].weights[element] = value }
        } else {
          keepWeights(values, index, places)
        }
      }
    }
  }
}

extension ParameterLayout {
  /// Whether a tensor is of weights that are multiplied in a narrow format where there is one.
  func isNarrow(_ tensor: Tensor) -> Bool { isCast && tensor.name.isOfLinearLayer }

  /// Those of them.
  var narrowTensors: [Tensor] { tensors.filter(isNarrow) }

  /// Whether there are any.
  var hasNarrowTensors: Bool { tensors.contains(where: isNarrow) }

  /// A part's numbers as they are stored, but weights that may be multiplied in a narrow format as they are.
  func stored(_ values: [Float], _ arithmetic: Precision) -> [Float] {
    var stored = values.map(arithmetic.rounded)
    for tensor in narrowTensors {
      stored.replaceSubrange(tensor.range, with: values[tensor.range])
    }
    return stored
  }
}

extension ExecutionSetting {
  /// Whether weights of products are gathered as they are multiplied.
  var gathersNarrow: Bool { shape.gatheredFormat != nil && casting != nil }
}
