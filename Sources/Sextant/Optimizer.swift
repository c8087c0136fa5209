package import Documents

/// How weights are updated, and in which formats the states of that are kept between steps.
///
/// ```swift
/// let optimizer = Optimizer(.adam, moments: .int8, masterWeights: .none, isPaged: true)
/// ```
public struct Optimizer: Sendable, Hashable {
  /// The rule of an update.
  public enum Rule: String, Sendable, CaseIterable {
    /// Adam and AdamW: two moments.
    case adam
    /// Gradient descent without momentum.
    case sgd
    /// Gradient descent with momentum, and Lion: one moment.
    case momentum = "sgd-momentum"
    /// Adafactor without a first moment: row and column means of the second.
    case adafactor
    /// Muon: one moment of the layers' matrices, Adam for everything else.
    case muon
  }

  /// The format of moments.
  public enum Moments: String, Sendable, CaseIterable {
    case fp32, bf16
    /// 8-bit codes, and an fp32 scale for every 256 of them.
    case int8 = "8-bit"
  }

  /// The exact weights that are updated under 16 bits.
  public enum MasterWeights: String, Sendable, CaseIterable {
    case fp32
    /// The 16 bits that bf16 weights have not.
    case remainders
    /// None: 16-bit weights are updated themselves.
    case none
  }

  /// What is kept, as documents have it.
  package let documents: Documents.Optimizer

  /// - Parameter isPaged: whether states may leave for the host's memory between steps where the device has no room.
  public init(
    _ rule: Rule = .adam, moments: Moments = .fp32, masterWeights: MasterWeights = .fp32, isPaged: Bool = false
  ) {
    documents = Documents.Optimizer(
      rule.documents, moments: moments.documents, masterWeights: masterWeights.documents, isPaged: isPaged)
  }

  package init(_ documents: Documents.Optimizer) { self.documents = documents }
}

extension Optimizer.Rule {
  fileprivate var documents: Documents.Optimizer.Rule {
    switch self {
    case .adam: .adam
    case .sgd: .sgd
    case .momentum: .momentum
    case .adafactor: .adafactor
    case .muon: .muon
    }
  }
}

extension Optimizer.Moments {
  fileprivate var documents: Documents.Optimizer.Moments {
    switch self {
    case .fp32: .fp32
    case .bf16: .bf16
    case .int8: .int8
    }
  }
}

extension Optimizer.MasterWeights {
  fileprivate var documents: Documents.Optimizer.MasterWeights {
    switch self {
    case .fp32: .fp32
    case .remainders: .remainders
    case .none: .none
    }
  }
}
