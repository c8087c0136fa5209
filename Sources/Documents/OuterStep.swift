package import JSONText

/// How workers that train apart from each other come together: what a strategy says of the outer steps of CO2 (Sun et al.
/// 2024) and of DiLoCo (Douillard et al. 2023).
///
/// A *round* is τ iterations of every worker on its own and one outer step of all. With x the *anchor*, the weights from
/// which all workers begin a round, a worker has moved by `Δ = x − w` at its end. The outer step moves the anchor along the
/// mean of the Δ of all workers, which an all-reduce among them brings about: see ``OuterOptimizer``.
///
/// Without staleness that is the mean of this round, and everybody waits for it. With a staleness of one round it is the
/// mean of the round before, whose all-reduce is in flight while this round is trained: what a round has found out enters
/// one round later, and nobody waits as long as the all-reduce takes no longer than a round.
package struct OuterStep: Sendable, Hashable {
  /// How numbers of Δ travel between workers.
  package enum Format: String, Sendable, CaseIterable, StrategyValue {
    /// As they are: one all-reduce.
    case fp32
    /// Rounded to 16 bits by their worker, summed exactly, and the mean rounded once more.
    case bf16
    /// The same with codes of 8 bits and a step for each group of them, see ``Quantisation/weights``.
    case int8

    /// Whether it changes what is sent.
    package var isRounded: Bool { self != .fp32 }

    /// Bytes of a number on the wire, without the steps of groups.
    package var byteCount: Int {
      switch self {
      case .fp32: 4
      case .bf16: 2
      case .int8: 1
      }
    }

    /// The codes by which it is sent; nil where numbers are sent themselves.
    package var quantisation: Quantisation? { self == .int8 ? .weights : nil }

    /// The relative L2 error that it leaves in a mean, of normally distributed numbers: a rounding by each worker, and one
    /// of the mean.
    ///
    /// Of a number m · 2ᵏ with 1 ≤ m < 2, bf16 keeps 7 bits after the point, so that it is off by up to 2⁻⁸, evenly; over
    /// m as 1/m is spread that is `2⁻⁷ / √12 / √(3 / (2 ln 2))`.
    package var relativeError: Double {
      switch self {
      case .fp32: 0
      case .bf16: 2.0.squareRoot() * 0.001_533
      case .int8: 2.0.squareRoot() * QuantisationError.weights
      }
    }
  }

  /// Iterations τ of a round.
  package var period: Int {
    get { Int(storedPeriod) }
    set { storedPeriod = Int32(newValue) }
  }
  /// Rounds by which the mean is late: 0 or 1.
  package var staleness: Int {
    get { isLate ? 1 : 0 }
    set { isLate = newValue > 0 }
  }
  // Strategies are copied by the ten thousand.
  private var storedPeriod: Int32 = 1
  private var isLate = false
  /// How Δ travels.
  package var format = Format.fp32
  /// Whether anchor, momentum and what is in flight lie in the hosts' memory.
  package var isHosted = false

  package init(period: Int = 1, staleness: Int = 0, format: Format = .fp32, isHosted: Bool = false) {
    self.period = period
    self.staleness = staleness
    self.format = format
    self.isHosted = isHosted
  }

  /// What is kept of a number that a rank updates, bytes: the anchor in fp32, the momentum where there is one, and what is in
  /// flight from round to round, as it travels.
  package func byteCount(_ optimizer: OuterOptimizer) -> Int {
    4 + (optimizer.hasMomentum ? 4 : 0) + (staleness > 0 ? format.byteCount : 0)
  }

  /// The bounds of what a document or a flag may state.
  package enum Bounds {
    package static let period = 1...1_000_000
    package static let staleness = 0...1
  }
}

/// The outer step itself: `m ← clip(β·m + Δ̄/Λ, ±φ)` element by element, `x ← x − α·m`, with Δ̄ the mean of all workers' Δ
/// (CO2, Sun et al. 2024, algorithm 1). With β = 0 it is SGD (Local SGD where α = 1), with Λ = 1 and no clip SlowMo (Wang et
/// al. 2020).
@usableFromInline package struct OuterOptimizer: Sendable, Hashable {
  /// The divisor Λ of Δ̄, by which late news counts for less.
  package enum Penalty: Sendable, Hashable {
    /// A number, at least 1.
    case constant(Double)
    /// `1 + c · ‖x_t − x_{t−1}‖ / max_{s ≤ t} ‖x_s − x_{s−1}‖`: the further anchors move from round to round, as against
    /// the furthest that they ever did.
    case gapAware(Double)

    /// Names of the policies.
    package static let names = ["constant", "gap-aware"]
    package var name: String {
      switch self {
      case .constant: Self.names[0]
      case .gapAware: Self.names[1]
      }
    }
    /// Λ, or c.
    package var scale: Double {
      switch self {
      case .constant(let scale), .gapAware(let scale): scale
      }
    }

    /// - Parameters:
    ///   - name: one of ``names``; anything else is the first.
    ///   - scale: Λ, or c.
    package init(name: String, scale: Double) {
      self = name == Self.names[1] ? .gapAware(scale) : .constant(scale)
    }
  }

  /// β.
  package var momentum = 0.5
  /// α.
  package var learningRate = 1.0
  /// φ; nil does not clip.
  package var clip: Double?
  package var penalty = Penalty.constant(1)

  package init(
    momentum: Double = 0.5, learningRate: Double = 1, clip: Double? = nil, penalty: Penalty = .constant(1)
  ) {
    self.momentum = momentum
    self.learningRate = learningRate
    self.clip = clip
    self.penalty = penalty
  }

  /// β and α as CO2's authors set them by default, neither clip nor penalty.
  package static let usual = OuterOptimizer()

  /// The bounds of what a document or a flag may state.
  package enum Bounds {
    package static let momentum = 0.0...0.999_999
    package static let positive = 1e-9...1e9
    /// Of Λ, and of c.
    package static func scale(_ policy: String) -> ClosedRange<Double> {
      policy == Penalty.names[0] ? 1...1e9 : 0...1e9
    }
  }

  /// Whether outer steps keep a momentum.
  package var hasMomentum: Bool { momentum > 0 }
}

/// `{"momentum": 0.5, "learning_rate": 1, "clip": null, "penalty": "constant", "penalty_scale": 1}`.
extension OuterOptimizer {
  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    momentum = try fields.required("momentum").number(in: Bounds.momentum, expected: "a number from 0 to below 1")
    learningRate = try fields.required("learning_rate").number(in: Bounds.positive, expected: "a number above 0")
    clip = try fields.optional("clip").map { (field) throws(DocumentError) in
      try field.number(in: Bounds.positive, expected: "a number above 0")
    }
    let policyField = try fields.required("penalty")
    let policy = Penalty.names[try policyField.place(among: Penalty.names.map { .string($0) })]
    let scale = try fields.required("penalty_scale").number(
      in: Bounds.scale(policy), expected: policy == Penalty.names[0] ? "a number from 1" : "a number from 0")
    penalty = Penalty(name: policy, scale: scale)
    try fields.finish()
  }

  package var json: JSON {
    object(
      ("momentum", .number(momentum)), ("learning_rate", .number(learningRate)), ("clip", clip.map(JSON.number)),
      ("penalty", .string(penalty.name)), ("penalty_scale", .number(penalty.scale)))
  }
}
