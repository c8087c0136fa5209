package import JSONText

/// How weights are updated, and in which formats the states of that are kept between steps.
@usableFromInline package struct Optimizer: Sendable, Hashable {
  /// The rule of an update, by what it keeps.
  package enum Rule: String, Sendable, CaseIterable {
    /// Adam and AdamW: two moments (Kingma and Ba 2015).
    case adam
    /// Gradient descent without momentum: nothing but the weight.
    case sgd
    /// Gradient descent with momentum, and Lion: one moment.
    case momentum = "sgd-momentum"
    /// Adafactor without a first moment: of a matrix's second moment its rows' and its columns' means (Shazeer and Stern
    /// 2018, algorithm 4).
    case adafactor
    /// Muon (Jordan et al. 2024): one moment of the layers' matrices, whose step is made orthogonal; Adam for everything
    /// else.
    case muon
  }

  /// The format of moments.
  package enum Moments: String, Sendable, CaseIterable {
    case fp32, bf16
    /// 8-bit codes with an fp32 scale for every block of 256 (Dettmers et al. 2022, section 2; the block is that of
    /// bitsandbytes since 0.45).
    case int8 = "8-bit"

    /// Elements that share a scale.
    package static let blockSize = 256

    /// Bytes of a number of elements.
    package func byteCount(elementCount: Int) -> Int {
      switch self {
      case .fp32: 4 * elementCount
      case .bf16: 2 * elementCount
      case .int8: elementCount + (elementCount + Self.blockSize - 1) / Self.blockSize * 4
      }
    }
  }

  /// The exact weights that are updated where those that compute have 16 bits.
  package enum MasterWeights: String, Sendable, CaseIterable {
    case fp32
    /// The 16 bits of an fp32 weight that its bf16 copy has not (Transformer Engine's `store_param_remainders`).
    case remainders
    /// None: the 16-bit weights are updated themselves.
    case none

    /// Bytes of one.
    package var byteCount: Int {
      switch self {
      case .fp32: 4
      case .remainders: 2
      case .none: 0
      }
    }
  }

  package var rule = Rule.adam
  package var moments = Moments.fp32
  /// Under fp32 there are none whatever this says.
  package var masterWeights = MasterWeights.fp32
  /// Whether states may leave for the host's memory between steps, page by page, where the device has no room for them.
  package var isPaged = false

  package init(
    _ rule: Rule = .adam, moments: Moments = .fp32, masterWeights: MasterWeights = .fp32, isPaged: Bool = false
  ) {
    self.rule = rule
    self.moments = moments
    self.masterWeights = masterWeights
    self.isPaged = isPaged
  }

  /// Moments of fp32 and, under 16 bits, master weights of fp32: what frameworks do unless told otherwise.
  package static let adam = Optimizer()

  /// Bytes of master weights per parameter.
  package func masterByteCount(_ precision: Precision) -> Int {
    precision.hasMasterWeights ? masterWeights.byteCount : 0
  }

  /// Elements of moments of a number of parameters.
  ///
  /// - Parameters:
  ///   - matrixCount: those of them that are entries of layers' matrices.
  ///   - factorCount: rows and columns of all matrices among them, embeddings and heads too.
  package func momentCount(parameterCount: Int, matrixCount: Int, factorCount: Int) -> Int {
    switch rule {
    case .adam: 2 * parameterCount
    case .sgd: 0
    case .momentum: parameterCount
    case .adafactor: factorCount
    case .muon: 2 * parameterCount - matrixCount
    }
  }

  /// Bytes of all states of a parameter where every parameter has the same, and its moments no scales that several share.
  package func byteCountPerParameter(_ precision: Precision) -> Int {
    masterByteCount(precision)
      + moments.byteCount(elementCount: momentCount(parameterCount: 1, matrixCount: 0, factorCount: 0))
  }

  /// Whether every parameter has as many bytes of states, of a matrix or not.
  package var hasUniformStates: Bool { rule != .adafactor && rule != .muon && moments != .int8 }

  /// Why these formats make no sense together; nil if they do.
  package func contradiction(_ precision: Precision) -> String? {
    if masterWeights == .remainders, precision.storage != .bf16 {
      return "remainders of master weights exist beside bf16 weights only, not \(precision.rawValue)"
    }
    if rule == .sgd, moments != .fp32 || isPaged { return "sgd keeps no moments that could have a format or be paged" }
    return nil
  }

  /// In a few words, such as `adam, bf16 moments, no master weights`; `adam` alone says that everything is as usual.
  package var words: String {
    var parts = [rule.rawValue]
    if moments != .fp32 { parts.append("\(moments.rawValue) moments") }
    switch masterWeights {
    case .fp32: break
    case .remainders: parts.append("master weights as remainders")
    case .none: parts.append("no master weights")
    }
    if isPaged { parts.append("paged") }
    return parts.joined(separator: ", ")
  }
}

/// `"adam"`, or `{"rule": "adam", "moments": "8-bit", "master_weights": "none", "paged": true}`, of which only the rule
/// has to be there.
extension Optimizer {
  package init(_ field: Field, precision: Precision) throws(DocumentError) {
    if field.isString {
      self.init(try field.choice(of: Rule.self))
      return
    }
    var fields = try field.fields()
    self.init(
      try fields.required("rule").choice(of: Rule.self),
      moments: try fields.optional("moments")?.choice(of: Moments.self) ?? .fp32,
      masterWeights: try fields.optional("master_weights")?.choice(of: MasterWeights.self) ?? .fp32,
      isPaged: try fields.optional("paged")?.boolean() ?? false)
    try fields.finish()
    if let reason = contradiction(precision) { throw field.conflict(reason) }
  }

  package var json: JSON {
    guard self != Optimizer(rule) else { return .string(rule.rawValue) }
    return object(
      ("rule", .string(rule.rawValue)), ("moments", .string(moments.rawValue)),
      ("master_weights", .string(masterWeights.rawValue)), ("paged", .boolean(isPaged)))
  }
}
