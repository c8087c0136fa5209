import JSONText

extension ModelDescription {
  /// Multi-head latent attention (DeepSeek-AI 2024, section 2.1): queries, and keys and values together, are products of
  /// narrow vectors, and a part of each key that alone knows its position is shared by all heads.
  ///
  /// In training every head has keys and values of its own: a model with it has as many key-value heads as heads, and
  /// ``ModelDescription/headSize`` is the width of its queries and keys, both parts together.
  package struct LatentAttention: Sendable, Equatable {
    /// Width r_q of what queries are made of; nil where they are made of the layer's input.
    package let queryRank: Int?
    /// Width r_kv of what keys and values are made of.
    package let keyValueRank: Int
    /// Width n of the part of a head's queries and keys without position.
    package let plainSize: Int
    /// Width r of the part with it.
    package let rotarySize: Int
    /// Width v of a head's values.
    package let valueSize: Int

    package init(queryRank: Int?, keyValueRank: Int, plainSize: Int, rotarySize: Int, valueSize: Int) {
      self.queryRank = queryRank
      self.keyValueRank = keyValueRank
      self.plainSize = plainSize
      self.rotarySize = rotarySize
      self.valueSize = valueSize
    }

    /// Width of a head's queries and keys, n + r.
    package var headSize: Int { plainSize + rotarySize }
  }

  /// Width of a head's values: that of its keys, but under latent attention.
  package var valueHeadSize: Int { latent?.valueSize ?? headSize }

  /// What the attention's output projection has as its input, heads × width of a head's values.
  package var contextSize: Int { headCount * valueHeadSize }
}

// MARK: - In our model document

extension ModelDescription.LatentAttention {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let sizes = ModelDescription.Bounds.headSize
    self.init(
      queryRank: try fields.optional("query_rank")?.integer(in: ModelDescription.Bounds.hidden),
      keyValueRank: try fields.required("kv_rank").integer(in: ModelDescription.Bounds.hidden),
      plainSize: try fields.required("plain_head_dim").integer(in: sizes),
      rotarySize: try fields.required("rotary_head_dim").integer(in: sizes),
      valueSize: try fields.required("value_head_dim").integer(in: sizes))
    try fields.finish()
  }

  var json: JSON {
    object(
      ("query_rank", queryRank.map(JSON.integer)), ("kv_rank", .integer(keyValueRank)),
      ("plain_head_dim", .integer(plainSize)), ("rotary_head_dim", .integer(rotarySize)),
      ("value_head_dim", .integer(valueSize)))
  }
}
