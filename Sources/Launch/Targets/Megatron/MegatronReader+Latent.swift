import Documents

/// Latent attention, and its rotary positions.
extension MegatronReader {
  /// Widths of latent attention; nil for attention of another kind.
  func latentAttention() throws(DocumentError) -> ModelDescription.LatentAttention? {
    guard let field = flags["--multi-latent-attention"] else { return nil }
    if let groups = flags["--group-query-attention"] {
      throw groups.conflict("latent attention has no groups of queries")
    }
    guard flags.has("--qk-layernorm") else {
      throw field.conflict("latent attention whose narrow vectors are not normed (--qk-layernorm) is not supported yet")
    }
    let sizes = 1...4_096, ranks = 1...131_072
    return ModelDescription.LatentAttention(
      queryRank: try flags.integer("--q-lora-rank", in: ranks),
      keyValueRank: try flags.integer("--kv-lora-rank", in: ranks) ?? 32,
      plainSize: try flags.integer("--qk-head-dim", in: sizes) ?? 128,
      rotarySize: try flags.integer("--qk-pos-emb-head-dim", in: sizes) ?? 64,
      valueSize: try flags.integer("--v-head-dim", in: sizes) ?? 128)
  }

  /// How rotations of latent attention are scaled, and its scores: by YaRN unless `--rope-type` says otherwise, whose factor
  /// is 1 unless it is stated.
  func addLatentRotations(
    to details: inout ModelDescription.Details, of latent: ModelDescription.LatentAttention
  ) throws(DocumentError) {
    guard try flags.word("--rope-type", of: ["rope", "yarn"]) != "rope" else { return }
    let factor = try flags.number("--rotary-scaling-factor", in: 1e-24...1e24) ?? 1
    guard factor > 1 else { return }
    let yarn = try yarn()
    details.rotaryScaling = ModelDescription.RotaryScaling(
      .yarn, factor: factor, originalPositionCount: 4_096, fastBeta: 32, slowBeta: 1,
      attentionFactor: yarn.attentionFactor(factor: factor))
    details.particulars[.scoreScale] = yarn.scoreScale(factor: factor, headSize: latent.headSize)
  }

  /// What YaRN multiplies by.
  func yarn() throws(DocumentError) -> MegatronYaRN {
    let range = 0...1e24
    return MegatronYaRN(
      mscale: try flags.number("--mscale", in: range) ?? 1,
      mscaleOfAll: try flags.number("--mscale-all-dim", in: range) ?? 0)
  }
}
