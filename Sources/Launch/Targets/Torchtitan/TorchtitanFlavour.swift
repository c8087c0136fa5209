import Documents

/// A model, and what torchtitan's own configuration of it sets, for those who read a user's files.
///
/// Shapes are those of `models/llama3`, `models/qwen3` and `models/deepseek_v3` of 0.2.2 and 0.3.0, defaults those of their
/// `config_registry.py` in 0.3.0; in main they are the same numbers in tokens.
struct TorchtitanFlavour {
  let model: ModelDescription?
  var sequencesPerStep = 8
  var sequenceLength = 2_048
  var tensorDegree = 1
  var expertDegree = 1
  var dispatcher = TorchtitanDispatcher.standard
  var schedule = "1F1B"
  var recompute = "selective"
  var products: TorchtitanProducts?

  /// What stands where neither a flag nor a configuration that is known says otherwise.
  static let standard = TorchtitanFlavour(model: nil)

  /// The flavour of a model in the tables of 0.2.2: shapes alone.
  static func named(_ flavour: String, of family: String) -> ModelDescription? {
    // "8B_flex" and "8B_varlen" are the same model with another attention.
    let size = String(flavour.prefix { $0 != "_" })
    if let mixture = mixture(size, of: family) { return mixture }
    guard let shape = shapes["\(family) \(size)"] else { return nil }
    return shape.description(name: "\(family)-\(size)", family: family)
  }

  /// The configuration function of 0.3.0 and later; nil where it is not known.
  static func function(_ name: String) -> TorchtitanFlavour? {
    func flavour(
      _ family: String, _ size: String, sequences: Int, length: Int, tensor: Int = 1, recompute: String,
      products: TorchtitanProducts? = nil
    ) -> TorchtitanFlavour {
      TorchtitanFlavour(
        model: named(size, of: family), sequencesPerStep: sequences, sequenceLength: length, tensorDegree: tensor,
        recompute: recompute, products: products)
    }
    func deepSeek(
      _ size: String, experts: Int, _ dispatcher: TorchtitanDispatcher = .standard, products: TorchtitanProducts? = nil
    ) -> TorchtitanFlavour {
      TorchtitanFlavour(
        model: named(size, of: TorchtitanModel.Family.deepSeekV3.rawValue), sequencesPerStep: 4, sequenceLength: 4_096,
        expertDegree: experts, dispatcher: dispatcher, schedule: "Interleaved1F1B", products: products)
    }
    return switch name {
    case "llama3_8b": flavour("llama3", "8B", sequences: 1, length: 8_192, recompute: "selective")
    case "llama3_8b_mxfp8":
      flavour("llama3", "8B", sequences: 1, length: 8_192, recompute: "selective", products: .mxfp8)
    case "llama3_70b": flavour("llama3", "70B", sequences: 8, length: 8_192, tensor: 8, recompute: "full")
    case "llama3_405b":
      flavour("llama3", "405B", sequences: 2, length: 8_192, tensor: 8, recompute: "full", products: .float8)
    case "qwen3_0_6b": flavour("qwen3", "0.6B", sequences: 4, length: 4_096, recompute: "selective")
    case "qwen3_1_7b": flavour("qwen3", "1.7B", sequences: 4, length: 4_096, recompute: "selective")
    case "qwen3_14b": flavour("qwen3", "14B", sequences: 4, length: 4_096, recompute: "full")
    case "qwen3_32b": flavour("qwen3", "32B", sequences: 2, length: 4_096, recompute: "full")
    case "qwen3_30b_a3b": flavour("qwen3", "30B-A3B", sequences: 2, length: 4_096, recompute: "full")
    case "deepseek_v3_16b": deepSeek("16B", experts: 8)
    case "deepseek_v3_16b_hybridep": deepSeek("16B", experts: 8, .hybridEP)
    case "deepseek_v3_671b": deepSeek("671B", experts: 2)
    case "deepseek_v3_671b_float8": deepSeek("671B", experts: 2, products: .float8)
    default: nil
    }
  }

  private struct Shape {
    let layers, hidden, heads, headSize, feedForward: Int
    var isTied = false

    init(_ layers: Int, _ hidden: Int, _ heads: Int, _ headSize: Int, _ feedForward: Int, isTied: Bool = false) {
      self.layers = layers
      self.hidden = hidden
      self.heads = heads
      self.headSize = headSize
      self.feedForward = feedForward
      self.isTied = isTied
    }

    func description(name: String, family: String) -> ModelDescription? {
      let isQwen = family == "qwen3"
      return try? ModelDescription(
        name: name, family: .llama, layerCount: layers, hiddenSize: hidden, headCount: heads, keyValueHeadCount: 8,
        headSize: headSize, feedForwardSize: feedForward, vocabularySize: isQwen ? 151_936 : 128_256,
        hasGatedFeedForward: true, hasTiedEmbeddings: isTied, hasQueryKeyNorm: isQwen,
        details: ModelDescription.Details(
          activation: .silu, normEpsilon: isQwen ? 1e-6 : 1e-5, rotaryBase: isQwen ? 1_000_000 : 500_000,
          rotaryScaling: isQwen
            ? nil
            : ModelDescription.RotaryScaling(
              .llama3, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositionCount: 8_192)))
    }
  }

  /// Layers, width, heads, width of a head and of the feed-forward part; all have eight key-value heads.
  private static let shapes: [String: Shape] = [
    "llama3 1B": Shape(16, 2_048, 32, 64, 8_192, isTied: true),
    "llama3 3B": Shape(28, 3_072, 24, 128, 8_192, isTied: true),
    "llama3 8B": Shape(32, 4_096, 32, 128, 14_336), "llama3 70B": Shape(80, 8_192, 64, 128, 28_672),
    "llama3 405B": Shape(126, 16_384, 128, 128, 53_248),
    "qwen3 0.6B": Shape(28, 1_024, 16, 128, 3_072, isTied: true),
    "qwen3 1.7B": Shape(28, 2_048, 16, 128, 6_144, isTied: true),
    "qwen3 4B": Shape(36, 2_560, 32, 128, 9_728, isTied: true), "qwen3 8B": Shape(36, 4_096, 32, 128, 12_288),
    "qwen3 14B": Shape(40, 5_120, 40, 128, 17_408), "qwen3 32B": Shape(64, 5_120, 64, 128, 25_600),
  ]
}
