/// What one version of a training framework can be told to run.
///
/// One table a framework: the search walks what it admits, estimates refuse what it does not, exporters write nothing
/// else, and `docs/frameworks.md` is compared with it. A row says what the framework's own parser or validator accepts,
/// read in its sources at the version named.
package struct Capabilities: Sendable {
  /// The word of `--framework` and `--for`, lower case.
  package let name: String
  /// What people call it.
  package let title: String
  /// The version whose sources were read.
  package let version: String
  /// Names in device profiles whose coefficients it is priced with, its own first, then its nearest kin.
  package let coefficientNames: [String]
  /// Axes along which it divides a training; others have degree 1.
  package let axes: Set<Mesh.Axis>
  package let interleaving: Interleaving
  /// Pipeline schedules with split backward passes; empty where it has none.
  package var splitBackward: [SplitBackward] = []
  package let layerSplit: LayerSplit
  package let recomputations: [Recomputation]
  /// Whether some layers of a stage are recomputed and others are not, and every stage has its own number of them.
  package let recomputesSomeLayers: Bool
  /// Whether optimizer states leave the device between steps.
  package let offloadsOptimizerStates: Bool
  /// What it can have its hosts hold and do; nil where nothing.
  package var hosting: HostingOffer?
  package let shardings: [ShardingOffer]
  package let sequenceParallelism: SequenceParallelism
  /// When tensor groups' exchanges run beside the products next to them; nil where never.
  package var tensorOverlap: TensorOverlapOffer?
  package let precisions: [Precision]
  /// What its users mean by FP8 where they name no recipe.
  package var plainFP8 = Precision.fp8Delayed
  /// Formats in which gradients are accumulated, beside that of the weights.
  package let gradientAccumulation: GradientAccumulation
  package let optimizers: [OptimizerOffer]
  package let models: Models
  /// How it divides sequences among ranks; empty where it does not.
  package var contextExchanges: [ContextOffer] = []
  /// How it divides experts; nil where it trains no models with any.
  package var experts: ExpertOffer?
  /// How replicas gather weights of products in a narrow format; nil where they do not.
  package var narrowWeights: NarrowWeightsOffer?
  /// Formats of products beside which layers at a model's ends multiply as they are stored.
  package var wideLayerPrecisions: [Precision] = []
  /// Formats of products in which the output head multiplies as well where that is asked for.
  package var narrowHeadPrecisions: [Precision] = []
  /// What only some strategies of some jobs break.
  package var limits = Limits()

  /// Chunks of layers a stage takes in turn.
  package enum Interleaving: String, Sendable {
    case none
    /// Groups of micro-batches may be of more micro-batches than there are stages, see ``Strategy/Schedule/groupSize``.
    case largerGroups = "any micro-batches that form groups"
  }

  /// A schedule whose backward passes are split, as a framework's users call it.
  package struct SplitBackward: Sendable, Equatable {
    package let words: String
    /// Its kind: the word of a schedule in documents.
    package let name: String
    /// The fewest chunks a stage that it is run with.
    package var leastChunkCount = 1

    /// Whether it is a schedule.
    package func runs(_ schedule: Strategy.Schedule) -> Bool {
      schedule.splitsBackward && schedule.name == name && schedule.chunkCount >= leastChunkCount
    }
  }

  /// Who decides which layers a stage has.
  package enum LayerSplit: Sendable, Equatable {
    /// The user, layer by layer.
    case any
    /// The framework itself.
    case rule(DeviceProfile.LayerSplit)
  }

  /// A kind of recomputation in the framework's own words.
  package struct Recomputation: Sendable, Equatable {
    /// As the framework's documentation calls it.
    package let words: String
    /// What it is here; nil where it is not modelled.
    package let recompute: Strategy.Recompute?
    /// Under selective recomputation, modules that it can be told to compute again.
    package var modules: Strategy.RecomputeModules = []
  }

  /// Whether norms, dropout and residuals are divided along the sequence with tensor parallelism.
  package enum SequenceParallelism: String, Sendable {
    case optional, always, never
  }

  /// Layers whose attention sees a part of the sequence only.
  package enum AttentionWindows: Sendable {
    case never
    /// In all of them or none.
    case inEveryLayer
    /// In any of them.
    case inSomeLayers
  }

  /// How gradients are accumulated under 16-bit weights.
  package enum GradientAccumulation: String, Sendable {
    case fp32
    case either = "fp32 or the weights' format"
  }

  /// Optimizers that it can be told to use, and what has to go with them.
  package struct OptimizerOffer: Sendable, Equatable {
    /// As the framework's users say it.
    package let words: String
    package let rules: [Optimizer.Rule]
    package var moments: [Optimizer.Moments] = [.fp32]
    package var masterWeights: [Optimizer.MasterWeights] = [.fp32]
    /// Whether states may be paged.
    package var isPaged = false
    /// Whether replicas have to divide optimizer states, where there are several.
    package var needsShards = false
    /// Whether gradients are accumulated in the weights' format, and never in fp32.
    package var keepsGradientsInWeightFormat = false

    /// Whether it is the job's, whatever its gradients are.
    func has(_ optimizer: Optimizer, _ precision: Precision) -> Bool {
      rules.contains(optimizer.rule) && (moments.contains(optimizer.moments) || optimizer.rule == .sgd)
        && (!precision.hasMasterWeights || masterWeights.contains(optimizer.masterWeights))
        && (!optimizer.isPaged || isPaged)
    }
  }

  /// What hosts hold and do beside the devices.
  package struct HostingOffer: Sendable, Equatable {
    /// Which part of an update is the host's.
    package enum Updates: Sendable {
      /// Any part, or none.
      case parts
      /// All or nothing; with weights divided (ZeRO 3) any part.
      case wholeOrPartsOfZeRO3
      /// All, together with the weights.
      case withWeights
      /// None.
      case never
    }

    /// What of the activations is the host's.
    package enum Activations: Sendable {
      case none
      /// All that so many layers keep, without a pipeline and without recomputation.
      case keptWithoutPipeline
      /// The inputs of blocks that are recomputed.
      case blockInputs
    }

    /// As the framework's users say it.
    package let words: String
    package let updates: Updates
    /// Whether the host updates for Adam with states of fp32 only.
    package var updatesPlainAdamOnly = false
    package var holdsWeights = false
    package var activations = Activations.none
  }

  /// The models that it is known to train.
  package struct Models: Sendable {
    package let families: Set<ModelDescription.Family>
    /// Words for the documentation.
    package let words: String
    /// Parts that models of these families may have and its own have not.
    package var lacking: Set<ModelDescription.Part> = []
    /// Single models' numbers that it can be told.
    package var particulars: Set<ModelDescription.Particular> = []
  }

  /// What a framework runs alone and not together.
  package struct Limits: Sendable, Equatable {
    /// Whether attention without a fused kernel, which keeps its scores, can be asked for.
    package var hasUnfusedAttention = true
    /// Where attention may be limited to a window shorter than the sequence.
    package var attentionWindows = AttentionWindows.inSomeLayers
    /// Whether interleaved chunks may have any layers each, or none, with further predictions in the last one.
    package var interleavesUnevenChunks = false
    /// Whether embeddings are tied across the stages of a pipeline.
    package var tiesEmbeddingsInPipeline = true
    /// Whether products in FP8 are a compiler's, which splits no backward passes.
    package var compilesNarrowProducts = false
    /// Whether layers that predict further tokens stand beside a pipeline, and beside ranks that divide a sequence.
    package var predictsFurtherBesideOtherAxes = true
    /// Whether replicas that are all whole accumulate gradients in fp32 under 16-bit weights.
    package var accumulatesWholeGradientsInFP32 = true
    /// Whether gradients that replicas divide are always reduced under the backward pass.
    package var overlapsShardedGradientsAlways = false
    /// Micro-batches that a pipeline may have fewer than stages; nil where any number will do.
    package var microBatchesFewerThanStages: Int?
    /// Whether ranks that divide a sequence always divide states as well.
    package var dividesStatesAlongSequences = false
    /// Whether sequences are divided without tensor groups only.
    package var dividesSequencesWithoutTensorGroups = false
    /// Chunks a stage above which a pipeline's sharded weights are gathered more than once an iteration; nil without such
    /// a bound.
    package var shardedChunkCount: Int?
  }

  /// A way to divide states among replicas, and beside what it works.
  package struct ShardingOffer: Sendable, Equatable {
    package let form: Sharding.Form
    /// As the framework's users call it.
    package let words: String
    package var withTensorParallelism = true
    package var withPipeline = true
    /// Whether it can be asked for without a pipeline.
    package var withoutPipeline = true
    /// Whether a secondary copy of the weights may be kept (hpZ), and its collectives may be quantised (qwZ, qgZ).
    package var withSecondaryCopy = false
    package var withQuantisation = false
  }

  /// All tables, in the order in which documents list them.
  package static let all: [Capabilities] = [megatronLM, megatronFSDP, deepSpeed, torchtitan, torchtitan02, nanotron]

  /// The table of a name, compared without case; nil where there is none.
  package static func named(_ name: String) -> Capabilities? {
    let wanted = name.lowercased()
    return all.first { $0.name == wanted }
  }
}

extension Sharding {
  /// The forms of sharding that frameworks offer.
  package enum Form: String, Sendable, CaseIterable {
    case replicated
    /// Optimizer states among all replicas (ZeRO 1).
    case optimizer
    /// Optimizer states among parts of the replicas.
    case optimizerInParts = "optimizer-in-parts"
    /// Gradients and optimizer states among all replicas (ZeRO 2).
    case gradients
    /// Everything among all replicas (ZeRO 3).
    case weights
    /// Everything among parts of the replicas (hybrid, MiCS).
    case hybrid
    /// Weights and gradients among parts of the replicas, optimizer states among all.
    case hybridWithOuterOptimizer = "hybrid-with-outer-optimizer"
    /// Another nesting.
    case other
  }

  /// The form of the degrees, whatever is quantised or kept twice.
  package func form(replicaCount: Int) -> Form {
    let n = replicaCount
    return switch (weightDegree, gradientDegree, optimizerDegree) {
    case (1, 1, 1): .replicated
    case (1, 1, n): .optimizer
    case (1, 1, _): .optimizerInParts
    case (1, n, n): .gradients
    case (n, n, n): .weights
    case (let w, let g, let o) where w == g && g == o: .hybrid
    case (let w, let g, n) where w == g: .hybridWithOuterOptimizer
    default: .other
    }
  }
}
