import Documents
import JSONText

/// The model, as far as arguments say what it is.
extension MegatronReader {
  /// The model; nil where its vocabulary is known to the tokenizer only.
  mutating func model(layerCount: Int) throws(DocumentError) -> ModelDescription? {
    guard let vocabularySize = try vocabularySize() else {
      note("the vocabulary's size is the tokenizer's and not stated, so the model is not known")
      return nil
    }
    let hidden = try flags.required("--hidden-size").integer(in: 1...131_072)
    let heads = try flags.required("--num-attention-heads").integer(in: 1...4_096)
    let groups =
      flags.has("--group-query-attention") ? try flags.integer("--num-query-groups", in: 1...4_096) ?? 1 : nil
    let isGated = flags.has("--swiglu") || flags.has("--quick-geglu")
    // Two thirds of the usual width where a gate makes three matrices of two, a multiple of 64.
    let usual = isGated ? 4 * hidden * 2 / 3 / 64 * 64 : 4 * hidden
    let hasBias = !flags.has("--disable-bias-linear")
    let isRMS = try flags.word("--normalization", of: ["LayerNorm", "RMSNorm"]) == "RMSNorm"
    let longest = try flags.required("--max-position-embeddings").integer(in: 1...1_000_000_000_000)
    let positions = try positions()
    let latent = try latentAttention()
    if positions == "learned_absolute", longest > 16_777_216 {
      throw try flags.required("--max-position-embeddings").error(expected: "at most 16777216 learned positions")
    }
    let hiddenDropout = try flags.number("--hidden-dropout", in: 0...1) ?? 0.1
    let attentionDropout = try flags.number("--attention-dropout", in: 0...1) ?? 0.1
    let drops = hiddenDropout > 0 || attentionDropout > 0
    var details = ModelDescription.Details(
      activation: activation(hasBias: hasBias), normEpsilon: try flags.number("--norm-epsilon", in: 0...1) ?? 1e-5,
      attentionWindow: try window(),
      initialisationDeviation: try flags.number("--init-method-std", in: 0...1) ?? 0.02,
      hiddenDropout: drops ? hiddenDropout : nil, attentionDropout: drops ? attentionDropout : nil)
    details.fullAttentionLayers =
      details.attentionWindow == nil ? [] : try layers("--window-attn-skip-freq", of: layerCount, where: 0)
    var form = ModelDescription.Form(of: isRMS ? .llama : .gpt, positionCount: 1)
    if flags.has("--qk-layernorm"), latent == nil { form.queryKeyNorm = .head }
    form.hasSinks = try hasSinks()
    if latent != nil || positions == "rope" || positions == "yarn" {
      form.hasRotaryPositions = true
      details.rotaryBase = try flags.number("--rotary-base", in: 1...1e15) ?? 10_000
      details.maximumPositionCount = longest
      if let latent {
        if positions == "yarn" {
          throw try flags.required("--position-embedding-type").conflict(
            "latent attention takes rope, and --rope-type yarn")
        }
        try addLatentRotations(to: &details, of: latent)
      } else {
        details.particulars = try particulars(layerCount: layerCount)
        details.rotaryScaling = try rotaryScaling(isYaRN: positions == "yarn")
      }
    }
    details.particulars[.gateOffset] = try gateNumber("--glu-linear-offset", isGated: isGated)
    details.particulars[.gateLimit] = try gateNumber("--activation-func-clamp-value", isGated: isGated)
    let feedForwardSize = try flags.integer("--ffn-hidden-size", in: 1...1_048_576) ?? min(max(1, usual), 1_048_576)
    let experts = try experts(layerCount: layerCount, feedForwardSize: feedForwardSize)
    // Without dense layers there is no part for these biases.
    let hasFeedForwardBias = hasBias && experts?.denseLayers.isEmpty != true
    do {
      return try ModelDescription(
        name: name, family: isRMS ? .llama : .gpt, layerCount: layerCount, hiddenSize: hidden, headCount: heads,
        keyValueHeadCount: groups,
        headSize: latent?.headSize ?? flags.integer("--kv-channels", in: 1...4_096),
        feedForwardSize: feedForwardSize, vocabularySize: vocabularySize, hasGatedFeedForward: isGated,
        hasTiedEmbeddings: !flags.has("--untie-embeddings-and-output-weights"),
        positionCount: positions == "learned_absolute" ? longest : 0,
        hasQueryKeyValueBias: latent == nil && (hasBias || flags.has("--add-qkv-bias")),
        hasAttentionOutputBias: hasBias,
        hasFeedForwardBias: hasFeedForwardBias, hasDropout: drops, latent: latent, experts: experts,
        predictionDepth: predictionDepth(), form: form, details: details)
    } catch let contradiction as ModelDescription.Contradiction {
      throw flags.whole.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }

  /// Layers that predict further tokens.
  func predictionDepth() throws(DocumentError) -> Int {
    let depth = try flags.integer("--mtp-num-layers", in: 0...16) ?? 0
    if depth > 1, let field = flags["--mtp-use-repeated-layer"] {
      throw field.conflict("one layer that predicts several further tokens is not supported yet")
    }
    return depth
  }

  private func hasSinks() throws(DocumentError) -> Bool {
    switch try flags.word("--softmax-type", of: ["vanilla", "off-by-one", "learnable"]) {
    case "learnable": return true
    case "off-by-one":
      throw try flags.required("--softmax-type").conflict(
        "sinks of attention that are not learned are not supported yet")
    default: return false
    }
  }

  /// A number of a gate; nil without a gate, and for 0, which changes nothing.
  private func gateNumber(_ flag: String, isGated: Bool) throws(DocumentError) -> Double? {
    guard isGated, let number = try flags.number(flag, in: 0...1e24), number >= 1e-24 else { return nil }
    return number
  }

  /// What the file is called, without its folder and ending.
  private var name: String {
    let last = flags.whole.source.split(separator: "/").last.map(String.init) ?? "megatron"
    let plain = last.split(separator: ".").first.map(String.init) ?? last
    return String(plain.oneLine.prefix(200))
  }

  /// Of the tokenizers that state no size, GPT-2's vocabulary and Llama 2's are known.
  private mutating func vocabularySize() throws(DocumentError) -> Int? {
    let range = 1...16_777_216
    if let size = try flags.integer("--vocab-size", in: range) { return size }
    if let size = try flags.integer("--padded-vocab-size", in: range) {
      note("the vocabulary's size is the padded one, \(size)")
      return size
    }
    let tokenizer = flags["--tokenizer-type"]?.value
    if tokenizer == .string("GPT2BPETokenizer") || tokenizer == nil && flags.has("--merge-file") {
      note("the vocabulary is taken for GPT-2's, of 50257 tokens")
      return 50_257
    }
    if tokenizer == .string("Llama2Tokenizer") {
      note("the vocabulary is taken for Llama 2's, of 32000 tokens")
      return 32_000
    }
    return nil
  }

  private mutating func positions() throws(DocumentError) -> String {
    if flags.has("--use-rotary-position-embeddings") { return "rope" }
    let kinds = ["learned_absolute", "rope", "yarn", "mrope", "relative", "none"]
    let kind = try flags.word("--position-embedding-type", of: kinds) ?? "learned_absolute"
    if kind == "mrope" || kind == "relative" {
      throw try flags.required("--position-embedding-type").conflict(
        "positions of the kind \(kind) are not supported yet")
    }
    return kind
  }

  /// What of a model's layers is rotated.
  private func particulars(layerCount: Int) throws(DocumentError) -> [ModelDescription.Particular: Double] {
    var particulars: [ModelDescription.Particular: Double] = [:]
    if let share = try flags.number("--rotary-percent", in: 1e-9...1), share < 1 {
      particulars[.rotaryFraction] = share
    }
    let unrotated = try layers("--no-rope-freq", of: layerCount, where: 1)
    if let first = unrotated.first {
      let isRegular = unrotated == Array(stride(from: first, to: layerCount, by: first + 1))
      particulars[isRegular ? .unrotatedInterval : .unrotatedCount] = Double(isRegular ? first + 1 : unrotated.count)
    }
    return particulars
  }

  /// The layers that a flag names by an interval, or in a list by a digit at their places.
  private func layers(_ flag: String, of count: Int, where digit: Int) throws(DocumentError) -> [Int] {
    guard let field = flags[flag] else { return [] }
    if case .integer = field.value {
      let interval = try field.integer(in: 1...16_384)
      return Array(stride(from: interval - 1, to: count, by: interval))
    }
    let digits = try layerDigits(field, count: count)
    return digits.indices.filter { digits[$0] == digit }
  }

  private func activation(hasBias: Bool) -> ModelDescription.Activation {
    if flags.has("--swiglu") { return .silu }
    if flags.has("--squared-relu") { return .squaredReLU }
    if flags.has("--quick-geglu") { return .quickGELU }
    // The kernel that is fused with the bias approximates by tanh.
    return hasBias && !flags.has("--no-bias-gelu-fusion") ? .geluTanh : .gelu
  }

  /// `--window-size 4095,0`: tokens before the current one and after it.
  private func window() throws(DocumentError) -> Int? {
    guard let field = flags["--window-size"] else { return nil }
    let expected = "two whole numbers such as 4095,0"
    guard case .string(let text) = field.value else { throw field.error(expected: expected) }
    let sides = text.filter { !"() ".contains($0) }.split(separator: ",").map { Int($0) }
    guard sides.count == 2, let before = sides[0], let after = sides[1], after >= -1, before < 1_000_000_000_000 else {
      throw field.error(expected: expected)
    }
    return before < 0 ? nil : before + 1
  }

  private func rotaryScaling(isYaRN: Bool) throws(DocumentError) -> ModelDescription.RotaryScaling? {
    let range = 1e-24...1e24
    if isYaRN {
      let factor = try flags.number("--rotary-scaling-factor", in: range) ?? 1
      return ModelDescription.RotaryScaling(
        .yarn, factor: factor,
        originalPositionCount: try flags.integer("--yarn-original-max-position-embeddings", in: 1...1_000_000_000_000)
          ?? 4_096,
        fastBeta: try flags.number("--yarn-beta-fast", in: range),
        slowBeta: try flags.number("--yarn-beta-slow", in: range),
        attentionFactor: try yarn().attentionFactor(factor: factor))
    }
    if let factor = try flags.integer("--rotary-seq-len-interpolation-factor", in: 1...1_000_000_000) {
      return ModelDescription.RotaryScaling(.linear, factor: Double(factor))
    }
    guard flags.has("--use-rope-scaling") else { return nil }
    return ModelDescription.RotaryScaling(
      .llama3, factor: try flags.number("--rope-scaling-factor", in: range) ?? 8, lowFrequencyFactor: 1,
      highFrequencyFactor: 4, originalPositionCount: 8_192)
  }
}
