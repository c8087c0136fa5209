import Costing
import Documents
import Training

/// Bytes that ranks of a miniature send each other in an iteration of zeroth-order training, counted from what there is to send
/// and not from programs.
///
/// | kind | what, of a rank that evaluates E of 2q losses, with m micro-batches |
/// |---|---|
/// | tensor | the collectives of forward passes, m · E times; what crossed a stage boundary in parts, m times |
/// | pipeline | activations of E losses, downstream alone, m times |
/// | data | weights of each part, gathered in each of its visits, the embedding's once more where a tied head uses them |
/// | control | 2q fp32 numbers over all ranks, once |
struct ZerothOrderTraffic {
  private let miniature: Miniature
  private let shape: IterationShape
  private(set) var count: TrafficCount

  init(_ miniature: Miniature) {
    self.miniature = miniature
    shape = miniature.shape
    count = TrafficCount(
      rankCount: shape.mesh.worldSize, levelCount: miniature.model.cluster.levels.count)
    for group in shape.mesh.groups(along: .tensor) { addTensorCollectives(group) }
    addTransfers()
    addGathers()
    add(
      .allReduce, of: Self.scalars(shape), shape.job.zerothOrder.evaluationCount, elementByteCount: 4, times: 1,
      .control, over: shape.mesh.ranks)
  }

  private var microBatchCount: Int { shape.schedule.microBatchCount }
  private var isPipeline: Bool { shape.schedule.stageCount > 1 }

  /// Nil where a single rank exchanges nothing.
  private static func scalars(_ shape: IterationShape) -> Operand? {
    shape.strategy.exchanges(at: .scalars).first.map { .exchanged($0, nil, nil) }
  }

  private mutating func addTensorCollectives(_ group: RankGroup) {
    guard group.count > 1 else { return }
    let stage = shape.mesh.coordinate(ofRank: group.first, along: .pipeline)
    for part in shape.parts(ofVirtualStage: stage) {
      for case .collective(let it) in shape.steps(part.kind, .forward) {
        add(
          it.kind, of: it.operand, it.elementCount, elementByteCount: it.elementByteCount,
          times: microBatchCount * shape.strategy.evaluationCount(shape.job), .tensor, over: group,
          reduction: it.reduction)
      }
    }
    guard stage > 0, !shape.strategy.usesSequenceParallelism else { return }
    for step in shape.schedule.steps(ofStage: stage) {
      add(
        .allGather, of: .arrived(step), shape.sentElementCount, elementByteCount: shape.job.precision.byteCount,
        times: 1, .tensor, over: group)
    }
  }

  private mutating func addTransfers() {
    for column in shape.mesh.groups(along: .pipeline) {
      let place = shape.mesh.coordinate(ofRank: column.first, along: .tensor)
      // A tensor group's ranks send as equal parts as there can be.
      let all = shape.sentElementCount, t = shape.strategy.tensorDegree
      let own = all / t + (place < all % t ? 1 : 0)
      for (from, to) in zip(column.ranks, column.ranks.dropFirst()) {
        add(own * shape.job.precision.byteCount * microBatchCount, .pipeline, from: from, to: to)
      }
    }
  }

  private mutating func addGathers() {
    let visits = isPipeline ? microBatchCount : 1
    guard let exchange = shape.strategy.exchanges(at: .firstUse).first else { return }
    for group in exchange.groups(of: shape.sharding, in: shape.mesh) {
      for part in shape.parts(ofVirtualStage: shape.mesh.coordinate(ofRank: group.first, along: .pipeline)) {
        let isUsedTwice = part == .embedding && shape.job.model.hasTiedEmbeddings && !isPipeline
        add(
          .allGather, of: .exchanged(exchange, part, nil), shape.parameterCount(of: part),
          elementByteCount: shape.job.precision.byteCount, times: isUsedTwice ? 2 * visits : visits, .data, over: group)
      }
    }
  }

  private mutating func add(
    _ kind: CollectiveKind, of operand: Operand?, _ elementCount: Int, elementByteCount: Int, times: Int,
    _ traffic: TrafficKind, over group: RankGroup, reduction: Reduction = .sum
  ) {
    guard group.count > 1, let operand else { return }
    let route = miniature.routes.route(
      of: CollectiveRoutes.Question(kind, of: operand, over: group, byteCount: elementCount * elementByteCount))
    let schedule = CollectiveSchedule(
      kind, rankCount: group.count, elementCount: elementCount, reduction: reduction, route: route)
    for message in schedule.transfers {
      add(
        message.elementRange.count * elementByteCount * times, traffic, from: group.rank(message.fromRank),
        to: group.rank(message.toRank))
    }
  }

  private mutating func add(_ byteCount: Int, _ kind: TrafficKind, from: Int, to: Int) {
    count.add(
      byteCount, kind: kind, fromRank: from, level: miniature.model.linkLevel(fromRank: from, toRank: to))
  }
}
