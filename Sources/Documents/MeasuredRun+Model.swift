extension ModelDescription {
  /// The model of a run record, which has words of its own for experts and for kinds of attention.
  init(ofRun fields: inout Fields, sequenceLength: Int) throws(DocumentError) {
    let layerCount = try fields.required("layers").integer(in: Bounds.layers)
    let experts = try fields.optional("moe").map { (field) throws(DocumentError) in
      try Experts(ofRun: field, layerCount: layerCount)
    }
    var latent: LatentAttention?
    var window: Int?, hasSinks = false, fullLayers: [Int] = []
    if let field = fields.optional("attention") {
      var attention = try field.fields()
      window = try attention.optional("window")?.integer(in: Details.Bounds.positions)
      hasSinks = try attention.optional("sinks")?.boolean() ?? false
      if let field = attention.optional("full_attention_layers") {
        fullLayers = try field.array(count: 0...layerCount).map { (layer) throws(DocumentError) in
          try layer.integer(in: 0...layerCount - 1)
        }
      } else if hasSinks {
        // GPT-OSS, whose heads have the sinks, has windows in every second layer, from the first on.
        fullLayers = Array(stride(from: 1, to: layerCount, by: 2))
      }
      if let kind = attention.optional("type") ?? attention.optional("kind") {
        switch try kind.string().lowercased() {
        case "mla", "latent": latent = try LatentAttention(ofRun: &attention)
        case "mha", "gqa", "mqa", "grouped", "full": break
        default: throw kind.error(expected: "a kind of attention that is known (MHA, GQA, MQA, MLA)")
        }
      }
    }
    var form: Form?
    if hasSinks {
      form = Form(of: .llama, positionCount: 0)
      form?.hasSinks = true
    }
    try self.init(
      shapesIn: &fields, name: fields.required("name").name(), sequenceLength: sequenceLength, latent: latent,
      experts: experts, form: form, details: Details(attentionWindow: window, fullAttentionLayers: fullLayers.sorted()))
  }
}

extension ModelDescription.Experts {
  /// `{"experts": 256, "topk": 8, "expertFfn": 2048, "sharedExperts": 1, "denseLayers": 3}`, the first layers dense.
  fileprivate init(ofRun field: Field, layerCount: Int) throws(DocumentError) {
    var fields = try field.fields()
    self.init(
      count: try fields.required("experts").integer(in: Bounds.experts),
      perToken: try fields.required("topk").integer(in: Bounds.experts),
      feedForwardSize: try fields.required("expertFfn").integer(in: ModelDescription.Bounds.feedForward))
    let shared = try fields.optional("sharedExperts")?.integer(in: 0...1_024) ?? 0
    sharedFeedForwardSize = shared * feedForwardSize
    denseLayers = Array(0..<(try fields.optional("denseLayers")?.integer(in: 0...layerCount) ?? 0))
  }
}

extension ModelDescription.LatentAttention {
  fileprivate init(ofRun fields: inout Fields) throws(DocumentError) {
    let sizes = ModelDescription.Bounds.headSize
    self.init(
      queryRank: try fields.optional("qLoraRank")?.integer(in: ModelDescription.Bounds.hidden),
      keyValueRank: try fields.required("kvLoraRank").integer(in: ModelDescription.Bounds.hidden),
      plainSize: try fields.required("qkNopeHeadDim").integer(in: sizes),
      rotarySize: try fields.required("qkRopeHeadDim").integer(in: sizes),
      valueSize: try fields.required("vHeadDim").integer(in: sizes))
  }
}
