import Documents
import JSONText

/// Which layers the stages have, and which of them they recompute.
extension MegatronReader {
  /// Layers of every virtual stage, by whichever flags say it.
  mutating func layerCounts(layerCount: Int) throws(DocumentError) -> [Int] {
    let chunkFlags = [
      "--num-layers-per-virtual-pipeline-stage", "--num-virtual-stages-per-pipeline-rank",
      "--pipeline-model-parallel-layout",
    ].filter(flags.has)
    guard chunkFlags.count <= 1 else {
      throw flags.whole.conflict("\(chunkFlags.joined(separator: " and ")) exclude each other")
    }
    if let layout = flags["--pipeline-model-parallel-layout"] {
      return try layerCounts(layout: layout, layerCount: layerCount)
    }
    let stages = try stageLayerCounts(layerCount: layerCount)
    let chunks = try chunkCount(stages)
    if chunks > 1, pipelineDegree == 1 {
      throw try flags.required(chunkFlags[0]).conflict("chunks of stages need a pipeline")
    }
    return try chunks == 1 ? stages.map(\.own) : chunkLayerCounts(stages, chunks: chunks)
  }

  private mutating func layerCounts(layout field: Field, layerCount: Int) throws(DocumentError) -> [Int] {
    let layout = try MegatronLayout(field)
    let predictions = try predictionDepth()
    guard layout.predictionLayerCount == predictions else {
      throw field.conflict(
        "the layout has \(layout.predictionLayerCount) layers that predict further tokens, --mtp-num-layers \(predictions)"
      )
    }
    if !layout.predictsWithLoss {
      note("layers that predict further tokens are taken to be in the last stage, with the loss")
    }
    let sum = layout.layerCounts.reduce(0, +)
    guard sum == layerCount else { throw field.conflict("the layout has \(sum) layers, --num-layers \(layerCount)") }
    guard layout.layerCounts.count % pipelineDegree == 0 else {
      throw field.conflict("the layout's \(layout.layerCounts.count) stages do not divide among \(pipelineDegree)")
    }
    for flag in ["--decoder-first-pipeline-num-layers", "--decoder-last-pipeline-num-layers"] where flags.has(flag) {
      throw field.conflict("a layout excludes \(flag)")
    }
    return layout.layerCounts
  }

  /// A pipeline stage's places for layers, and how many of them are taken by the embedding or the loss.
  private struct Stage {
    let places: Int
    var embedding = 0
    var loss = 0

    /// Layers, all chunks together.
    var own: Int { places - embedding - loss }
  }

  private func stageLayerCounts(layerCount: Int) throws(DocumentError) -> [Stage] {
    let range = 1...layerCount
    let first = try flags.integer("--decoder-first-pipeline-num-layers", in: range)
    let last = try flags.integer("--decoder-last-pipeline-num-layers", in: range)
    let countsEmbedding = flags.has("--account-for-embedding-in-pipeline-split")
    let countsLoss = flags.has("--account-for-loss-in-pipeline-split")
    guard first != nil || last != nil else {
      let places = layerCount + (countsEmbedding ? 1 : 0) + (countsLoss ? 1 : 0)
      guard places % pipelineDegree == 0 else {
        throw flags.whole.conflict("\(places) layers do not divide among \(pipelineDegree) stages")
      }
      var stages = [Stage](repeating: Stage(places: places / pipelineDegree), count: pipelineDegree)
      if countsEmbedding { stages[0].embedding = 1 }
      if countsLoss { stages[pipelineDegree - 1].loss = 1 }
      return stages
    }
    guard !countsEmbedding, !countsLoss else {
      throw flags.whole.conflict("layers of the first and the last stage exclude --account-for-… flags")
    }
    let rest = layerCount - (first ?? 0) - (last ?? 0)
    let middle = pipelineDegree - (first == nil ? 0 : 1) - (last == nil ? 0 : 1)
    guard middle >= 0, rest >= 0, middle == 0 ? rest == 0 : rest > 0 && rest % middle == 0 else {
      throw flags.whole.conflict("\(rest) layers do not divide among the \(max(0, middle)) stages in the middle")
    }
    var counts = [Int](repeating: middle == 0 ? 0 : rest / middle, count: middle)
    if let first { counts.insert(first, at: 0) }
    if let last { counts.append(last) }
    return counts.map { Stage(places: $0) }
  }

  private func chunkCount(_ stages: [Stage]) throws(DocumentError) -> Int {
    if let count = try flags.integer("--num-virtual-stages-per-pipeline-rank", in: 1...16_384) { return count }
    guard let field = flags["--num-layers-per-virtual-pipeline-stage"] else { return 1 }
    let layers = try field.integer(in: 1...16_384)
    guard Set(stages.map(\.places)).count == 1, stages[0].places % layers == 0 else {
      throw field.conflict("stages do not divide into chunks of \(layers) layers")
    }
    return stages[0].places / layers
  }

  /// Layers of every virtual stage: equal chunks, less the embedding in the first and the loss in the last.
  private func chunkLayerCounts(_ stages: [Stage], chunks: Int) throws(DocumentError) -> [Int] {
    var counts: [Int] = []
    for chunk in 0..<chunks {
      for stage in stages {
        guard stage.places % chunks == 0 else {
          throw flags.whole.conflict("\(stage.places) layers of a stage do not divide into \(chunks) chunks")
        }
        let taken = (chunk == 0 ? stage.embedding : 0) + (chunk == chunks - 1 ? stage.loss : 0)
        counts.append(stage.places / chunks - taken)
      }
    }
    return counts
  }

  // MARK: Recomputation

  /// What is recomputed, and by which stages where not all do as the strategy says.
  mutating func recomputation(
    layerCounts: [Int]
  ) throws(DocumentError) -> (
    recompute: Strategy.Recompute, modules: Strategy.RecomputeModules, choices: [StageChoice]?
  ) {
    guard stageFlags.contains(where: { $0.has("--recompute-granularity") }) else {
      let read = try recomputation(flags, layerCounts: layerCounts)
      return (read.recompute, read.recompute == .selective ? try recomputedModules() : [], read.choices)
    }
    let alike = Split(layerCounts, stageCount: pipelineDegree)
    var choices: [StageChoice] = []
    for (stage, own) in stageFlags.enumerated() {
      let read = try recomputation(flags.adding(own), layerCounts: layerCounts)
      guard read.recompute != .selective else {
        throw flags.whole.conflict("selective recomputation in some stages only is not supported")
      }
      let all =
        read.choices ?? alike.choices(under: Strategy(mesh: [.pipeline: pipelineDegree], recompute: read.recompute))
      choices.append(all[stage])
    }
    return (choices.contains { $0.recomputedLayerCount > 0 } ? .full : .none, [], choices)
  }

  /// Modules that are recomputed; none where it is the attention core alone, which is what Megatron-LM selects by itself.
  private func recomputedModules() throws(DocumentError) -> Strategy.RecomputeModules {
    guard let field = flags["--recompute-modules"] else { return [] }
    let stated = field.isArray ? try field.array() : [field]
    var names: [String] = []
    for name in stated { names.append(try name.string()) }
    guard let modules = Strategy.RecomputeModules(names: names) else {
      throw field.error(expected: "modules of \(Strategy.RecomputeModules.allNames.joined(separator: ", "))")
    }
    return modules == .attentionCore ? [] : modules
  }

  private mutating func recomputation(
    _ flags: MegatronFlags, layerCounts: [Int]
  ) throws(DocumentError) -> (recompute: Strategy.Recompute, choices: [StageChoice]?) {
    let granularity = try flags.word("--recompute-granularity", of: ["full", "selective"])
    switch granularity ?? (flags.has("--recompute-activations") ? "selective" : nil) {
    case "selective":
      return (.selective, nil)
    case "full":
      let method = try flags.required("--recompute-method")
      let count = try flags.required("--recompute-num-layers").integer(in: 1...16_384)
      if try flags.word("--recompute-method", of: ["uniform", "block"]) == "uniform" {
        if count > 1 { note("\(method.pointer) uniform over \(count) layers is read as over one") }
        return (.full, nil)
      }
      let firsts = layerCounts.prefix(pipelineDegree)
      guard layerCounts.contains(where: { $0 > count }) else { return (.full, nil) }
      return (
        .full,
        firsts.indices.map { stage in
          // Of shorter chunks all layers are.
          let longest =
            stride(from: stage, to: layerCounts.count, by: pipelineDegree).map { layerCounts[$0] }.max() ?? 0
          return StageChoice(recomputedLayerCount: min(count, longest))
        }
      )
    default: return (.none, nil)
    }
  }
}
