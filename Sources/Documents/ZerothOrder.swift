package import JSONText

/// How zeroth-order training moves weights: along random directions z, by what the losses at θ + εz and θ − εz say of each
/// (MeZO, Malladi et al. 2023, algorithm 1).
///
/// An iteration evaluates 2q losses, two for each of q directions, and no backward pass. With
/// `g_k = (ℓ(θ + εz_k) − ℓ(θ − εz_k)) / 2ε` the step is `θ ← θ − (η / q) · Σ_k g_k · z_k`. Directions are never stored nor
/// sent: a number of each is a function of seed, iteration, direction and its parameter's place in the model.
@usableFromInline package struct ZerothOrder: Sendable, Hashable {
  /// Directions q of an iteration.
  package var directionCount = 1
  /// The step ε from the weights to where losses are evaluated.
  package var epsilon = 1e-3
  /// The learning rate η.
  package var learningRate = 1e-6
  /// What all directions are made from.
  package var seed = 0

  package init(directionCount: Int = 1, epsilon: Double = 1e-3, learningRate: Double = 1e-6, seed: Int = 0) {
    self.directionCount = directionCount
    self.epsilon = epsilon
    self.learningRate = learningRate
    self.seed = seed
  }

  /// One direction; ε and η of the paper's full-parameter runs (Malladi et al. 2023, table 15).
  package static let usual = ZerothOrder()

  /// Losses of an iteration, each the mean over the whole batch.
  package var evaluationCount: Int { 2 * directionCount }

  /// One of the losses of an iteration: where it is evaluated.
  package struct Evaluation: Sendable, Hashable {
    /// Its number, from 0: twice the direction's, plus 1 where the step is backwards.
    package let index: Int

    package init(_ index: Int) { self.index = index }

    /// Which direction, from 0.
    package var direction: Int { index / 2 }
    /// +1 at θ + εz, −1 at θ − εz.
    package var sign: Int { index % 2 == 0 ? 1 : -1 }
  }

  /// What a member of a perturbation group evaluates: the group's losses dealt out in turn, so that of two members one has
  /// all that step forwards and the other all that step backwards.
  ///
  /// - Precondition: the degree divides ``evaluationCount``.
  package func evaluations(ofMember member: Int, among degree: Int) -> [Evaluation] {
    stride(from: member, to: evaluationCount, by: degree).map(Evaluation.init)
  }

  /// The bounds of what a document or a flag may state.
  package enum Bounds {
    package static let directionCount = 1...64
    package static let seed = 0...Int(Int32.max)
    package static let step = 1e-12...1.0
  }
}

/// `{"directions": 1, "epsilon": 0.001, "learning_rate": 1e-06, "seed": 0}`.
extension ZerothOrder {
  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    directionCount = try fields.required("directions").integer(in: Bounds.directionCount)
    epsilon = try fields.required("epsilon").number(in: Bounds.step, expected: "a number from 1e-12 to 1")
    learningRate = try fields.required("learning_rate").number(in: Bounds.step, expected: "a number from 1e-12 to 1")
    seed = try fields.required("seed").integer(in: Bounds.seed)
    try fields.finish()
  }

  package var json: JSON {
    object(
      ("directions", .integer(directionCount)), ("epsilon", .number(epsilon)), ("learning_rate", .number(learningRate)),
      ("seed", .integer(seed)))
  }
}
