import JSONText

/// Hugging Face `config.json` files, read as they are.
///
/// Each is read by the declaration of its model type (``Architecture``), one of an unknown type by Llama's if it has
/// Llama's fields and none of what costs otherwise. Keys that bear neither on cost nor on the values that a model
/// computes are left unread.
extension ModelDescription {
  init(huggingFace field: Field, fileName: String) throws(DocumentError) {
    var fields = try field.fields()
    let type = try fields.required("model_type")
    let typeName = try type.name()
    let name = try Self.name(in: &fields, fileName: fileName)
    try UnreadKinds.refuse(&fields, type: type)
    if let nested = fields.optional("text_config") {
      try self.init(text: nested, of: &fields, type: typeName, name: name)
    } else {
      try self.init(fields, type: type, name: name, notes: Self.notes(&fields))
    }
  }

  /// The text model of several.
  private init(text nested: Field, of whole: inout Fields, type: String, name: String) throws(DocumentError) {
    var fields = try nested.fields()
    // A configuration that leaves its type out is of the whole's.
    let own = fields.optional("model_type") ?? Field(.string(type), source: nested.source, pointer: nested.pointer)
    try UnreadKinds.refuse(&fields, type: own)
    let ties = fields.states("tie_word_embeddings") ? nil : try whole.optional("tie_word_embeddings")?.boolean()
    let note = "only the text model of \(name) is planned (text_config), and not what else a \(type) is made of"
    try self.init(
      fields, type: own, name: name, tiesEmbeddings: ties, notes: [note] + Self.notes(&whole) + Self.notes(&fields))
  }

  private init(
    _ fields: Fields, type: Field, name: String, tiesEmbeddings: Bool? = nil, notes: [String]
  ) throws(DocumentError) {
    let typeName = try type.name()
    let architecture = Architecture.of(typeName)
    var configuration = Configuration(fields, by: architecture ?? .unknown)
    var notes = notes
    if architecture == nil {
      try UnreadKinds.requireLlamaFields(&configuration.fields, type: type)
      notes.append(
        "the model type \(typeName) is not known: it is read by its fields as Llama's shape, and its parameters may differ"
      )
    }
    do {
      self = try configuration.model(name: name, tiesEmbeddings: tiesEmbeddings, notes: notes)
    } catch let contradiction as Contradiction {
      throw fields.whole.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }

  /// `_name_or_path` where the file has it, else the file's own name, or its folder's.
  private static func name(in fields: inout Fields, fileName: String) throws(DocumentError) -> String {
    if let own = try fields.optional("_name_or_path")?.string(), !own.isEmpty, own.count <= 200 { return own.oneLine }
    // Downloaded configurations are all called config.json; their folder tells them apart.
    let parts = fileName.split(separator: "/").map(String.init).filter { $0 != "." }
    let isPlain = parts.last == "config.json" && parts.count > 1
    let last = isPlain ? parts[parts.count - 2] : parts.last ?? fileName
    return String((last.hasSuffix(".json") ? String(last.dropLast(5)) : last).oneLine.prefix(200))
  }

  /// What a file says of itself that training does not follow.
  private static func notes(_ fields: inout Fields) throws(DocumentError) -> [String] {
    guard let quantised = fields.optional("quantization_config") else { return [] }
    var members = try quantised.fields()
    let method = try members.optional("quant_method")?.string().oneLine.prefix(40)
    return [
      """
      the file is of quantised weights\(method.map { " (\($0))" } ?? ""): training is planned in the job's precision, \
      and not in theirs
      """
    ]
  }
}
