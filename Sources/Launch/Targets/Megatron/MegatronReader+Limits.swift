import Documents
import JSONText

/// What bears on a run and is not modelled: refused in a sentence, or passed over with a note.
extension MegatronReader {
  static func refuseWhatIsNotModelled(_ flags: MegatronFlags) throws(DocumentError) {
    for (flag, what) in methods {
      guard let field = flags[flag], field.value != .integer(0) else { continue }
      throw field.conflict("\(what) is not supported yet")
    }
    let tensor = try flags.integer("--tensor-model-parallel-size", in: StatedDegrees.bounds) ?? 1
    let expertTensor = try flags.integer("--expert-tensor-parallel-size", in: StatedDegrees.bounds) ?? tensor
    for (flag, degree) in [
      ("--tensor-parallel-num-weight-shards", tensor), ("--expert-tensor-parallel-num-weight-shards", expertTensor),
    ] {
      if let shards = flags[flag], try shards.integer(in: StatedDegrees.bounds) > degree {
        throw shards.conflict("weight shards of their own beside tensor parallelism are not supported yet")
      }
    }
    if let order = flags["--use-tp-pp-dp-mapping"],
      try flags.integer("--pipeline-model-parallel-size", in: StatedDegrees.bounds) ?? 1 > 1
    {
      throw order.conflict("an order of ranks with pipelines inside of replicas is not supported yet")
    }
  }

  private static let methods = [
    ("--fine-grained-activation-offloading", "offload of activations"),
    ("--offload-optimizer-states", "offload of optimizer states"),
    ("--chunked-optimizer-state-offload", "offload of optimizer states"),
    ("--use-torch-fsdp2", "PyTorch's FSDP2 in Megatron-LM"), ("--hybrid-layer-pattern", "a hybrid of kinds of layers"),
    ("--hybrid-override-pattern", "a hybrid of kinds of layers"),
    ("--heterogeneous-layers-config-path", "layers of different shapes"),
    ("--heterogeneous-layers-config-encoded-json", "layers of different shapes"),
    ("--experimental-attention-variant", "another kind of attention"),
    ("--hybrid-context-parallel", "sequences that fewer or more ranks divide by their length"),
    ("--yaml-cfg", "arguments in a file that another names"), ("--encoder-num-layers", "an encoder"),
    ("--step-batch-size-schedule", "a batch that grows"),
  ]

  private static let passedOver = [
    ("--rampup-batch-size", "a batch that grows at first"),
    ("--moe-shared-expert-overlap", "shared experts under the way of tokens"),
    ("--moe-expert-capacity-factor", "tokens that an expert has no place for"),
    ("--moe-expert-rank-capacity-factor", "tokens that a rank has no place for"),
    ("--moe-paged-stash", "experts' activations in pages"),
    ("--distribute-saved-activations", "kept inputs divided among the tensor group"),
    ("--deepspeed", "DeepSpeed's own configuration"), ("--no-overlap-p2p-communication", "exchanges of stages in turn"),
  ]

  mutating func noteWhatIsPassedOver() {
    for (flag, what) in Self.passedOver where flags.has(flag) {
      note("\(flag) is passed over: \(what) is not modelled")
    }
    if flags.has("--delay-wgrad-compute"), !flags.has("--overlap-moe-expert-parallel-comm") {
      note("--delay-wgrad-compute is passed over: weights' gradients computed later are not modelled")
    }
    if let graphs = flags["--cuda-graph-impl"], graphs.value != .string("none") {
      note("--cuda-graph-impl is passed over: CUDA graphs are not modelled")
    }
  }

  /// Whether tensor groups' exchanges run beside products: where that is asked for and a table says that they can.
  mutating func overlapsTensorExchange(
    _ strategy: Strategy, of table: Capabilities, model: ModelDescription?, precision: Precision, sequenceLength: Int
  ) throws(DocumentError) -> Bool {
    guard let field = flags["--tp-comm-overlap"] else { return false }
    guard strategy.usesSequenceParallelism else {
      throw field.conflict("--tp-comm-overlap needs --sequence-parallel, and a tensor degree of at least 2")
    }
    let asked = strategy.with(\.overlapsTensorExchange, true)
    let refusal = table.refusal(
      ofTensorOverlap: asked, model: model, precision: precision, sequenceLength: sequenceLength)
    if let refusal { note("--tp-comm-overlap is passed over: \(refusal.rule)") }
    return refusal == nil
  }

  /// Interleaved stages take groups of as many micro-batches as there are stages unless told otherwise.
  mutating func noteGroupSize(_ strategy: Strategy, microBatchCount: Int) throws(DocumentError) {
    guard strategy.schedule.isInterleaved else { return }
    let field = flags["--microbatch-group-size-per-virtual-pipeline-stage"]
    let size = try field?.integer(in: 1...16_777_216) ?? pipelineDegree
    let remainder = microBatchCount % size
    if remainder > 0, remainder < pipelineDegree {
      throw (field ?? flags.whole).conflict(
        "\(microBatchCount) micro-batches leave \(remainder) beside groups of \(size), fewer than \(pipelineDegree) stages"
      )
    }
    let modelled = Strategy.Schedule.groupSize(stageCount: pipelineDegree, microBatchCount: microBatchCount)
    if let modelled, modelled != size {
      note("stages take groups of \(size) micro-batches, and of \(modelled) as it is modelled")
    }
  }
}
