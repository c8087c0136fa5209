import Documents
import JSONText

/// A model as torchtitan's Llama 3 and Qwen 3 families have it: the file `model.json` of a launch, which the
/// configuration function beside it reads.
struct TorchtitanModel: Equatable {
  static let fileName = "model.json"

  /// torchtitan's word for the family.
  let family: String
  let layers, hidden, heads, keyValueHeads, headSize, feedForward, vocabulary, positions: Int
  let hasTiedEmbeddings: Bool
  let normEpsilon, rotaryBase: Double
  let scaling: Scaling?
  /// Module names of every virtual stage; empty without a pipeline.
  var modelParts: [[String]] = []

  /// Llama 3.1's stretching of rotary frequencies, by torchtitan's names.
  struct Scaling: Equatable {
    let factor, lowFrequencyFactor, highFrequencyFactor: Double
    let originalPositions: Int
  }

  /// What was assumed of the model.
  let notes: [String]

  /// - Precondition: torchtitan's table offers the job.
  init(_ job: TrainingJob) {
    let model = job.model, details = model.details
    scaling = details.rotaryScaling.map {
      Scaling(
        factor: $0.factor ?? 8, lowFrequencyFactor: $0.lowFrequencyFactor ?? 1,
        highFrequencyFactor: $0.highFrequencyFactor ?? 4, originalPositions: $0.originalPositionCount ?? 8_192)
    }
    family = model.hasQueryKeyNorm ? "qwen3" : "llama3"
    layers = model.layerCount
    hidden = model.hiddenSize
    heads = model.headCount
    keyValueHeads = model.keyValueHeadCount
    headSize = model.headSize
    feedForward = model.feedForwardSize
    vocabulary = model.vocabularySize
    positions = max(details.maximumPositionCount ?? 0, job.sequenceLength)
    hasTiedEmbeddings = model.hasTiedEmbeddings
    normEpsilon = details.normEpsilon ?? 1e-5
    rotaryBase = details.rotaryBase ?? 10_000
    var notes: [String] = []
    if details.normEpsilon == nil { notes.append("The model states no norm epsilon: 1e-05 was written.") }
    if details.rotaryBase == nil { notes.append("The model states no rotary base: 10000 was written.") }
    self.notes = notes
  }

  /// The file.
  var json: JSON {
    object(
      ("family", .string(family)), ("layers", .integer(layers)), ("hidden", .integer(hidden)),
      ("heads", .integer(heads)), ("kv_heads", .integer(keyValueHeads)), ("head_dim", .integer(headSize)),
      ("ffn_hidden", .integer(feedForward)), ("vocab", .integer(vocabulary)), ("positions", .integer(positions)),
      ("tied_embeddings", .boolean(hasTiedEmbeddings)), ("norm_epsilon", .number(normEpsilon)),
      ("rotary_base", .number(rotaryBase)),
      (
        "rotary_scaling",
        scaling.map {
          object(
            ("factor", .number($0.factor)), ("low_freq_factor", .number($0.lowFrequencyFactor)),
            ("high_freq_factor", .number($0.highFrequencyFactor)),
            ("original_max_position_embeddings", .integer($0.originalPositions)))
        } ?? .null
      ),
      ("model_parts", .array(modelParts.map { .strings($0) })))
  }
}

extension TorchtitanModel {
  /// The model of a launch's `model.json`, with the modules of every virtual stage.
  static func read(_ file: LaunchFile) throws(DocumentError) -> (model: ModelDescription, parts: [[String]]) {
    let field = try parse(Array(file.text.utf8), source: file.name)
    var fields = try field.fields()
    let family = try fields.required("family").string()
    func count(_ key: String) throws(DocumentError) -> Int { try fields.required(key).integer(in: 1...16_777_216) }
    var scaling: ModelDescription.RotaryScaling?
    if let section = fields.optional("rotary_scaling") {
      var numbers = try section.fields()
      scaling = ModelDescription.RotaryScaling(
        .llama3, factor: try numbers.required("factor").positiveNumber(),
        lowFrequencyFactor: try numbers.required("low_freq_factor").positiveNumber(),
        highFrequencyFactor: try numbers.required("high_freq_factor").positiveNumber(),
        originalPositionCount: try numbers.required("original_max_position_embeddings").integer(in: 1...1_000_000_000))
    }
    var parts: [[String]] = []
    for part in try fields.required("model_parts").array(count: 0...16_384) {
      var names: [String] = []
      for name in try part.array(count: 0...16_386) { names.append(try name.string()) }
      parts.append(names)
    }
    do {
      let model = try ModelDescription(
        name: family, family: .llama, layerCount: count("layers"), hiddenSize: count("hidden"),
        headCount: count("heads"), keyValueHeadCount: count("kv_heads"), headSize: count("head_dim"),
        feedForwardSize: count("ffn_hidden"), vocabularySize: count("vocab"), hasGatedFeedForward: true,
        hasTiedEmbeddings: fields.required("tied_embeddings").boolean(), hasQueryKeyNorm: family == "qwen3",
        details: ModelDescription.Details(
          activation: .silu, normEpsilon: fields.required("norm_epsilon").fractionOrZero(),
          rotaryBase: fields.required("rotary_base").positiveNumber(), rotaryScaling: scaling,
          maximumPositionCount: count("positions")))
      return (model, parts)
    } catch let contradiction as ModelDescription.Contradiction {
      throw field.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }
}
