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
  }

  /// The largest relative error of a quantised tensor that is accepted, see ``QuantisationError``; nil when collectives
  /// are not to be quantised.
  package let quantisationTolerance: Double?

  /// Nothing that changes values.
  package static let exact = Allowance(quantisationTolerance: nil)

  /// - Parameter quantisationTolerance: a relative error, no unit; nil allows no quantised collectives.
  package init(quantisationTolerance: Double?) { self.quantisationTolerance = quantisationTolerance }

  /// What is allowed, in a fixed order.
  package var methods: [Method] { quantisationTolerance == nil ? [] : [.zeroPlusPlus] }

  /// Whether a strategy changes no values, or those only that may be changed, by as little as is accepted.
  ///
  /// - Parameter devicesPerNode: of the cluster that the strategy runs on.
  package func permits(_ strategy: Strategy, devicesPerNode: Int) -> Bool {
    let error = strategy.quantisationError(devicesPerNode: devicesPerNode)
    guard let tolerance = quantisationTolerance else { return !strategy.sharding.isQuantised }
    return error.weights <= tolerance && error.gradients <= tolerance
  }
}

/// The `allowed` object of a plan.
extension Allowance {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let methods = try fields.required("methods")
    for entry in try methods.array(count: 1...1) { _ = try entry.choice(of: Method.self) }
    quantisationTolerance = try fields.required("tolerance").fraction()
    try fields.finish()
  }

  /// What is allowed; nil when nothing is.
  var json: JSON? {
    quantisationTolerance.map {
      object(("methods", .strings(methods.map(\.rawValue))), ("tolerance", .number($0)))
    }
  }
}
