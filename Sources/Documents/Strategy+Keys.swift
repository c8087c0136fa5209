import JSONText

extension Strategy {
  /// Every part of a strategy that can be stated, in the order in which it is written.
  ///
  /// Reading, matching and completing of patterns, the `strategy` of all documents, `--strategy` and `--fix`, phrases
  /// and table cells of reports, and the schemas follow from it. A part that stands for itself is a stored property of
  /// ``Strategy`` with its plainest value, and a row here.
  package static let keys: [StrategyKey] =
    degreeKeys + updateKeys + batchKeys + contextKeys + expertKeys + shardingKeys + methodKeys

  static let degrees = StrategyKey.Values.integers(1...1_048_576)

  private static let degreeKeys: [StrategyKey] = [
    degree(.tensor, \.tensorDegree, "Ranks among which every layer's matrices are divided."),
    degree(.pipeline, \.pipelineDegree, "Pipeline stages."),
    degree(.data, \.dataDegree, "Replicas."),
  ]

  private static func degree(
    _ axis: Mesh.Axis, _ property: any KeyPath<Strategy, Int> & Sendable, _ summary: String
  ) -> StrategyKey {
    StrategyKey(
      name: axis.name, values: degrees, summary: summary,
      role: .part(
        value: { $0.mesh.degree(of: axis).scalar },
        set: { strategy, scalar in
          Int(scalar: scalar).map { strategy.mesh = strategy.mesh.with(axis, degree: $0) }
        }),
      property: property, short: { "\(axis.name.prefix(1))\($0.mesh.degree(of: axis))" })
  }

  private static let updateKeys: [StrategyKey] = [
    .part(
      "update", \.update, .choices(Update.allCases.map(\.scalar)), plainest: .firstOrder,
      """
      How an iteration moves the weights: by gradients, by losses at perturbed weights alone, or by gradients within each \
      worker and outer steps between workers.
      """,
      phrase: { strategy in
        switch strategy.update {
        case .firstOrder: nil
        case .zerothOrder: "zeroth order"
        // What outer steps there are is said by their own keys.
        case .outer: nil
        }
      },
      short: { strategy in
        switch strategy.update {
        case .firstOrder: nil
        case .zerothOrder: "zo"
        case .outer: "w\(strategy.workerDegree)"
        }
      }),
    .part(
      "worker", \.workerDegree, degrees, plainest: 1,
      """
      Workers that train apart from each other between outer steps; tensor, pipeline and data are those of one of them.
      """),
    .part(
      "outer_period", \.outer.period, .integers(OuterStep.Bounds.period), plainest: 1,
      "Iterations from one outer step to the next.",
      phrase: { $0.update == .outer ? "an outer step every \($0.outer.period.counted("iteration"))" : nil },
      short: { $0.update == .outer ? "τ\($0.outer.period)" : nil }),
    .part(
      "outer_staleness", \.outer.staleness, .integers(OuterStep.Bounds.staleness), plainest: 0,
      "Rounds by which outer steps are late, so that their all-reduce is in flight meanwhile.",
      phrase: { $0.outer.staleness > 0 ? "one round late" : nil },
      short: { $0.outer.staleness > 0 ? "late" : nil }),
    .part(
      "outer_format", \.outer.format, .choices(OuterStep.Format.allCases.map(\.scalar)), plainest: .fp32,
      "How numbers travel between workers.",
      phrase: { $0.outer.format.isRounded ? "sent between workers as \($0.outer.format.rawValue)" : nil },
      short: { $0.outer.format.isRounded ? $0.outer.format.rawValue : nil }),
    .part(
      "host_outer", \.outer.isHosted, .booleans, plainest: false,
      "Whether anchor, outer momentum and what is in flight lie in the host's memory.",
      phrase: { $0.outer.isHosted ? "outer states on the host" : nil },
      short: { $0.outer.isHosted ? "ho" : nil }),
    .part(
      "perturbation", \.perturbationDegree, degrees, plainest: 1,
      """
      Consecutive replicas that have the same sequences and divide the losses of a zeroth-order iteration among \
      themselves.
      """,
      phrase: { $0.perturbationDegree > 1 ? "losses divided over \($0.perturbationDegree) replicas" : nil },
      short: { $0.perturbationDegree > 1 ? "pert\($0.perturbationDegree)" : nil }),
  ]

  private static let batchKeys: [StrategyKey] = [
    .part(
      "virtual_stages", \.virtualStageCount, degrees,
      "Chunks of layers per stage; above 1 they are interleaved, or lie along a V where the schedule says so.",
      phrase: { $0.schedule.isInterleaved ? "\($0.schedule.chunkCount) chunks a stage, interleaved" : nil }),
    .part(
      "micro_batch", \.microBatch, .integers(TrainingJob.Bounds.globalBatch), "Sequences of one micro-batch.",
      phrase: { "micro-batch \($0.microBatch)" },
      // In a table cell chunks stand behind the micro-batch.
      short: { "b\($0.microBatch)" + ($0.schedule.chunkCount > 1 ? " v\($0.schedule.chunkCount)" : "") }),
  ]

  /// How replicas divide what each of them needs.
  package static let shardingKeys: [StrategyKey] = [
    .part(
      "zero_stage", \.zeroStage, .integers(0...3),
      "What replicas shard: 0 nothing, 1 optimizer states, 2 gradients as well, 3 weights as well.",
      phrase: { strategy in
        guard strategy.hasShardLevels else { return "ZeRO \(strategy.zeroStage.rawValue)" }
        let sharding = strategy.sharding
        return """
          weights over \(sharding.weightDegree), gradients over \(sharding.gradientDegree), optimizer states over \
          \(sharding.optimizerDegree.counted("replica"))
          """
      },
      short: { strategy in
        let stage = "z\(strategy.zeroStage.rawValue)", sharding = strategy.sharding
        return strategy.hasShardLevels
          ? stage + "(\(sharding.weightDegree)|\(sharding.gradientDegree)|\(sharding.optimizerDegree))" : stage
      }),
    StrategyKey(
      name: "fsdp", values: .choices([.boolean(false)] + FullySharded.allCases.map(\.rawValue.scalar)),
      summary: "PyTorch FSDP's sharding strategy, which must agree with zero_stage; false without FSDP.",
      role: .alias(written: nil), read: FullySharded.read),
    .shard(
      "weight_shards", \.weightDegree, degrees,
      """
      Replicas that hold the weights once between them; with gradient_shards and optimizer_shards, where they are not \
      what zero_stage says. Beyond this schema, each divides the next and the last divides data, and zero_stage is that \
      of the kinds that are divided.
      """),
    .shard("gradient_shards", \.gradientDegree, degrees, "Replicas that hold the accumulated gradient once."),
    .shard("optimizer_shards", \.optimizerDegree, degrees, "Replicas that hold the optimizer states once."),
    .shard(
      "secondary_shards", \.secondaryDegreeOrOne, degrees, isOptional: true,
      "Replicas that hold the secondary copy of the weights once (hpZ of ZeRO++); absent or 1 without one.",
      phrase: { $0.secondaryDegree.map { "a second copy of the weights over \($0)" } },
      short: { $0.secondaryDegree.map { "s\($0)" } }),
    .shard(
      "quantise_weights", \.quantisesWeights, .booleans,
      "Whether weights are gathered as INT8 where the group leaves its node (qwZ of ZeRO++).",
      phrase: { $0.quantisesWeights ? "weights gathered as INT8 between nodes" : nil },
      short: { $0.quantisesWeights ? "qw" : nil }),
    .shard(
      "quantise_gradients", \.quantisesGradients, .booleans,
      "Whether gradients are reduced as INT4 where the group leaves its node (qgZ of ZeRO++).",
      phrase: { $0.quantisesGradients ? "gradients exchanged as INT4 between nodes" : nil },
      short: { $0.quantisesGradients ? "qg" : nil }),
  ]

  private static let schedules = StrategyKey.Values.choices(Schedule.names.map(\.scalar))

  private static let modules = StrategyKey.Values.sets(RecomputeModules.allNames)

  private static let modulesKey = StrategyKey(
    name: "recompute_modules", values: modules,
    summary: """
      Parts of a layer that recompute selective computes again, by Megatron Core's names; absent is what the framework \
      selects by itself, an empty list is nothing.
      """,
    role: .part(
      value: { $0.recomputeModules.scalar },
      set: { strategy, scalar in
        guard let modules = RecomputeModules(scalar: scalar) else { return }
        strategy.recomputeModules = modules
        // Modules are of the selective kind, of which nothing that is selected is nothing that is recomputed.
        if !modules.isEmpty { strategy.recompute = .selective }
        if modules.isEmpty, strategy.recompute == .selective { strategy.recompute = .none }
      }),
    plainest: RecomputeModules().scalar, property: \Strategy.recomputeModules,
    read: { (field, pattern) throws(DocumentError) in
      let names = try modules.read(field)
      if let recompute = pattern.recompute, recompute != .selective, names != .array([]) {
        throw field.conflict("recompute_modules are of recompute=selective, not of recompute=\(recompute.rawValue)")
      }
      pattern.state("recompute_modules", names)
    })

  private static let methodKeys: [StrategyKey] = [
    .part(
      "recompute", \.recompute, .choices(Recompute.allCases.map(\.scalar)),
      "What is computed again in backward: nothing, the attention core, or everything but each block's input.",
      phrase: { "recompute \($0.recomputesModules ? $0.recomputeModules.words : $0.recompute.rawValue)" },
      short: {
        $0.recompute == .none ? nil : $0.recomputesModules ? $0.recomputeModules.words : $0.recompute.rawValue
      }),
    modulesKey,
    .part(
      "sequence_parallel", \.usesSequenceParallelism, .booleans,
      "Whether norms, dropout and residuals are divided along the sequence among the tensor group.",
      phrase: { $0.usesSequenceParallelism ? "sequence parallel" : nil },
      short: { $0.usesSequenceParallelism ? "sp" : nil }),
    .part(
      "flash_attention", \.usesFlashAttention, .booleans, "Whether FlashAttention is used.",
      phrase: { $0.usesFlashAttention ? "FlashAttention" : nil }),
    StrategyKey(
      name: "schedule", values: schedules,
      summary: "The pipeline schedule; 1f1b contradicts virtual_stages above 1, and schedules along a V have 2.",
      role: .part(
        value: { .string($0.schedule.name) },
        set: { strategy, name in
          String(scalar: name).flatMap { Schedule(name: $0, chunkCount: strategy.virtualStageCount) }.map {
            strategy.schedule = $0
          }
        }),
      // The other schedules follow from virtual stages and update.
      isStated: { $0.schedule.splitsBackward }, property: \Strategy.schedule,
      read: { (field, pattern) throws(DocumentError) in
        let name = try schedules.read(field)
        if let chunks = pattern.virtualStageCount, let word = String(scalar: name),
          let schedule = Schedule(name: word, chunkCount: chunks), chunks > 1 || schedule.isV,
          schedule.name != word || schedule.chunkCount != chunks
        {
          let own = schedule.isV ? "has 2 virtual stages" : "has no virtual stages"
          throw field.conflict("the schedule \(name.briefDescription) \(own), but virtual_stages is \(chunks)")
        }
        if (pattern.update == .zerothOrder) != (name == Schedule.forwardOnly.name.scalar) {
          throw field.conflict("the schedule forward-only is that of update \"zeroth-order\", which has no other")
        }
        pattern.state("schedule", name)
      },
      phrase: { $0.schedule.words }, short: { $0.schedule.splitsBackward ? $0.schedule.shortName : nil }),
    .part(
      "overlap_gradient_reduce", \.overlapsGradientReduce, .booleans,
      "Whether gradient reductions run under the last backward pass.",
      phrase: { $0.overlapsGradientReduce ? "overlapped gradient reduction" : nil }),
    .part(
      "overlap_tensor_exchange", \.overlapsTensorExchange, .booleans, plainest: false,
      """
      Whether the tensor group's gathers and scatters run beside the products next to them, where the framework has to be \
      asked for that.
      """,
      phrase: { $0.overlapsTensorExchange ? "overlapped tensor exchanges" : nil }),
    .part(
      "host_update_percent", \.hosting.updatePercent, .integers(0...100), plainest: 0,
      "Hundredths of what a rank updates that its host updates, with the states in its memory.",
      phrase: { $0.hosting.updatePercent > 0 ? "\($0.hosting.updatePercent) % of the update on the host" : nil },
      short: { $0.hosting.updatePercent > 0 ? "hu\($0.hosting.updatePercent)" : nil }),
    .part(
      "host_weights", \.hosting.holdsWeights, .booleans, plainest: false,
      "Whether weights lie in the host's memory between their uses.",
      phrase: { $0.hosting.holdsWeights ? "weights on the host" : nil },
      short: { $0.hosting.holdsWeights ? "hw" : nil }),
    .part(
      "host_activations", \.hosting.activations, .flagOrCount(1...ModelDescription.Bounds.layers.upperBound),
      plainest: .onDevice,
      """
      Whether what layers keep for their backward passes lies in the host's memory in between; a number is that of the \
      model's layers of which it does.
      """,
      phrase: { strategy in
        switch strategy.hosting.activations {
        case .onDevice: nil
        case .layers(let count): "activations of \(Int(count).counted("layer")) on the host"
        case .allButLast: "activations on the host"
        }
      },
      short: { strategy in
        switch strategy.hosting.activations {
        case .onDevice: nil
        case .layers(let count): "ha\(count)"
        case .allButLast: "ha"
        }
      }),
    .part(
      "narrow_weights", \.holdsNarrowWeights, .booleans, plainest: false,
      "Whether weights of products lie, and are gathered, in the narrow format that they are multiplied in.",
      phrase: { $0.holdsNarrowWeights ? "weights held in the format of products" : nil },
      short: { $0.holdsNarrowWeights ? "nw" : nil }),
    StrategyKey(
      name: "offload_optimizer", values: .choices([.boolean(false)]),
      summary:
        "false keeps optimizer states on the devices; which stages offload is for the search to choose.",
      role: .ofStages,
      read: { (field, pattern) throws(DocumentError) in
        guard try !field.boolean() else {
          throw field.conflict("which stages offload is for the search to choose; only false can be stated")
        }
        pattern.offloadsOptimizer = false
      }),
  ]
}

/// PyTorch FSDP's sharding strategies, as the ZeRO stages they are.
private enum FullySharded: String, CaseIterable {
  case fullShard = "FULL_SHARD"
  case shardGradOp = "SHARD_GRAD_OP"
  case fsdp2 = "FSDP2"
  case megatron = "Megatron-FSDP"

  var zeroStage: Strategy.ZeroStage { self == .shardGradOp ? .gradients : .weights }

  /// Takes the ZeRO stage from a strategy's name; `false` says nothing.
  @Sendable static func read(_ field: Field, into pattern: inout StrategyPattern) throws(DocumentError) {
    guard field.isString else {
      if try !field.boolean() { return }
      throw field.error(expected: "false or one of \(allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))")
    }
    let stage = try field.choice(of: Self.self).zeroStage
    if let stated = pattern.zeroStage, stated != stage {
      throw field.conflict("fsdp contradicts zero_stage \(stated.rawValue)")
    }
    pattern.zeroStage = stage
  }
}
