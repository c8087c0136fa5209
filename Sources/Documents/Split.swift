/// How the layers of a model are divided among the stages of a pipeline, and what each stage trades for memory.
///
/// A stage holds one run of consecutive layers for each of its chunks. Virtual stage `chunk · stageCount + stage` is
/// that chunk of that stage, and virtual stages follow one another as their layers do in the model: of 8 layers in 2
/// stages of 2 chunks, `Split([2, 2, 2, 2], stageCount: 2)` gives stage 0 the layers 0, 1, 4 and 5; along a V it has 0, 1, 6
/// and 7.
@usableFromInline package struct Split: Sendable, Hashable {
  /// Pipeline stages, at least 1.
  package let stageCount: Int
  /// Layers of each virtual stage, in the model's order.
  package let layerCounts: [Int]
  /// What each pipeline stage trades for memory; nil where all do as the strategy says.
  package let choices: [StageChoice]?
  /// Whether the second chunks come back up the stages (``Strategy/Schedule/isV``).
  private let isV: Bool

  /// - Parameters:
  ///   - layerCounts: layers of each virtual stage, as many for every stage.
  ///   - stageCount: pipeline stages; nil is one for each count, without chunks.
  ///   - choices: one for each stage, or nil.
  ///   - isV: whether chunks lie along a V; then there are two.
  package init(_ layerCounts: [Int], stageCount: Int? = nil, choices: [StageChoice]? = nil, isV: Bool = false) {
    self.stageCount = stageCount ?? layerCounts.count
    self.layerCounts = layerCounts
    self.choices = choices
    self.isV = isV
    precondition(layerCounts.count % self.stageCount == 0, "every stage has the same number of chunks")
  }

  /// Chunks of each stage, at least 1.
  @usableFromInline package var chunkCount: Int { layerCounts.count / stageCount }

  /// Layers of the model.
  @usableFromInline package var layerCount: Int { layerCounts.reduce(0, +) }

  /// A pipeline stage's share of the layers, and what it trades for memory.
  @usableFromInline package struct Stage: Sendable, Hashable {
    /// Layers of all its chunks, by kind.
    package let layers: LayerCounts
    /// Those of them that are recomputed in full, by kind; nil where it does as the strategy says.
    package let recomputed: LayerCounts?
    /// What it trades for memory; nil where it does as the strategy says.
    package let choice: StageChoice?
    /// What is known of chunks that are not alike; nil where they are, or where nothing is known.
    package let chunks: Chunks?

    /// Chunks that differ in what they keep.
    package enum Chunks: Sendable, Hashable {
      /// The layers of each, and those of them that are recomputed in full, if the stage has a choice.
      case laid([Chunk])
      /// How the layers lie in them is open, but for how many the model's first or last chunk has, where the stage has it
      /// and that is known.
      case open(endCount: Int?)
    }

    /// One of a stage's chunks.
    package struct Chunk: Sendable, Hashable {
      /// Its layers, by kind.
      package let layers: LayerCounts
      /// Those of them that are recomputed in full, where the stage has a choice.
      package let recomputed: LayerCounts
    }

    /// A stage of the layers of all its chunks; without a choice it does as the strategy says.
    ///
    /// - Parameter recomputed: of all its chunks, where it has a choice.
    @inline(__always)
    package init(layers: LayerCounts, recomputed: LayerCounts?, choice: StageChoice?, chunks: Chunks? = nil) {
      self.layers = layers
      self.recomputed = recomputed
      self.choice = choice
      self.chunks = chunks
    }

    /// The same with another choice that recomputes as much.
    package func with(choice: StageChoice?) -> Stage {
      Stage(layers: layers, recomputed: recomputed, choice: choice, chunks: chunks)
    }

    /// Layers of all its chunks.
    @inline(__always)
    package var layerCount: Int { layers.total }
  }

  /// A stage's layers, all its chunks together, and its choice.
  package func stage(_ stage: Int, of kinds: LayerKinds) -> Stage {
    let choice = choices?[stage], isEqual = hasEqualChunks(ofStage: stage)
    if kinds.areAlike, isEqual {
      let count = layerCount(ofStage: stage)
      return Stage(
        layers: kinds.counts(in: 0..<count),
        recomputed: choice.map { kinds.counts(in: 0..<recomputedCount(of: stage, $0.recomputedLayerCount)) },
        choice: choice)
    }
    var layers = LayerCounts.none, recomputed = LayerCounts.none
    var chunks: [Stage.Chunk] = []
    chunks.reserveCapacity(chunkCount)
    let ranges = layerRanges
    for chunk in 0..<chunkCount {
      let range = ranges[virtualStage(of: stage, chunk: chunk)]
      let count = min(range.count, choice?.recomputedLayerCount ?? 0)
      let each = Stage.Chunk(
        layers: kinds.counts(in: range),
        recomputed: kinds.counts(in: range.lowerBound..<range.lowerBound + count))
      layers = layers + each.layers
      recomputed = recomputed + each.recomputed
      chunks.append(each)
    }
    let areAlike = isEqual && chunks.allSatisfy { $0 == chunks[0] }
    return Stage(
      layers: layers, recomputed: choice == nil ? nil : recomputed, choice: choice,
      chunks: areAlike ? nil : .laid(chunks))
  }

  /// Whether all chunks of a stage have as many layers.
  private func hasEqualChunks(ofStage stage: Int) -> Bool {
    let count = layerCounts[virtualStage(of: stage, chunk: 0)]
    for chunk in 1..<max(1, chunkCount) where layerCounts[virtualStage(of: stage, chunk: chunk)] != count {
      return false
    }
    return true
  }

  /// Layers of a stage, all its chunks together.
  package func layerCount(ofStage stage: Int) -> Int {
    var count = 0
    for chunk in 0..<chunkCount { count += layerCounts[virtualStage(of: stage, chunk: chunk)] }
    return count
  }

  /// Layers of a stage of whose chunks so many are recomputed each, or all where a chunk has fewer.
  func recomputedCount(of stage: Int, _ ofChunk: Int) -> Int {
    var count = 0
    for chunk in 0..<chunkCount { count += min(ofChunk, layerCounts[virtualStage(of: stage, chunk: chunk)]) }
    return count
  }

  /// The first layer of each chunk of a stage.
  package func starts(ofStage stage: Int) -> [Int] {
    let ranges = layerRanges
    return (0..<chunkCount).map { ranges[virtualStage(of: stage, chunk: $0)].lowerBound }
  }

  /// Layers of a stage's longest chunk.
  package func longestChunk(ofStage stage: Int) -> Int {
    var longest = 0
    for chunk in 0..<chunkCount { longest = max(longest, layerCounts[virtualStage(of: stage, chunk: chunk)]) }
    return longest
  }

  /// The position in the model of a stage's chunk.
  @inline(__always)
  private func virtualStage(of stage: Int, chunk: Int) -> Int {
    isV && chunk == 1 ? 2 * stageCount - 1 - stage : chunk * stageCount + stage
  }

  /// All stages, in order.
  package func stages(of kinds: LayerKinds) -> [Stage] { (0..<stageCount).map { stage($0, of: kinds) } }

  /// The layers of each virtual stage.
  package var layerRanges: [Range<Int>] {
    var next = 0
    return layerCounts.map { count in
      defer { next += count }
      return next..<next + count
    }
  }

  /// The split with other choices.
  package func with(choices: [StageChoice]?) -> Split {
    Split(layerCounts, stageCount: stageCount, choices: choices, isV: isV)
  }

  /// The layers as a strategy's schedule lays them over its stages.
  package func laid(by strategy: Strategy) -> Split {
    Split(layerCounts, stageCount: stageCount, choices: choices, isV: strategy.schedule.isV)
  }

  /// The choices of stages that all do as a strategy says, written out.
  package func choices(under strategy: Strategy) -> [StageChoice] {
    (0..<stageCount).map {
      StageChoice(recomputedLayerCount: strategy.recompute == .full ? longestChunk(ofStage: $0) : 0)
    }
  }
}

extension Split {
  /// Reads the layers of every virtual stage of a strategy, and choices that its stages can follow.
  ///
  /// - Parameters:
  ///   - choices: the `stage_choices`, if stated.
  ///   - host: the nodes' host side, if the cluster describes it.
  init(
    layerCounts field: Field, choices choicesField: Field?, strategy: Strategy, job: TrainingJob,
    host: ClusterDescription.Host?
  ) throws(DocumentError) {
    let virtualStages = strategy.pipelineDegree * strategy.virtualStageCount
    var counts: [Int] = []
    // An interleaved chunk may be the embedding, or the head, alone.
    let least = strategy.schedule.isInterleaved ? 0 : 1
    for entry in try field.array(count: virtualStages...virtualStages) {
      counts.append(try entry.integer(in: least...job.model.layerCount))
    }
    let sum = counts.reduce(0, +)
    guard sum == job.model.layerCount else {
      throw field.conflict("expected \(job.model.layerCount) layers in all, found \(sum)")
    }
    if let sentence = strategy.contradiction(ofChunks: counts) { throw field.conflict(sentence) }
    self.init(counts, stageCount: strategy.pipelineDegree, isV: strategy.schedule.isV)
    if let empty = (0..<stageCount).first(where: { layerCount(ofStage: $0) == 0 }) {
      throw field.conflict("stage \(empty) has no layer in any of its chunks")
    }
    guard let choicesField else { return }
    var choices: [StageChoice] = []
    for entry in try choicesField.array(count: 1...16_384) {
      choices.append(try StageChoice(entry, layerCount: counts.max() ?? 0))
    }
    self = with(choices: choices)
    if let sentence = strategy.contradiction(of: self, optimizer: job.optimizer, host: host) {
      throw choicesField.conflict(sentence)
    }
  }
}
