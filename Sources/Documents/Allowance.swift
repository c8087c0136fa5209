import JSONText

/// Methods that change values and may be used all the same, and how much change is accepted.
///
/// Without any a search stays among strategies that train what plain data parallelism would.
package struct Allowance: Sendable, Equatable {
  /// Methods that somebody has to allow.
  package enum Method: String, Sendable, CaseIterable {
    /// Quantised collectives between nodes: weights gathered as INT8, gradients exchanged as INT4 (ZeRO++, Wang et al.
    /// 2023).
    case zeroPlusPlus = "zero++"
    /// Training without gradients, see ``ZerothOrder``: another optimisation, whose steps say far less each.
    case zerothOrder = "zeroth-order"
  }

  /// The largest relative error of a quantised tensor that is accepted, see ``QuantisationError``; nil when collectives
  /// are not to be quantised.
  package let quantisationTolerance: Double?
  /// Whether weights may move by losses alone, see ``ZerothOrder``.
  package let admitsZerothOrder: Bool

  /// Nothing that changes values.
  package static let exact = Allowance(quantisationTolerance: nil)

  /// - Parameters:
  ///   - quantisationTolerance: a relative error, no unit; nil allows no quantised collectives.
  ///   - zerothOrder: whether weights may move by losses alone.
  package init(quantisationTolerance: Double?, zerothOrder: Bool = false) {
    self.quantisationTolerance = quantisationTolerance
    admitsZerothOrder = zerothOrder
  }

  /// What is allowed, in a fixed order.
  package var methods: [Method] {
    (quantisationTolerance == nil ? [] : [.zeroPlusPlus]) + (admitsZerothOrder ? [.zerothOrder] : [])
  }

  /// Whether a strategy changes no values, or those only that may be changed, by as little as is accepted.
  ///
  /// - Parameter devicesPerNode: of the cluster that the strategy runs on.
  package func permits(_ strategy: Strategy, devicesPerNode: Int) -> Bool {
    guard strategy.update == .firstOrder || admitsZerothOrder else { return false }
    let error = strategy.quantisationError(devicesPerNode: devicesPerNode)
    guard let tolerance = quantisationTolerance else { return !strategy.sharding.isQuantised }
    return error.weights <= tolerance && error.gradients <= tolerance
  }
}

/// The `allowed` object of a plan.
extension Allowance {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let methodsField = try fields.required("methods")
    var stated: [Method] = []
    for entry in try methodsField.array(count: 1...Method.allCases.count) {
      stated.append(try entry.choice(of: Method.self))
    }
    admitsZerothOrder = stated.contains(.zerothOrder)
    quantisationTolerance =
      stated.contains(.zeroPlusPlus)
      ? try fields.required("tolerance").fraction()
      : try fields.optional("tolerance").map { (field) throws(DocumentError) in
        throw field.conflict("a tolerance is for zero++, which is not listed")
      }
    guard stated == methods else { throw methodsField.conflict("each method is listed once, zero++ first") }
    try fields.finish()
  }

  /// What is allowed; nil when nothing is.
  var json: JSON? {
    methods.isEmpty
      ? nil
      : object(
        ("methods", .strings(methods.map(\.rawValue))), ("tolerance", quantisationTolerance.map(JSON.number)))
  }
}
