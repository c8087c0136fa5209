import Foundation
package import JSONText

/// The model document: ours (`sextant.model/1`), or a Hugging Face `config.json` as it is.
extension ModelDescription {
  /// Reads a model document from a file, ours or Hugging Face's (told apart by the `schema` key).
  ///
  /// - Parameter path: of the file, or of a folder with a `config.json`, as checkpoints are downloaded.
  /// - Throws: `DocumentError`.
  package init(contentsOf path: String) throws(DocumentError) {
    let file = Self.isFolder(path) ? (path.hasSuffix("/") ? path : path + "/") + "config.json" : path
    self = try readDocument(at: file) { (field) throws(DocumentError) in try ModelDescription(field, fileName: file) }
  }

  /// Whether a path leads to a folder.
  static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// - Parameter fileName: names a Hugging Face model that does not name itself; its last component without `.json`.
  package init(_ field: Field, fileName: String = "model") throws(DocumentError) {
    var fields = try field.fields()
    guard fields.optional("schema") != nil else {
      try self.init(huggingFace: field, fileName: fileName)
      return
    }
    try fields.schema(.model)
    let name = try fields.required("name").name()
    _ = try fields.optional("source")?.string()
    let form = try Form(&fields), details = try Details(&fields)
    var notes: [String] = []
    for note in try fields.optional("notes")?.array(count: 0...100) ?? [] { notes.append(try note.string()) }
    let latent = try fields.optional("latent_attention").map { (field) throws(DocumentError) in
      try LatentAttention(field)
    }
    let experts = try fields.optional("experts").map { (field) throws(DocumentError) in try Experts(field) }
    try self.init(
      shapesIn: &fields, name: name, sequenceLength: nil, latent: latent, experts: experts, form: form,
      details: details, notes: notes)
    try fields.finish()
  }

  /// The shapes that our model document and a run record share.
  ///
  /// - Parameter sequenceLength: of a run record, which states no position count: learned positions are then as many
  ///   as the sequence is long.
  init(
    shapesIn fields: inout Fields, name: String, sequenceLength: Int?, latent: LatentAttention? = nil,
    experts: Experts? = nil, form: Form? = nil, details: Details = Details(), notes: [String] = []
  ) throws(DocumentError) {
    let familyField = try fields.required("family")
    // Run records call a model with experts one of a family of its own; its blocks are Llama's.
    let family =
      experts != nil && familyField.value == .string("moe") ? .llama : try familyField.choice(of: Family.self)
    let learned = try fields.optional("positions")?.integer(in: Bounds.positions)
    do {
      try self.init(
        name: name, family: family,
        layerCount: fields.required("layers").integer(in: Bounds.layers),
        hiddenSize: fields.required("hidden").integer(in: Bounds.hidden),
        headCount: fields.required("heads").integer(in: Bounds.heads),
        keyValueHeadCount: fields.optional("kv_heads")?.integer(in: Bounds.heads),
        headSize: fields.optional("head_dim")?.integer(in: Bounds.headSize),
        feedForwardSize: fields.required("ffn_hidden").integer(in: Bounds.feedForward),
        vocabularySize: fields.required("vocab").integer(in: Bounds.vocabulary),
        hasGatedFeedForward: fields.required("gated_mlp").boolean(),
        hasTiedEmbeddings: fields.required("tied_embeddings").boolean(),
        positionCount: learned ?? (family == .llama ? 0 : sequenceLength ?? 0),
        hasQueryKeyValueBias: fields.optional("qkv_bias")?.boolean(),
        hasAttentionOutputBias: fields.optional("attention_output_bias")?.boolean(),
        hasFeedForwardBias: fields.optional("ffn_bias")?.boolean(),
        hasQueryKeyNorm: fields.optional("qk_norm")?.boolean() ?? false,
        hasDropout: fields.optional("dropout")?.boolean(), latent: latent, experts: experts,
        predictionDepth: fields.optional("mtp_layers")?.integer(in: Bounds.predictions) ?? 0, form: form,
        details: details, notes: notes)
    } catch let contradiction as Contradiction {
      throw fields.whole.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }

  /// The document of this model, in our format.
  package var json: JSON {
    let shapes = object(
      ("schema", .string(DocumentSchema.model.rawValue)), ("name", .string(name)),
      ("family", .string(family.rawValue)), ("layers", .integer(layerCount)), ("hidden", .integer(hiddenSize)),
      ("heads", .integer(headCount)), ("kv_heads", .integer(keyValueHeadCount)), ("head_dim", .integer(headSize)),
      ("ffn_hidden", .integer(feedForwardSize)), ("vocab", .integer(vocabularySize)),
      ("gated_mlp", .boolean(hasGatedFeedForward)), ("tied_embeddings", .boolean(hasTiedEmbeddings)),
      ("positions", .integer(positionCount)), ("qkv_bias", .boolean(hasQueryKeyValueBias)),
      ("attention_output_bias", .boolean(hasAttentionOutputBias)), ("ffn_bias", .boolean(hasFeedForwardBias)),
      ("qk_norm", .boolean(hasQueryKeyNorm)), ("dropout", .boolean(hasDropout)), ("latent_attention", latent?.json),
      ("experts", experts?.json), ("mtp_layers", predictionDepth > 0 ? .integer(predictionDepth) : nil))
    guard case .object(let members) = shapes else { return shapes }
    let noted = notes.isEmpty ? [] : [JSONMember("notes", .strings(notes))]
    return .object(members + formMembers + details.members + noted)
  }
}
