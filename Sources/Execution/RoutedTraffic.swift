import Documents
import Training

/// Bytes that ranks send each other for tokens on their way to experts and back, counted from the experts that took them: by
/// source, destination and dispatcher, as in ``Training/Recipe``'s table of ways, and apart from how the executor sends them.
struct RoutedTraffic: Sendable {
  private let rankCount: Int
  /// By sender, then receiver.
  private var bytes: [Int]
  private let strategy: Strategy
  private let nodeCount: Int
  /// Experts on each rank.
  private let localCount: Int
  /// Of a row.
  private let rowByteCount: Int

  /// Nil where what is sent does not depend on what tokens choose.
  ///
  /// - Parameter choices: by step, layer and number of a token.
  init?(_ setting: ExecutionSetting, choices: [[Int: [Int: [Int]]]]) {
    strategy = setting.strategy
    guard let experts = setting.job.model.experts, strategy.dispatcher != .allGather,
      strategy.expertDegree * strategy.expertTensorDegree > 1
    else { return nil }
    rankCount = strategy.worldSize
    bytes = [Int](repeating: 0, count: rankCount * rankCount)
    nodeCount = setting.shape.expertNodeCount
    localCount = experts.count / strategy.expertDegree
    rowByteCount = (experts.latentSize ?? setting.job.model.hiddenSize) * setting.job.precision.byteCount
    let mesh = strategy.mesh
    for rank in 0..<rankCount {
      let place = mesh.coordinates(ofRank: rank)
      let shard = setting.shard(tensorIndex: place[.tensor], contextIndex: place[.context])
      let layers = setting.shape.parameters(ofRank: rank).entries.map(\.part).filter(\.isOfExperts)
      for microBatch in 0..<setting.shape.schedule.microBatchCount {
        let tokens = shard.tokenNumbers(
          MicroBatch(step: 0, sequences: setting.sequences(of: place, microBatch: microBatch)))
        for case .experts(let layer, _) in layers {
          let forwards = setting.shape.sendsTokensAgain(.block(layer, of: setting.job.model)) ? 2 : 1
          for step in choices {
            if let room = Self.filled(setting, experts, tokenCount: tokens.count) {
              for expert in 0..<experts.count {
                for _ in 0..<room { add([expert], from: rank, forwards: forwards) }
              }
            } else {
              for token in tokens { add(step[layer]?[token] ?? [], from: rank, forwards: forwards) }
            }
          }
        }
      }
    }
  }

  /// Rows that each expert gets of a rank whatever its tokens choose; nil where they choose.
  private static func filled(
    _ setting: ExecutionSetting, _ experts: ModelDescription.Experts, tokenCount: Int
  ) -> Int? {
    guard setting.job.expertCapacity.pads else { return nil }
    return setting.job.expertCapacity.rowCount(
      tokenCount: tokenCount, perToken: experts.perToken, expertCount: experts.count)
  }

  func byteCount(from sender: Int, to receiver: Int) -> Int { bytes[sender * rankCount + receiver] }

  private mutating func send(_ count: Int, _ sender: Int, _ receiver: Int) {
    if sender != receiver { bytes[sender * rankCount + receiver] += count }
  }

  /// A token that a rank has: forward, so many times, and backward.
  private mutating func add(_ experts: [Int], from source: Int, forwards: Int) {
    let grid = strategy.expertMesh, group = grid.group(along: .expert, containing: source)
    let both = (forwards + 1) * rowByteCount
    guard strategy.dispatcher.sendsOnce else {
      for expert in experts {
        let owner = group.rank(expert / localCount)
        // Out and back, each with what the expert counts, or the gradient of that.
        send(both + forwards * 4, source, owner)
        send(both + 4, owner, source)
        // The others that have a part of its width get the row from there, and give back their parts of the sum.
        for other in grid.group(along: .tensor, containing: owner).ranks {
          send(both + forwards * 4, owner, other)
          send(both + 4, other, owner)
        }
      }
      return
    }
    let onNode = strategy.expertDegree / nodeCount, place = grid.coordinate(ofRank: source, along: .expert) % onNode
    let weights = 8 * experts.count
    for owner in Set(experts.map { $0 / localCount }).sorted() {
      let rank = group.rank(owner), forwarder = nodeCount > 1 ? group.rank(owner / onNode * onNode + place) : source
      send(both, forwarder, rank)
      send(both, rank, forwarder)
      send(forwards * weights, source, rank)
      send(weights, rank, source)
    }
    guard nodeCount > 1 else { return }
    for node in Set(experts.map { $0 / localCount / onNode }).sorted() {
      let forwarder = group.rank(node * onNode + place)
      send(both, source, forwarder)
      send(both, forwarder, source)
    }
  }
}
