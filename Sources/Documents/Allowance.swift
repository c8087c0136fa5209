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
    /// Workers that train apart between outer steps, see ``OuterStep``: another optimisation, which is told less often what
    /// the others have found.
    case outer = "co2"
  }

  /// The largest relative error of a quantised tensor that is accepted, see ``QuantisationError``; nil when collectives
  /// are not to be quantised.
  package var quantisationTolerance: Double? { quantises ? tolerance : nil }
  private let quantises: Bool
  /// Whether weights may move by losses alone, see ``ZerothOrder``.
  package let admitsZerothOrder: Bool
  /// Iterations from one outer step of workers to the next, of which a plan may choose; nil allows no workers.
  package let outerPeriods: ClosedRange<Int>?
  /// The largest relative error of a mean of workers that is accepted, see ``OuterStep/Format/relativeError``; nil when
  /// nothing is to be rounded between workers.
  package var outerTolerance: Double? { outerPeriods == nil ? nil : tolerance }
  /// What is accepted of whatever is rounded.
  private let tolerance: Double?

  /// Nothing that changes values.
  package static let exact = Allowance(quantisationTolerance: nil)

  /// - Parameters:
  ///   - quantisationTolerance: a relative error, no unit; nil allows no quantised collectives.
  ///   - zerothOrder: whether weights may move by losses alone.
  ///   - outerPeriods: iterations from one outer step of workers to the next; nil allows no workers.
  ///   - outerTolerance: a relative error; nil is that of quantisation, if there is one.
  package init(
    quantisationTolerance: Double?, zerothOrder: Bool = false, outerPeriods: ClosedRange<Int>? = nil,
    outerTolerance: Double? = nil
  ) {
    quantises = quantisationTolerance != nil
    tolerance = quantisationTolerance ?? (outerPeriods == nil ? nil : outerTolerance)
    admitsZerothOrder = zerothOrder
    self.outerPeriods = outerPeriods
  }

  /// What is allowed, in a fixed order.
  package var methods: [Method] {
    (quantisationTolerance == nil ? [] : [.zeroPlusPlus]) + (admitsZerothOrder ? [.zerothOrder] : [])
      + (outerPeriods == nil ? [] : [.outer])
  }

  /// Whether a strategy changes no values, or those only that may be changed, by as little as is accepted.
  ///
  /// - Parameter devicesPerNode: of the cluster that the strategy runs on.
  package func permits(_ strategy: Strategy, devicesPerNode: Int) -> Bool {
    switch strategy.update {
    case .firstOrder: break
    case .zerothOrder: guard admitsZerothOrder else { return false }
    case .outer:
      guard let outerPeriods, outerPeriods.contains(strategy.outer.period),
        strategy.outer.format.relativeError <= outerTolerance ?? 0
      else { return false }
    }
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
    quantises = stated.contains(.zeroPlusPlus)
    let isOuter = stated.contains(.outer)
    outerPeriods =
      isOuter
      ? try Self.periods(fields.required("outer_periods"))
      : try fields.optional("outer_periods").map { (field) throws(DocumentError) in
        throw field.conflict("outer_periods are for co2, which is not listed")
      }
    if quantises {
      tolerance = try fields.required("tolerance").fraction()
    } else if isOuter {
      tolerance = try fields.optional("tolerance")?.fraction()
    } else {
      tolerance = try fields.optional("tolerance").map { (field) throws(DocumentError) in
        throw field.conflict("a tolerance is for zero++ and co2, which are not listed")
      }
    }
    guard stated == methods else {
      throw methodsField.conflict(
        "each method is listed once, in the order \(Method.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    try fields.finish()
  }

  /// The least and the largest of them.
  private static func periods(_ field: Field) throws(DocumentError) -> ClosedRange<Int> {
    var ends: [Int] = []
    for entry in try field.array(count: 2...2) { ends.append(try entry.integer(in: OuterStep.Bounds.period)) }
    guard ends[0] <= ends[1] else { throw field.error(expected: "the least period, then the largest") }
    return ends[0]...ends[1]
  }

  /// What is allowed; nil when nothing is.
  var json: JSON? {
    methods.isEmpty
      ? nil
      : object(
        ("methods", .strings(methods.map(\.rawValue))), ("tolerance", tolerance.map(JSON.number)),
        ("outer_periods", outerPeriods.map { .integers([$0.lowerBound, $0.upperBound]) }))
  }
}
