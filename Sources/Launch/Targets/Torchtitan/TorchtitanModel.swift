import Documents
import JSONText

/// A model as torchtitan's Llama 3, Qwen 3 and DeepSeek V3 families have it: the file `model.json` of a launch, which the
/// configuration function beside it reads.
struct TorchtitanModel: Equatable {
  static let fileName = "model.json"

  /// torchtitan's families, by its own words.
  enum Family: String, CaseIterable {
    case llama3, qwen3
    case deepSeekV3 = "deepseek_v3"

    /// The one whose blocks a model's are.
    init(of model: ModelDescription) {
      self = model.latent != nil ? .deepSeekV3 : model.hasQueryKeyNorm || model.experts != nil ? .qwen3 : .llama3
    }
  }

  let family: Family
  let layers, hidden, heads, keyValueHeads, headSize, feedForward, vocabulary, positions: Int
  let hasTiedEmbeddings, hasQueryKeyNorm: Bool
  let normEpsilon, rotaryBase: Double
  let scaling: ModelDescription.RotaryScaling?
  let latent: ModelDescription.LatentAttention?
  /// YaRN's number of what scores of latent attention are multiplied by; 0 where that is 1/√(head size).
  let scoreScaleNumber: Double
  let experts: ModelDescription.Experts?
  let dispatcher: Strategy.Dispatcher
  let predictionDepth: Int
  /// What blocks multiply in, where it is not what is stored.
  let products: TorchtitanProducts?
  /// Module names of every virtual stage; empty without a pipeline.
  var modelParts: [[String]] = []

  /// What was assumed of the model.
  let notes: [String]

  /// - Precondition: torchtitan's table offers the job.
  init(_ job: TrainingJob, dispatcher: Strategy.Dispatcher) {
    let model = job.model, details = model.details
    scaling = details.rotaryScaling
    family = Family(of: model)
    layers = model.layerCount
    hidden = model.hiddenSize
    heads = model.headCount
    keyValueHeads = model.keyValueHeadCount
    headSize = model.headSize
    feedForward = model.feedForwardSize
    vocabulary = model.vocabularySize
    positions = max(details.maximumPositionCount ?? 0, job.sequenceLength)
    hasTiedEmbeddings = model.hasTiedEmbeddings
    hasQueryKeyNorm = model.hasQueryKeyNorm
    normEpsilon = details.normEpsilon ?? 1e-5
    rotaryBase = details.rotaryBase ?? 10_000
    latent = model.latent
    scoreScaleNumber = Self.scoreScaleNumber(of: model)
    experts = model.experts
    self.dispatcher = dispatcher
    predictionDepth = model.predictionDepth
    products = TorchtitanProducts(job.precision)
    var notes: [String] = []
    if details.normEpsilon == nil { notes.append("The model states no norm epsilon: 1e-05 was written.") }
    if details.rotaryBase == nil { notes.append("The model states no rotary base: 10000 was written.") }
    self.notes = notes
  }

  /// The file.
  var json: JSON {
    object(
      ("family", .string(family.rawValue)), ("layers", .integer(layers)), ("hidden", .integer(hidden)),
      ("heads", .integer(heads)), ("kv_heads", .integer(keyValueHeads)), ("head_dim", .integer(headSize)),
      ("qk_norm", .boolean(hasQueryKeyNorm)), ("ffn_hidden", .integer(feedForward)), ("vocab", .integer(vocabulary)),
      ("positions", .integer(positions)), ("tied_embeddings", .boolean(hasTiedEmbeddings)),
      ("norm_epsilon", .number(normEpsilon)), ("rotary_base", .number(rotaryBase)),
      ("rotary_scaling", scalingJSON ?? .null), ("latent_attention", latentJSON ?? .null),
      ("experts", expertsJSON ?? .null), ("prediction_layers", .integer(predictionDepth)),
      ("products", products.map { .string($0.rawValue) } ?? .null),
      ("model_parts", .array(modelParts.map { .strings($0) })))
  }
}

/// What a launch's `model.json` says.
struct TorchtitanModelFile {
  var model: ModelDescription
  /// Module names of every virtual stage; empty without a pipeline.
  var parts: [[String]] = []
  var dispatcher: Strategy.Dispatcher?
  var products: TorchtitanProducts?

  init(_ file: LaunchFile) throws(DocumentError) {
    let field = try parse(Array(file.text.utf8), source: file.name)
    var fields = try field.fields()
    let family = try fields.required("family").choice(of: TorchtitanModel.Family.self)
    func count(_ key: String) throws(DocumentError) -> Int { try fields.required(key).integer(in: 1...16_777_216) }
    for part in try fields.required("model_parts").array(count: 0...16_384) {
      var names: [String] = []
      for name in try part.array(count: 0...16_386) { names.append(try name.string()) }
      parts.append(names)
    }
    products = try fields.optional("products")?.choice(of: TorchtitanProducts.self)
    let latent = try fields.optional("latent_attention").map { (field) throws(DocumentError) in
      try TorchtitanModel.latentAttention(field)
    }
    let mixture = try fields.optional("experts").map { (field) throws(DocumentError) in
      try TorchtitanModel.experts(field)
    }
    dispatcher = mixture?.dispatcher
    let scaling = try fields.optional("rotary_scaling").map { (field) throws(DocumentError) in
      try TorchtitanModel.rotaryScaling(field, isLatent: latent != nil)
    }
    do {
      let headSize = try count("head_dim")
      var details = ModelDescription.Details(
        activation: .silu, normEpsilon: try fields.required("norm_epsilon").fractionOrZero(),
        rotaryBase: try fields.required("rotary_base").positiveNumber(), rotaryScaling: scaling,
        maximumPositionCount: try count("positions"))
      if let latent {
        details.particulars[.scoreScale] = TorchtitanModel.scoreScale(
          number: latent.scoreScaleNumber, factor: scaling?.factor ?? 1, headSize: headSize)
      }
      model = try ModelDescription(
        name: family.rawValue, family: .llama, layerCount: count("layers"), hiddenSize: count("hidden"),
        headCount: count("heads"), keyValueHeadCount: count("kv_heads"), headSize: headSize,
        feedForwardSize: count("ffn_hidden"), vocabularySize: count("vocab"), hasGatedFeedForward: true,
        hasTiedEmbeddings: fields.required("tied_embeddings").boolean(),
        hasQueryKeyNorm: fields.optional("qk_norm")?.boolean() ?? (family == .qwen3), latent: latent?.attention,
        experts: mixture?.experts,
        predictionDepth: fields.optional("prediction_layers")?.integer(in: 0...16) ?? 0, details: details)
    } catch let contradiction as ModelDescription.Contradiction {
      throw field.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }
}
