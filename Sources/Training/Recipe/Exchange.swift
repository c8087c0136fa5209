package import Documents

/// One collective on the states of training: what is exchanged, among which ranks, and how much of a tensor it is.
///
/// It knows no sizes. With the elements of a part of the model it becomes the collectives of a program
/// (``IterationShape/collectives(of:part:rank:)``), seconds, bytes sent and bytes held.
package struct Exchange: Sendable, Hashable {
  /// What is exchanged.
  package enum Content: Sendable, Hashable {
    /// Weights that a pass needs, gathered from the shards that ranks keep.
    case weights
    /// What ranks keep of the updated weights, gathered from the shards that each has updated.
    case updatedWeights
    /// Gradients, reduced to shards, or summed over the ranks that hold the same shard.
    case gradient
    /// Gradients of parameters that every rank of a tensor group holds whole but has computed in part.
    case partialGradient
    /// The gradient of the matrix that the first and the last stage share: a tied one, or the table that further predictions
    /// look up tokens in.
    case tiedMatrixGradient
    /// The gradient's sum of squares, and the loss; the losses of zeroth-order training.
    case scalars
    /// What workers have moved by in a round, on the elements whose optimizer states a rank keeps.
    case progress
    /// The sum of squares of what the last outer step has moved the anchor by.
    case anchorStep
  }

  /// Who takes part.
  package enum Ranks: Sendable, Hashable {
    /// A group of replicas.
    case replicas(Sharding.Family)
    case tensorGroup
    /// A rank of the first stage and its like on the last.
    case pipelineEnds
    /// All ranks of a worker: all there are where there is one.
    case all
    /// A rank and its like in every other worker.
    case workers
  }

  /// How an element looks on the wire where nothing is quantised.
  package enum Format: Sendable, Hashable {
    /// As weights do: a micro-batch's gradients as well.
    case weights
    /// As gradients do that are accumulated.
    case accumulatedGradients
    case fp32
    case bf16
  }

  /// Where rounded numbers go: a reduction of such is two exchanges, see ``QuantisedExchange`` and
  /// ``workerCollectives(of:)``.
  package enum Hop: Sendable, Hashable {
    /// Among the ranks of each node.
    case inside
    /// What those have summed, between nodes.
    case across
    /// Every worker's numbers to those who sum them, each a chunk.
    case toOwners
    /// The sums back to every worker, as their owners have rounded them.
    case fromOwners
  }

  package let content: Content
  package let ranks: Ranks
  /// Ranks of each group, at least 1.
  package let rankCount: Int
  /// How many ranks have divided the tensor before: its elements are divided by this.
  package let divisor: Int
  package let format: Format
  /// How numbers are quantised in groups that leave their nodes; nil where they never are.
  package let quantisation: Quantisation?
  /// Whether it is of one part of the model at a time, or of everything on the rank at once.
  package let isPartByPart: Bool
  /// Whether it is of routed experts, on their own grid of ranks; otherwise of everything else.
  package private(set) var isOfExperts = false

  /// The same, of routed experts.
  var ofExperts: Exchange {
    var copy = self
    copy.isOfExperts = true
    return copy
  }

  /// The family of groups of replicas; nil where others take part.
  package var family: Sharding.Family? {
    if case .replicas(let family) = ranks { family } else { nil }
  }

  /// What the collective does.
  package var kind: CollectiveKind {
    switch content {
    case .weights, .updatedWeights: .allGather
    case .gradient: family == .replicas ? .allReduce : .reduceScatter
    case .partialGradient, .tiedMatrixGradient, .scalars, .progress, .anchorStep: .allReduce
    }
  }

  /// Whether it gathers weights from the shards that replicas hold or have updated.
  package var gathersWeights: Bool {
    switch content {
    case .weights, .updatedWeights: family != .secondary
    case .gradient, .partialGradient, .tiedMatrixGradient, .scalars, .progress, .anchorStep: false
    }
  }

  /// Bytes on the wire of elements where nothing is quantised.
  ///
  /// Weights that are held in a narrow format are gathered in it, all that one collective gathers at once: as PyTorch's FSDP
  /// has them, each shard in its part of one buffer of bytes. Narrow weights and all others are divided apart, and shards of
  /// either are filled up to the longest.
  ///
  /// - Parameters:
  ///   - narrowCount: those of them that are weights of products.
  ///   - format: in which such are gathered; nil where as all others are.
  package func byteCount(
    elementCount: Int, elementByteCount: Int, narrowCount: Int, format: ProductFormat?
  ) -> Int {
    guard gathersWeights, narrowCount > 0, let format else { return elementCount * elementByteCount }
    let narrow = (narrowCount + rankCount - 1) / rankCount
    let others = (elementCount - narrowCount + rankCount - 1) / rankCount
    return rankCount * (format.gatheredByteCount(weightCount: narrow) + others * elementByteCount)
  }

  /// What its bytes count as.
  package var traffic: TrafficKind {
    switch ranks {
    case .replicas: .data
    case .tensorGroup: .tensor
    case .pipelineEnds: .embedding
    case .all: content == .anchorStep ? .outer : .control
    case .workers: .outer
    }
  }

  /// Bytes of an element on the wire where nothing is quantised.
  package func elementByteCount(_ job: TrainingJob) -> Int {
    switch format {
    case .weights: job.precision.byteCount
    case .accumulatedGradients: job.gradientByteCount
    case .fp32: 4
    case .bf16: 2
    }
  }

  /// The group that a rank is in, of which it may be no member where the ends of a pipeline exchange.
  package func group(containing rank: Int, sharding: Sharding, in mesh: Mesh) -> RankGroup {
    switch ranks {
    case .replicas(let family): sharding.group(of: family, containing: rank, in: mesh)
    case .tensorGroup: mesh.group(along: .tensor, containing: rank)
    case .pipelineEnds: mesh.group(along: .pipeline, containing: rank).ends
    case .all: mesh.worker(containing: rank)
    case .workers: mesh.group(along: .worker, containing: rank)
    }
  }

  /// All groups.
  package func groups(of sharding: Sharding, in mesh: Mesh) -> [RankGroup] {
    switch ranks {
    case .replicas(let family): mesh.replicaGroups.flatMap { sharding.groups(of: family, inDataGroup: $0) }
    case .tensorGroup: mesh.groups(along: .tensor)
    case .pipelineEnds: mesh.groups(along: .pipeline).map(\.ends)
    case .all: (0..<mesh.degree(of: .worker)).map { mesh.worker($0) }
    case .workers: mesh.groups(along: .worker)
    }
  }

  /// The two hops of a reduction of a given number of elements; nil if they are reduced as they are.
  package func hops(of elementCount: Int, in group: RankGroup, devicesPerNode: Int) -> QuantisedExchange? {
    guard kind == .reduceScatter, quantisation != nil else { return nil }
    return QuantisedExchange(group: group, elementCount: elementCount, devicesPerNode: devicesPerNode)
  }

  /// Words that are gathered instead of a given number of elements; nil if these are gathered as they are.
  package func gatheredWordCount(of elementCount: Int, in group: RankGroup, devicesPerNode: Int) -> Int? {
    guard kind == .allGather, let quantisation, group.nodeSplit(devicesPerNode: devicesPerNode) != nil else {
      return nil
    }
    return quantisation.gatheredWordCount(elementCount: elementCount, rankCount: group.count)
  }

  /// What a report calls the tensor: `gradient of layer 3 over weights shards`.
  package func description(of part: ModelPart?, _ hop: Hop?) -> String {
    let node = hop == .across ? "node's " : "", ofPart = part.map { " of \($0)" } ?? ""
    switch content {
    case .weights: return (family == .secondary ? "secondary weights" : "weights") + ofPart
    case .updatedWeights:
      return part == nil ? "weights" : "updated weights\(ofPart) over \(family?.rawValue ?? "") shards"
    case .gradient where part == nil: return divisor > 1 ? "shards of gradients" : "\(node)gradients"
    case .gradient:
      return "\(node)gradient\(ofPart) over " + (family == .replicas ? "replicas" : "\(family?.rawValue ?? "") shards")
    case .partialGradient: return "gradients of replicated parameters" + ofPart
    case .tiedMatrixGradient: return "gradient of the tied matrix"
    case .scalars: return "scalars"
    case .progress: return (hop == .fromOwners ? "sums of the progress" : "progress") + " of workers"
    case .anchorStep: return "the anchor's last step"
    }
  }
}

extension Mesh {
  /// All ranks of a worker, by its number.
  fileprivate func worker(_ index: Int) -> RankGroup {
    let ranks = block(index, below: .worker)
    return RankGroup(first: ranks.lowerBound, stride: 1, count: ranks.count)
  }

  fileprivate func worker(containing rank: Int) -> RankGroup { worker(coordinate(ofRank: rank, along: .worker)) }
}

extension RankGroup {
  /// Its first and its last member.
  fileprivate var ends: RankGroup { part(fromPlace: 0, step: max(1, count - 1), count: min(2, count)) }
}
