/// An accelerator: what its datasheet says, what it reaches in practice, and how each framework drives it.
///
/// The three owners of a coefficient are kept apart, so that a new cluster reuses the device's and a new framework
/// version replaces only its own: ``Compute`` and ``Memory`` belong to the device, ``Fabric`` to the links and their
/// collective library, ``Framework`` to the training code.
package struct DeviceProfile: Sendable, Equatable {
  package let name: String
  /// What people call it.
  package let title: String
  package let datasheet: Datasheet
  package var compute: Compute
  package var memory: Memory
  package var fabric: Fabric
  /// One or more; the first is used where no other is asked for.
  package var frameworks: [Framework]
  /// Where each group of coefficients came from, as (group, origin).
  package var provenance: [Provenance]
  /// How far measured times were from predictions of runs that no fit had seen; empty where nobody looked.
  package var accuracy: [Accuracy] = []

  /// Facts of the vendor's datasheet. Dense rates, without sparsity.
  package struct Datasheet: Sendable, Equatable {
    package let memoryBytes: Int
    package let memoryBytesPerSecond: Double
    package let fp32FLOPPerSecond: Double
    package let fp16FLOPPerSecond: Double
    /// Zero where the device has no bf16 matrix units.
    package let bf16FLOPPerSecond: Double
    /// Of fp32 numbers that matrix units multiply as TF32 (AMD's XF32); zero where the device has none that do.
    package var tf32FLOPPerSecond = 0.0
    /// Of 8-bit and of 4-bit floating-point numbers; zero where the device has no matrix units for them.
    package var fp8FLOPPerSecond = 0.0
    package var fp4FLOPPerSecond = 0.0
    /// Whether its units multiply FP8 along the rows and along the columns of one copy of a tensor; otherwise a transposed one
    /// lies beside it.
    package var multipliesFP8FromOneCopy = false
    /// Whether FlashAttention kernels exist for it.
    package let hasFlashAttention: Bool
    /// One direction, one device, to the others of its node; used where a run record states no rate.
    package let scaleUpBytesPerSecond: Double
    /// One direction, one device's share of its node's network; used where a run record states no rate.
    package let scaleOutBytesPerSecond: Double
    /// Devices that its own links join beyond a node at most, such as the 72 of an NVL72 rack; nil where they end at the node.
    /// Used where a run record states no levels.
    package var scaleUpDomainSize: Int?
    package let sources: [String]
  }

  /// What the device reaches of its peaks.
  package struct Compute: Sendable, Equatable {
    /// Share of peak FLOP/s that a very large matrix product reaches, 0…1.
    package var gemmPeakFraction: Double
    /// Size of a matrix dimension at which half of that is reached, were the other two infinite.
    package var gemmHalfSize: Double
    /// Share of peak FLOP/s that fused attention reaches.
    package var attentionPeakFraction: Double
    /// Share of the memory bandwidth that element-wise operations reach.
    package var memoryFraction: Double
    /// Share of the fp32 peak that the products of unfused attention reach where ordinary cores multiply, since matrix
    /// units cannot load rows of a head size that is no multiple of 16 bytes.
    package var unalignedPeakFraction: Double
    /// What products of 8-bit and of 4-bit numbers reach of their own peaks; nil takes what follows from ``gemmPeakFraction``
    /// and ``gemmHalfSize``, see ``rate(of:)``.
    package var fp8: ProductRate?
    package var fp4: ProductRate?
    /// Time of fused attention that multiplies in FP8 over that in 16 bits, in heads of more than 128 numbers of queries and keys,
    /// as latent attention has them; other heads take as long in FP8.
    package var fp8WideHeadAttentionFactor = 1.0

    /// What products of a narrow format reach of its peak.
    package func rate(of format: ProductFormat) -> ProductRate {
      (format.bitCount == 8 ? fp8 : fp4)
        // As long in each dimension takes to fill and drain matrix units, at twice or four times the rate.
        ?? ProductRate(peakFraction: gemmPeakFraction, halfSize: gemmHalfSize * 16 / Double(format.bitCount))
    }
  }

  /// What matrix products of one format reach of its peak.
  package struct ProductRate: Sendable, Equatable {
    /// Share of peak FLOP/s that a very large product reaches, 0…1.
    package var peakFraction: Double
    /// Size of a dimension at which half of that is reached, were the other two infinite.
    package var halfSize: Double

    package init(peakFraction: Double, halfSize: Double) {
      self.peakFraction = peakFraction
      self.halfSize = halfSize
    }
  }

  /// How much of the memory a run can use.
  package struct Memory: Sendable, Equatable {
    /// Library workspaces and other tensors that are there before the model is.
    package var reservedBytes: Int
    /// Allocator overhead as a share of what comes and goes: activations and workspace. Weights, gradients and
    /// optimizer are a few large blocks.
    package var fragmentationFraction: Double
    /// Share of the smaller of two moments' blocks that the other cannot use: the last
    /// backward pass and the reduction of gradients after it.
    package var unreusedFraction: Double
    /// Peak below this share of the memory: fits. Of frameworks whose own runs do not tell, see
    /// ``Framework/Memory/comfortableFraction``.
    package var comfortableFraction: Double
    /// Peak above this share of the memory: does not fit. Between the two: risky. Likewise.
    package var limitFraction: Double
  }

  /// What the collective library reaches of nominal link rates.
  package struct Fabric: Sendable, Equatable {
    /// What every collective takes beside its steps and bytes: its kernel's launch and the ranks finding each other.
    package var collectiveSeconds: Double
    /// Share of the nominal rate inside a node, 0…1.
    package var scaleUpEfficiency: Double
    package var scaleUpLatencySeconds: Double
    /// Where devices are linked directly and not by a switch, small groups reach fewer of their links: the share of the
    /// nominal rate for groups of at most a given number of ranks, ascending; empty where a switch gives all groups
    /// the same.
    package var scaleUpGroups: [GroupShare]
    /// Share of the nominal rate between nodes, 0…1.
    package var scaleOutEfficiency: Double
    package var scaleOutLatencySeconds: Double
  }

  /// Share of the nominal rate that groups of at most a given number of ranks reach inside a node.
  package struct GroupShare: Sendable, Equatable {
    package let rankCount: Int
    package var efficiency: Double

    package init(rankCount: Int, efficiency: Double) {
      self.rankCount = rankCount
      self.efficiency = efficiency
    }
  }

  /// How a training framework drives the device.
  package struct Framework: Sendable, Equatable {
    /// Lower case, as in `megatron-lm`.
    package let name: String
    /// The host needs this to launch a layer's kernels, forward and backward of one micro-batch; a third more with full
    /// recomputation.
    package var layerFloorSeconds: Double

    /// The same of a layer with experts, where nothing is known of their rows before they come: the host waits for their
    /// counts, and launches more kernels; nil takes twice ``layerFloorSeconds``.
    package var ownExpertLayerFloorSeconds: Double?
    /// The same, with what takes its place.
    package var expertLayerFloorSeconds: Double {
      get { ownExpertLayerFloorSeconds ?? 2 * layerFloorSeconds }
      set { ownExpertLayerFloorSeconds = newValue }
    }
    /// Share of that where the host waits for no counts: rows of a fixed number, or a way of tokens that counts on the device.
    package static let expertLaunchesWithoutWaiting = 0.5
    /// Factor on it where the way of one micro-batch's tokens runs under another's layers, which the host launches piece by
    /// piece, and waits for between streams.
    package static let overlappedExpertLaunches = 1.7

    /// How host and device share a stage's time: (device^k + host^k)^(1/k). Large: the slower decides, the host runs
    /// ahead of the device; 2: they half wait for each other.
    package var floorSharpness: Double
    /// What a layer's floor, both passes together, grows by for each rank of a tensor group when the pipeline leaves
    /// the node: transfers and collectives are then launched and waited for one after another.
    package var pipelineFloorSecondsPerTensorRank: Double
    /// What a layer's floor, both passes together, grows by for each rank of a tensor group but the first: every
    /// collective waits for the rank whose host is latest.
    package var tensorFloorSecondsPerRank: Double
    /// What a layer's floor, both passes together, grows by for each node that a tensor group spans.
    package var tensorFloorSecondsPerNode: Double
    /// What a collective of the tensor group costs before its first byte moves.
    package var tensorCollectiveSeconds: Double
    /// Share of the links' rate that the tensor group's collectives reach beside
    /// computation, with the copies around them.
    package var tensorRateFraction: Double
    /// Share of the tensor group's traffic that hides under computation, 0…1.
    package var tensorOverlapFraction: Double
    /// Paid once an iteration: data loading, logging, host synchronisation.
    package var iterationFixedSeconds: Double
    /// Share of the gradient reduction that hides under the last backward pass when overlap is on, 0…1.
    package var gradientOverlapFraction: Double
    /// The same share where ZeRO shards what is reduced.
    package var shardedGradientOverlapFraction: Double
    /// Share of the weight gathers of ZeRO 3, and of ZeRO 1 and 2 after the step, that hides under computation, 0…1.
    package var gatherOverlapFraction: Double
    /// Whether gradient reductions overlap with backward unless a strategy says otherwise.
    package var overlapsGradientReduce: Bool
    /// Share of the network's rate between nodes that the reduction of gradients, and ZeRO 1's gather, reach.
    package var reductionRateFraction: Double
    /// Gradients are reduced in messages of a given number of bytes, each with its own latency.
    package var bucketBytes: Double
    /// What a message has at least for each rank of the group, so that no rank's part of it gets small.
    package var bucketBytesPerRank = 0.0
    /// Time of matrix products, as a multiple of the device profile's.
    package var gemmFactor: Double
    /// Time of fused attention, as a multiple of the device profile's.
    package var attentionFactor: Double
    /// Of what a score takes in heads of 128 numbers, the share that narrower heads do not save: exponentials, maxima and sums.
    package var attentionNarrowHeadShare = 0.0
    /// Keys that a query takes the time of beside those that its window holds: kernels go by blocks of tokens, of which a short
    /// window needs parts.
    package var attentionWindowKeys = 0.0
    /// Memory traffic of element-wise operations, as a multiple of what fused kernels would move.
    package var elementWiseFactor: Double
    /// The same of operations between experts' products; nil takes ``elementWiseFactor``.
    package var ownExpertElementWiseFactor: Double?
    /// The same, with what takes its place.
    package var expertElementWiseFactor: Double {
      get { ownExpertElementWiseFactor ?? elementWiseFactor }
      set { ownExpertElementWiseFactor = newValue }
    }
    /// What every expert on a rank adds to each of its products in a pass, whatever its rows: its own kernels, and those that
    /// make its operands ready.
    package var expertProductSeconds = 0.0
    /// How layers are split into stages when nobody says otherwise.
    package var layerSplit: LayerSplit
    /// Bytes of memory traffic per entry of the logits that the loss causes forward, and as many backward.
    package var logitsTrafficBytesPerEntry: Double
    /// Traffic of adding a micro-batch's gradients to the accumulated ones, as a multiple of reading the one and
    /// reading and writing the other; 0 where the products' kernels do it.
    package var gradientAccumulationFactor: Double
    /// Whether runs that all-reduce gradients among replicas (ZeRO 0) whose pipelines leave a node often fail or crawl,
    /// whatever memory they need: such strategies are risky at best.
    package var hasFragileReplicatedPipelines: Bool
    /// Whether interleaved stages may take groups of more micro-batches than there are stages, so that micro-batches need be
    /// no multiple of the stages.
    package var interleavesLargerGroups = false
    /// Whether attention is fused in runs that do not say.
    package var usesFlashAttention: Bool
    /// Whether gradients are accumulated in fp32 in runs of 16-bit weights that do not say; nil where it follows from the
    /// weights' format.
    package var accumulatesInFP32: Bool?
    /// Whether it multiplies fp32 numbers as TF32 where the device can, though nobody asked.
    package var multipliesInTF32 = false
    /// What passes took under each release that was measured, earliest first; empty where nobody told them apart.
    package var releases: [Release] = []
    /// What it keeps in memory.
    package var memory: Memory
    /// The vocabulary is padded to a multiple of this times the tensor degree.
    package var vocabularyMultiple: Int

    /// The largest ``vocabularyMultiple`` that a document may state.
    static let largestVocabularyMultiple = 65_536
  }

  /// A framework's rule for splitting layers into pipeline stages.
  package enum LayerSplit: String, Sendable, CaseIterable {
    /// As many layers in every stage, the rest one each to middle stages.
    case even
    /// Layer after layer to a stage until the cost so far exceeds the stage's part of the whole, the head counting by
    /// its parameters; late stages may be empty (nanotron).
    case cumulativeCost = "cumulative-cost"
  }

  /// Where one group of coefficients came from.
  package struct Provenance: Sendable, Equatable {
    package let group: String
    package let origin: String

    package init(group: String, origin: String) {
      self.group = group
      self.origin = origin
    }
  }

  /// Peak matrix FLOP/s in a precision; zero where the device cannot.
  package func peakFLOPPerSecond(_ precision: Precision) -> Double {
    switch precision {
    case .fp32: datasheet.fp32FLOPPerSecond
    case .fp16: datasheet.fp16FLOPPerSecond
    case .bf16: datasheet.bf16FLOPPerSecond
    case .tf32: datasheet.tf32FLOPPerSecond
    case .fp8Delayed, .fp8Current, .fp8Blockwise, .mxfp8: datasheet.fp8FLOPPerSecond
    case .nvfp4: datasheet.fp4FLOPPerSecond
    }
  }

  /// Whether matrix units multiply in a precision by themselves, so that a plan may choose it.
  ///
  /// Those that take MXFP8's scales of 32 numbers came with FP4 (Blackwell, CDNA 4): they multiply blocks of 128 as if they were
  /// MXFP8's, for compatibility, and others do not multiply in that (Transformer Engine's features, low precision training). Where
  /// a job states either, any device with FP8 is priced.
  package func multiplies(in precision: Precision) -> Bool {
    let takesScalesOf32 = datasheet.fp4FLOPPerSecond > 0
    switch precision {
    case .mxfp8: return peakFLOPPerSecond(precision) > 0 && takesScalesOf32
    case .fp8Blockwise: return peakFLOPPerSecond(precision) > 0 && !takesScalesOf32
    default: return peakFLOPPerSecond(precision) > 0
    }
  }

  /// What a framework multiplies in when it trains in a precision.
  package func productPrecision(of precision: Precision, framework: Framework) -> Precision {
    precision == .fp32 && framework.multipliesInTF32 && datasheet.tf32FLOPPerSecond > 0 ? .tf32 : precision
  }

  /// Whether attention can be fused in a precision: FlashAttention's kernels are for 16-bit numbers.
  package func hasFlashAttention(in precision: Precision) -> Bool {
    datasheet.hasFlashAttention && precision.is16Bit
  }

  /// The framework of a name, compared without case and by prefix (`Megatron-LM (2022)` is `megatron-lm`), under the release
  /// that it ends with; nil if none.
  package func framework(named name: String) -> Framework? {
    let wanted = name.lowercased()
    if let exact = frameworks.first(where: { wanted == $0.name }) { return exact }
    return frameworks.first { wanted.hasPrefix($0.name) }?.under(release: Framework.Release.named(in: wanted))
  }
}
