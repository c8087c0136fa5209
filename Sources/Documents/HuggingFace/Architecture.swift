/// How a model type of Hugging Face's spells its shapes, and what its blocks have that its configuration does not say.
///
/// One declaration a model type (``all``); ``Configuration`` reads every file by one.
struct Architecture: Sendable {
  /// Values of `model_type`.
  let types: [String]
  var family = ModelDescription.Family.llama
  var keys = Keys()
  /// What its configuration class assumes where a file leaves a key out; others are required.
  var defaults: [String: Int] = [:]
  var norm = ModelDescription.Norm.rms
  var block = BlockRule.always(.sequential)
  var queryKeyNorm = Fact.never
  var queryKeyNormOver = ModelDescription.QueryKeyNorm.head
  var queryKeyValueBias = Fact.never
  var attentionOutputBias = Fact.never
  var feedForwardBias = Fact.never
  var headBias = Fact.never
  var hasEmbeddingNorm = false
  var isGated = true
  /// Whether embeddings are tied where a file does not say.
  var tiesEmbeddings = false
  var keyValueHeads = KeyValueHeads.stated
  /// Feed-forward widths that are a multiple of the hidden size where no key says another; the multiple may have a key.
  var feedForwardFactor: (key: String?, value: Int)?
  var positions = Positions.rotary
  var window = Windows.never
  var unrotated = UnrotatedLayers.none
  var activation = ModelDescription.Activation.silu
  /// Whether `gelu` in a file means the approximation by tanh.
  var approximatesGELU = false
  var epsilon = 1e-6
  var rotaryFraction = 1.0
  var dropout = Dropout()
  /// Whether each head has a learned number among its scores.
  var hasSinks = false
  /// Whether keys and values are made of narrow vectors, where the file states a rank.
  var hasLatentAttention = false
  var numbers: [Number] = []
  var experts: ExpertRule?

  /// The keys of shapes and numbers, of which the first that is stated holds; `section/key` is one of an object in the file.
  struct Keys: Sendable {
    var layers = ["num_hidden_layers"]
    var hidden = ["hidden_size"]
    var heads = ["num_attention_heads"]
    var keyValueHeads = ["num_key_value_heads"]
    var headSize = ["head_dim"]
    var feedForward = ["intermediate_size"]
    let vocabulary = ["vocab_size"]
    var longest = ["max_position_embeddings"]
    var activation = ["hidden_act"]
    var epsilon = ["rms_norm_eps"]
    var rotaryBase = ["rope_theta"]
    var rotaryFraction = ["partial_rotary_factor"]
    var initialisation = ["initializer_range"]
  }

  /// Whether a model has something.
  enum Fact: Sendable {
    case never, always
    case stated(String, byDefault: Bool = false)
  }

  enum BlockRule: Sendable {
    case always(ModelDescription.Block)
    case stated(String, byDefault: Bool, then: ModelDescription.Block, otherwise: ModelDescription.Block)
    /// Two norms in the newer decoder or where `num_ln_in_parallel_attn` says so.
    case falcon
  }

  enum KeyValueHeads: Sendable {
    /// As stated, else as many as query heads or as ``defaults`` say.
    case stated
    /// One, unless the decoder is the newer one or `multi_query` is off.
    case falcon
  }

  enum Positions: Sendable {
    case rotary
    /// A table of as many rows as a key says and `offset` more.
    case learned(key: String, byDefault: Int, offset: Int)
    case linearBiases
    /// Linear biases where `alibi` is true.
    case falcon
    /// Linear biases unless `attn_config` denies them, then a table.
    case mpt
    /// Rotary in the model of 4,096, linear biases in the larger one.
    case baichuan
  }

  /// Layers whose attention has a window.
  enum Windows: Sendable {
    case never
    /// All, where `sliding_window` is stated or there is a default.
    case inEveryLayer(byDefault: Int?)
    /// All but every n-th.
    case exceptEvery(Int, key: String, byDefault: Int)
    /// From `max_window_layers` on, if `use_sliding_window`.
    case fromLayer
    /// Those without rotary positions, if `use_sliding_window`.
    case inUnrotatedLayers
    /// Runs of tokens in those with rotary positions.
    case chunksInRotatedLayers(byDefault: Int)
  }

  enum UnrotatedLayers: Sendable {
    case none
    /// Those with a 0 in `no_rope_layers`, else every n-th by `no_rope_layer_interval`.
    case stated(byDefault: Int)
    /// Those without a window.
    case withoutWindow
  }

  /// Keys of shares that are dropped out; dropout is used where one of them is not 0, and by default where none is stated.
  struct Dropout: Sendable {
    var keys = ["attention_dropout"]
    var byDefault = false
    var hidden: (key: String?, value: Double) = (nil, 0)
    var attention: (key: String, value: Double?) = ("attention_dropout", nil)
  }

  /// A key that is a particular of the model, unless its value changes nothing.
  struct Number: Sendable {
    let particular: ModelDescription.Particular
    let key: String
    var byDefault: Double?
    var form = Form.itself

    /// What the value is of the particular.
    enum Form: Sendable {
      case itself, inverse, squareRoot, inverseSquareRoot
    }
  }

  /// The declaration of a model type; nil where there is none.
  static func of(_ type: String) -> Architecture? { all.first { $0.types.contains(type) } }
}
