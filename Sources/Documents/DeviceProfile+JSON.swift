package import JSONText

/// The device profile document, `sextant.device/1`.
extension DeviceProfile {
  package init(contentsOf path: String) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in try DeviceProfile(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.device)
    name = try fields.required("name").name()
    title = try fields.required("title").name()
    datasheet = try Datasheet(fields.required("datasheet"))
    compute = try Compute(fields.required("compute"), datasheet: datasheet)
    memory = try Memory(fields.required("memory"))
    fabric = try Fabric(fields.required("fabric"))
    var frameworks: [Framework] = []
    for entry in try fields.required("frameworks").array(count: 1...64) { frameworks.append(try Framework(entry)) }
    self.frameworks = frameworks
    var provenance: [Provenance] = []
    for entry in try fields.required("provenance").array(count: 0...64) { provenance.append(try Provenance(entry)) }
    self.provenance = provenance
    accuracy =
      try fields.optional("accuracy")?.array(count: 0...1_024).map { (entry) throws(DocumentError) in
        try Accuracy(entry)
      } ?? []
    try fields.finish()
  }

  /// The document of this profile.
  package var json: JSON {
    object(
      ("schema", .string(DocumentSchema.device.rawValue)), ("name", .string(name)), ("title", .string(title)),
      ("datasheet", datasheet.json), ("compute", compute.json), ("memory", memory.json), ("fabric", fabric.json),
      ("frameworks", .array(frameworks.map(\.json))), ("provenance", .array(provenance.map(\.json))),
      ("accuracy", accuracy.isEmpty ? nil : .array(accuracy.map(\.json))))
  }
}

extension DeviceProfile.Datasheet {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    memoryBytes = try fields.required("memory_bytes").integer(in: 1_000_000...1_000_000_000_000_000)
    memoryBytesPerSecond = try fields.required("memory_bytes_per_second").positiveNumber()
    var peaks = try fields.required("peak_flop_per_second").fields()
    fp32FLOPPerSecond = try peaks.required("fp32").positiveNumber()
    fp16FLOPPerSecond = try peaks.required("fp16").positiveNumber()
    bf16FLOPPerSecond = try peaks.optional("bf16")?.positiveNumber() ?? 0
    tf32FLOPPerSecond = try peaks.optional("tf32")?.positiveNumber() ?? 0
    fp8FLOPPerSecond = try peaks.optional("fp8")?.positiveNumber() ?? 0
    fp4FLOPPerSecond = try peaks.optional("fp4")?.positiveNumber() ?? 0
    try peaks.finish()
    multipliesFP8FromOneCopy = try fields.optional("fp8_from_one_copy")?.boolean() ?? false
    hasFlashAttention = try fields.required("flash_attention").boolean()
    scaleUpBytesPerSecond = try fields.required("scale_up_bytes_per_second").positiveNumber()
    scaleOutBytesPerSecond = try fields.required("scale_out_bytes_per_second").positiveNumber()
    scaleUpDomainSize = try fields.optional("scale_up_domain")?.integer(in: 2...65_536)
    var sources: [String] = []
    for entry in try fields.required("sources").array(count: 0...64) { sources.append(try entry.string()) }
    self.sources = sources
    try fields.finish()
  }

  var json: JSON {
    object(
      ("memory_bytes", .integer(memoryBytes)), ("memory_bytes_per_second", .number(memoryBytesPerSecond)),
      (
        "peak_flop_per_second",
        object(
          ("fp32", .number(fp32FLOPPerSecond)), ("fp16", .number(fp16FLOPPerSecond)),
          ("bf16", bf16FLOPPerSecond > 0 ? .number(bf16FLOPPerSecond) : nil),
          ("tf32", tf32FLOPPerSecond > 0 ? .number(tf32FLOPPerSecond) : nil),
          ("fp8", fp8FLOPPerSecond > 0 ? .number(fp8FLOPPerSecond) : nil),
          ("fp4", fp4FLOPPerSecond > 0 ? .number(fp4FLOPPerSecond) : nil))
      ),
      ("fp8_from_one_copy", multipliesFP8FromOneCopy ? .boolean(true) : nil),
      ("flash_attention", .boolean(hasFlashAttention)),
      ("scale_up_bytes_per_second", .number(scaleUpBytesPerSecond)),
      ("scale_out_bytes_per_second", .number(scaleOutBytesPerSecond)),
      ("scale_up_domain", scaleUpDomainSize.map(JSON.integer)), ("sources", .strings(sources)))
  }
}

extension DeviceProfile.Compute {
  init(_ field: Field, datasheet: DeviceProfile.Datasheet) throws(DocumentError) {
    var fields = try field.fields()
    gemmPeakFraction = try fields.required("gemm_peak_fraction").fraction()
    gemmHalfSize = try fields.required("gemm_half_size").nonNegativeNumber()
    attentionPeakFraction = try fields.required("attention_peak_fraction").fraction()
    memoryFraction = try fields.required("memory_fraction").fraction()
    if let earlier = fields.optional("unaligned_attention_factor") {
      // Documents of earlier versions have a factor on the time of very large products instead.
      let factor = try earlier.number(in: 1...100, expected: "a number from 1 to 100")
      unalignedPeakFraction = min(
        1, datasheet.fp16FLOPPerSecond * gemmPeakFraction / (datasheet.fp32FLOPPerSecond * factor))
    } else {
      unalignedPeakFraction = try fields.required("unaligned_peak_fraction").fraction()
    }
    fp8 = try fields.optional("fp8").map { (field) throws(DocumentError) in try DeviceProfile.ProductRate(field) }
    fp4 = try fields.optional("fp4").map { (field) throws(DocumentError) in try DeviceProfile.ProductRate(field) }
    fp8WideHeadAttentionFactor =
      try fields.optional("fp8_wide_head_attention_factor")?.number(in: 0.1...10, expected: "a number from 0.1 to 10")
      ?? 1
    try fields.finish()
  }

  var json: JSON {
    object(
      ("gemm_peak_fraction", .number(gemmPeakFraction)), ("gemm_half_size", .number(gemmHalfSize)),
      ("attention_peak_fraction", .number(attentionPeakFraction)), ("memory_fraction", .number(memoryFraction)),
      ("unaligned_peak_fraction", .number(unalignedPeakFraction)), ("fp8", fp8?.json), ("fp4", fp4?.json),
      (
        "fp8_wide_head_attention_factor", fp8WideHeadAttentionFactor == 1 ? nil : .number(fp8WideHeadAttentionFactor)
      ))
  }
}

extension DeviceProfile.ProductRate {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    peakFraction = try fields.required("peak_fraction").fraction()
    halfSize = try fields.required("half_size").nonNegativeNumber()
    try fields.finish()
  }

  var json: JSON { object(("peak_fraction", .number(peakFraction)), ("half_size", .number(halfSize))) }
}

extension DeviceProfile.Memory {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    reservedBytes = try fields.required("reserved_bytes").integer(in: 0...1_000_000_000_000)
    fragmentationFraction = try fields.required("fragmentation_fraction").fractionOrZero()
    unreusedFraction = try fields.required("unreused_fraction").fractionOrZero()
    comfortableFraction = try fields.required("comfortable_fraction").fraction()
    let limit = try fields.required("limit_fraction")
    limitFraction = try limit.fraction()
    guard comfortableFraction <= limitFraction else {
      throw limit.error(expected: "a fraction not below comfortable_fraction \(comfortableFraction)")
    }
    try fields.finish()
  }

  var json: JSON {
    object(
      ("reserved_bytes", .integer(reservedBytes)), ("fragmentation_fraction", .number(fragmentationFraction)),
      ("unreused_fraction", .number(unreusedFraction)),
      ("comfortable_fraction", .number(comfortableFraction)), ("limit_fraction", .number(limitFraction)))
  }
}

extension DeviceProfile.Fabric {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    collectiveSeconds = try fields.required("collective_seconds").nonNegativeNumber()
    scaleUpEfficiency = try fields.required("scale_up_efficiency").fraction()
    scaleUpLatencySeconds = try fields.required("scale_up_latency_seconds").nonNegativeNumber()
    var groups: [DeviceProfile.GroupShare] = []
    for entry in try fields.required("scale_up_groups").array(count: 0...64) {
      let share = try DeviceProfile.GroupShare(entry)
      guard share.rankCount > groups.last?.rankCount ?? 0 else {
        throw entry.error(expected: "more ranks than the group before")
      }
      groups.append(share)
    }
    scaleUpGroups = groups
    scaleOutEfficiency = try fields.required("scale_out_efficiency").fraction()
    scaleOutLatencySeconds = try fields.required("scale_out_latency_seconds").nonNegativeNumber()
    try fields.finish()
  }

  var json: JSON {
    object(
      ("collective_seconds", .number(collectiveSeconds)),
      ("scale_up_efficiency", .number(scaleUpEfficiency)),
      ("scale_up_latency_seconds", .number(scaleUpLatencySeconds)),
      ("scale_up_groups", .array(scaleUpGroups.map(\.json))), ("scale_out_efficiency", .number(scaleOutEfficiency)),
      ("scale_out_latency_seconds", .number(scaleOutLatencySeconds)))
  }
}

extension DeviceProfile.GroupShare {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    rankCount = try fields.required("ranks").integer(in: 2...1_024)
    efficiency = try fields.required("efficiency").fraction()
    try fields.finish()
  }

  var json: JSON { object(("ranks", .integer(rankCount)), ("efficiency", .number(efficiency))) }
}

extension DeviceProfile.Framework {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    name = try fields.required("name").name()
    layerFloorSeconds = try fields.required("layer_floor_seconds").nonNegativeNumber()
    ownExpertLayerFloorSeconds = try fields.optional("expert_layer_floor_seconds")?.nonNegativeNumber()
    floorSharpness = try fields.required("floor_sharpness").number(in: 1...64, expected: "a number from 1 to 64")
    pipelineFloorSecondsPerTensorRank = try fields.required("pipeline_floor_seconds_per_tensor_rank")
      .nonNegativeNumber()
    tensorFloorSecondsPerRank = try fields.required("tensor_floor_seconds_per_rank").nonNegativeNumber()
    tensorFloorSecondsPerNode = try fields.required("tensor_floor_seconds_per_node").nonNegativeNumber()
    tensorCollectiveSeconds = try fields.required("tensor_collective_seconds").nonNegativeNumber()
    tensorRateFraction = try fields.required("tensor_rate_fraction").fraction()
    tensorOverlapFraction = try fields.required("tensor_overlap_fraction").fractionOrZero()
    iterationFixedSeconds = try fields.required("iteration_fixed_seconds").nonNegativeNumber()
    gradientOverlapFraction = try fields.required("gradient_overlap_fraction").fractionOrZero()
    shardedGradientOverlapFraction = try fields.required("sharded_gradient_overlap_fraction").fractionOrZero()
    gatherOverlapFraction = try fields.required("gather_overlap_fraction").fractionOrZero()
    overlapsGradientReduce = try fields.required("overlaps_gradient_reduce").boolean()
    reductionRateFraction = try fields.required("reduction_rate_fraction").fraction()
    bucketBytes = try fields.required("bucket_bytes").positiveNumber()
    bucketBytesPerRank = try fields.optional("bucket_bytes_per_rank")?.nonNegativeNumber() ?? 0
    gemmFactor = try fields.required("gemm_factor").number(in: 0.1...10, expected: "a number from 0.1 to 10")
    attentionFactor = try fields.required("attention_factor").number(in: 0.1...10, expected: "a number from 0.1 to 10")
    attentionNarrowHeadShare = try fields.optional("attention_narrow_head_share")?.fractionOrZero() ?? 0
    attentionWindowKeys = try fields.optional("attention_window_keys")?.nonNegativeNumber() ?? 0
    elementWiseFactor = try fields.required("element_wise_factor").positiveNumber()
    ownExpertElementWiseFactor = try fields.optional("expert_element_wise_factor")?.positiveNumber()
    expertProductSeconds = try fields.optional("expert_product_seconds")?.nonNegativeNumber() ?? 0
    layerSplit = try fields.required("layer_split").choice(of: DeviceProfile.LayerSplit.self)
    logitsTrafficBytesPerEntry = try fields.required("logits_traffic_bytes_per_entry").number(
      in: 0...1_024, expected: "a number from 0 to 1024")
    gradientAccumulationFactor = try fields.required("gradient_accumulation_factor").number(
      in: 0...64, expected: "a number from 0 to 64")
    hasFragileReplicatedPipelines = try fields.required("fragile_replicated_pipelines").boolean()
    interleavesLargerGroups = try fields.optional("interleaves_larger_groups")?.boolean() ?? false
    usesFlashAttention = try fields.required("flash_attention").boolean()
    multipliesInTF32 = try fields.optional("fp32_in_tf32")?.boolean() ?? false
    accumulatesInFP32 = try fields.optional("accumulates_in_fp32")?.boolean()
    for entry in try fields.optional("releases")?.array(count: 0...64) ?? [] {
      let release = try Release(entry)
      guard releases.last.map({ Release.isEarlier($0.name, than: release.name) }) ?? true else {
        throw entry.error(expected: "a later release than the one before")
      }
      releases.append(release)
    }
    memory = try Memory(try fields.required("memory"))
    vocabularyMultiple = try fields.required("vocabulary_multiple").integer(in: 1...Self.largestVocabularyMultiple)
    try fields.finish()
  }

  var json: JSON {
    object(
      ("name", .string(name)), ("layer_floor_seconds", .number(layerFloorSeconds)),
      ("expert_layer_floor_seconds", ownExpertLayerFloorSeconds.map(JSON.number)),
      ("floor_sharpness", .number(floorSharpness)),
      ("pipeline_floor_seconds_per_tensor_rank", .number(pipelineFloorSecondsPerTensorRank)),
      ("tensor_floor_seconds_per_rank", .number(tensorFloorSecondsPerRank)),
      ("tensor_floor_seconds_per_node", .number(tensorFloorSecondsPerNode)),
      ("tensor_collective_seconds", .number(tensorCollectiveSeconds)),
      ("tensor_rate_fraction", .number(tensorRateFraction)),
      ("tensor_overlap_fraction", .number(tensorOverlapFraction)),
      ("iteration_fixed_seconds", .number(iterationFixedSeconds)),
      ("gradient_overlap_fraction", .number(gradientOverlapFraction)),
      ("sharded_gradient_overlap_fraction", .number(shardedGradientOverlapFraction)),
      ("gather_overlap_fraction", .number(gatherOverlapFraction)),
      ("overlaps_gradient_reduce", .boolean(overlapsGradientReduce)),
      ("reduction_rate_fraction", .number(reductionRateFraction)),
      ("bucket_bytes", .number(bucketBytes)),
      ("bucket_bytes_per_rank", bucketBytesPerRank > 0 ? .number(bucketBytesPerRank) : nil),
      ("gemm_factor", .number(gemmFactor)),
      ("attention_factor", .number(attentionFactor)),
      ("attention_narrow_head_share", attentionNarrowHeadShare > 0 ? .number(attentionNarrowHeadShare) : nil),
      ("attention_window_keys", attentionWindowKeys > 0 ? .number(attentionWindowKeys) : nil),
      ("element_wise_factor", .number(elementWiseFactor)),
      ("expert_element_wise_factor", ownExpertElementWiseFactor.map(JSON.number)),
      ("expert_product_seconds", expertProductSeconds > 0 ? JSON.number(expertProductSeconds) : nil),
      ("layer_split", .string(layerSplit.rawValue)),
      ("logits_traffic_bytes_per_entry", .number(logitsTrafficBytesPerEntry)),
      ("gradient_accumulation_factor", .number(gradientAccumulationFactor)),
      ("fragile_replicated_pipelines", .boolean(hasFragileReplicatedPipelines)),
      ("interleaves_larger_groups", interleavesLargerGroups ? .boolean(true) : nil),
      ("flash_attention", .boolean(usesFlashAttention)),
      ("fp32_in_tf32", multipliesInTF32 ? .boolean(true) : nil),
      ("accumulates_in_fp32", accumulatesInFP32.map(JSON.boolean)),
      ("releases", releases.isEmpty ? nil : .array(releases.map(\.json))), ("memory", memory.json),
      ("vocabulary_multiple", .integer(vocabularyMultiple)))
  }
}

extension DeviceProfile.Framework.Release {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let nameField = try fields.required("release")
    name = try nameField.name()
    guard Self.isName(name) else { throw nameField.error(expected: "numbers between points, such as 26.02") }
    passFactor = try fields.required("pass_factor").number(in: 0.1...10, expected: "a number from 0.1 to 10")
    try fields.finish()
  }

  var json: JSON { object(("release", .string(name)), ("pass_factor", .number(passFactor))) }
}

extension DeviceProfile.Provenance {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    group = try fields.required("group").name()
    origin = try fields.required("origin").string()
    try fields.finish()
  }

  var json: JSON { object(("group", .string(group)), ("origin", .string(origin))) }
}
