import Documents
import JSONText

/// The experts of a model, and how ranks divide them.
extension MegatronReader {
  /// Degrees that divide experts: `--expert-tensor-parallel-size` is the tensor degree unless it is stated.
  static func expertDegrees(
    _ flags: MegatronFlags, tensorDegree: Int
  ) throws(DocumentError) -> (expert: Int, tensor: Int) {
    let expert = try flags.integer("--expert-model-parallel-size", in: StatedDegrees.bounds) ?? 1
    guard try expertCount(flags) != nil else {
      if expert > 1 {
        throw try flags.required("--expert-model-parallel-size").conflict(
          "a model without --num-experts has no experts")
      }
      return (1, 1)
    }
    return (expert, try flags.integer("--expert-tensor-parallel-size", in: StatedDegrees.bounds) ?? tensorDegree)
  }

  /// Experts of a layer; nil without any.
  private static func expertCount(_ flags: MegatronFlags) throws(DocumentError) -> Int? {
    try flags.integer("--num-experts", in: 0...65_536).flatMap { $0 > 0 ? $0 : nil }
  }

  /// How experts are divided, and how tokens reach them; nobody divides those of a model without.
  mutating func expertDivision() throws(DocumentError) -> Strategy.ExpertDivision {
    guard let count = try Self.expertCount(flags) else { return .none }
    let stageRanks = deviceCount / pipelineDegree
    let (group, overflows) = expertDegree.multipliedReportingOverflow(by: expertTensorDegree)
    guard !overflows, stageRanks % group == 0 else {
      throw flags.whole.conflict(
        "the \(stageRanks) ranks of a stage do not divide by expert \(expertDegree) × expert tensor \(expertTensorDegree)"
      )
    }
    guard count % expertDegree == 0 else {
      throw try flags.required("--expert-model-parallel-size").conflict(
        "\(count) experts do not divide among \(expertDegree) ranks")
    }
    let overlaps = flags.has("--overlap-moe-expert-parallel-comm")
    if overlaps, !flags.has("--delay-wgrad-compute") {
      note(
        "gradients of weights are taken as computed later, under the way of tokens, which --delay-wgrad-compute asks for"
      )
    }
    return Strategy.ExpertDivision(
      expertDegree: expertDegree, tensorDegree: expertTensorDegree, dispatcher: try dispatcher(), overlaps: overlaps)
  }

  private mutating func dispatcher() throws(DocumentError) -> Strategy.Dispatcher {
    let kinds = Strategy.Dispatcher.allCases
    let type = try flags.word("--moe-token-dispatcher-type", of: ["allgather", "alltoall", "flex"]) ?? "allgather"
    let backend =
      try flags.word("--moe-flex-dispatcher-backend", of: ["deepep", "hybridep", "ncclep"]) ?? "deepep"
    guard type == MegatronDispatcher.flex else {
      if let field = flags["--moe-enable-deepep"] {
        throw field.conflict("tokens go by DeepEP where --moe-token-dispatcher-type is flex only")
      }
      return kinds.first { MegatronDispatcher($0).type == type } ?? .allGather
    }
    if backend == "ncclep" { note("tokens that are sent by ncclep are taken as sent by deepep: both send each once") }
    return kinds.first { MegatronDispatcher($0).backend == backend } ?? .deepEP
  }

  /// The experts of the model; nil without any.
  func experts(layerCount: Int, feedForwardSize: Int) throws(DocumentError) -> ModelDescription.Experts? {
    guard let count = try Self.expertCount(flags) else { return nil }
    if let field = flags["--moe-latent-size"] {
      throw field.conflict("experts of narrow vectors are not supported yet")
    }
    let hasBias = !flags.has("--disable-bias-linear")
    var experts = ModelDescription.Experts(
      count: count, perToken: try flags.integer("--moe-router-topk", in: 1...count) ?? min(2, count),
      feedForwardSize: try flags.integer("--moe-ffn-hidden-size", in: 1...1_048_576) ?? feedForwardSize)
    experts.sharedFeedForwardSize =
      try flags.integer("--moe-shared-expert-intermediate-size", in: 1...1_048_576) ?? 0
    if experts.sharedFeedForwardSize > 0, hasBias {
      throw try flags.required("--moe-shared-expert-intermediate-size").conflict(
        "shared experts have no biases: they need --disable-bias-linear")
    }
    experts.hasSharedGate = experts.sharedFeedForwardSize > 0 && flags.has("--moe-shared-expert-gate")
    experts.hasRouterBias = hasBias
    experts.hasBias = hasBias
    experts.hasCorrectionBias = flags.has("--moe-router-enable-expert-bias")
    guard try flags.word("--moe-router-score-function", of: ["softmax", "sigmoid", "sqrtsoftplus"]) != "sqrtsoftplus"
    else {
      throw try flags.required("--moe-router-score-function").conflict("sqrtsoftplus is not supported yet")
    }
    experts.score = flags["--moe-router-score-function"]?.value == .string("sigmoid") ? .sigmoid : .softmax
    if experts.hasCorrectionBias, experts.score == .softmax {
      throw try flags.required("--moe-router-enable-expert-bias").conflict("scores of softmax are not corrected")
    }
    experts.normalisesWeights =
      experts.score == .softmax ? !flags.has("--moe-router-pre-softmax") : experts.perToken > 1
    experts.routedScale = try flags.number("--moe-router-topk-scaling-factor", in: 1e-24...1e24) ?? 1
    if let kept = try flags.integer("--moe-router-group-topk", in: 1...count) {
      experts.groups = ModelDescription.Experts.Groups(
        count: try flags.required("--moe-router-num-groups").integer(in: 1...count), kept: kept)
    }
    experts.denseLayers = try denseLayers(layerCount: layerCount)
    return experts
  }

  /// Layers without experts: those of a list with 0, or all but every n-th, the first of which is layer 0.
  private func denseLayers(layerCount: Int) throws(DocumentError) -> [Int] {
    guard let field = flags["--moe-layer-freq"] else { return [] }
    if case .integer = field.value {
      let interval = try field.integer(in: 1...16_384)
      return (0..<layerCount).filter { $0 % interval != 0 }
    }
    let digits = try layerDigits(field, count: layerCount)
    return digits.indices.filter { digits[$0] == 0 }
  }

  /// A digit for each layer, 0 or 1.
  func layerDigits(_ field: Field, count: Int) throws(DocumentError) -> [Int] {
    guard case .string(let text) = field.value,
      let digits = DigitList(text.filter { !"\"'".contains($0) }, most: 16_384)?.numbers, digits.count == count,
      digits.allSatisfy({ $0 == 0 || $0 == 1 })
    else {
      throw field.error(
        expected: "a whole number of layers, or a list of \(count) digits such as [1,1,1,0] or ([0]*3+[1]*5)")
    }
    return digits
  }
}
