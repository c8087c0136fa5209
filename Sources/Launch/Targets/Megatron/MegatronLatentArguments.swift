import Documents

/// Latent attention in the words of Megatron-LM's command line (`MLATransformerConfig` and
/// `core/transformer/multi_latent_attention.py`, d98e8a64).
extension MegatronModelArguments {
  /// Widths of its vectors; empty for a model without.
  ///
  /// The norms of its narrow vectors are those that `--qk-layernorm` asks for.
  var latentAttention: [String] {
    guard let latent = model.latent else { return [] }
    return ["--multi-latent-attention"] + (latent.queryRank.map { ["--q-lora-rank", "\($0)"] } ?? [])
      + [
        "--kv-lora-rank", "\(latent.keyValueRank)", "--qk-head-dim", "\(latent.plainSize)",
        "--qk-pos-emb-head-dim", "\(latent.rotarySize)", "--v-head-dim", "\(latent.valueSize)", "--qk-layernorm",
      ]
  }

  /// Latent attention makes its rotations itself: by YaRN with betas of 32 and 1 from 4,096 positions on, which no flag
  /// changes, or plainly, when no kernel fuses them.
  var latentRotations: [String] {
    guard let scaling = model.details.rotaryScaling, let factor = scaling.factor else {
      return ["--rope-type", "rope", "--no-rope-fusion"]
    }
    let yarn = MegatronYaRN(
      factor: factor, attentionFactor: scaling.attentionFactor, scoreScale: model.details.particulars[.scoreScale],
      headSize: model.headSize)
    return ["--rope-type", "yarn", "--rotary-scaling-factor", "\(factor)"] + yarn.words
  }
}
