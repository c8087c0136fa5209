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
    /// Products in a narrower format than the job's own, see ``ProductFormat``.
    case lowPrecision = "low-precision"
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
  /// The largest relative error of what products multiply that is accepted, see ``Precision/productError``; nil when they
  /// are to be in the job's own precision.
  package var productTolerance: Double? { narrowsProducts ? tolerance : nil }
  /// Whether a plan chooses in which precision it multiplies.
  package let narrowsProducts: Bool
  /// What is accepted of whatever is rounded.
  private let tolerance: Double?

  /// Nothing that changes values.
  package static let exact = Allowance(quantisationTolerance: nil)

  /// - Parameters:
  ///   - quantisationTolerance: a relative error, no unit; nil allows no quantised collectives.
  ///   - zerothOrder: whether weights may move by losses alone.
  ///   - outerPeriods: iterations from one outer step of workers to the next; nil allows no workers.
  ///   - outerTolerance: a relative error; nil is that of what else is rounded, if anything is.
  ///   - productTolerance: a relative error; nil leaves products in the job's own precision. Of several tolerances the
  ///     least holds for all.
  package init(
    quantisationTolerance: Double?, zerothOrder: Bool = false, outerPeriods: ClosedRange<Int>? = nil,
    outerTolerance: Double? = nil, productTolerance: Double? = nil
  ) {
    quantises = quantisationTolerance != nil
    narrowsProducts = productTolerance != nil
    let ofWorkers = outerPeriods == nil ? nil : outerTolerance
    tolerance = [quantisationTolerance, ofWorkers, productTolerance].compactMap { $0 }.min()
    admitsZerothOrder = zerothOrder
    self.outerPeriods = outerPeriods
  }

  /// What is allowed, in a fixed order.
  package var methods: [Method] {
    (quantisationTolerance == nil ? [] : [.zeroPlusPlus]) + (admitsZerothOrder ? [.zerothOrder] : [])
      + (outerPeriods == nil ? [] : [.outer]) + (narrowsProducts ? [.lowPrecision] : [])
  }

  /// Why a plan of a job may not multiply in a precision; nil of the job's own, and of what changes its values by no more
  /// than is accepted, all devices multiply in and the framework can be told.
  ///
  /// - Parameter capabilities: of the framework that is to run the plan; nil for none in particular.
  package func exclusion(
    of precision: Precision, job: TrainingJob, devices: [DeviceProfile], capabilities: Capabilities?
  ) -> String? {
    guard precision != job.precision else { return nil }
    guard let productTolerance else { return "low-precision is not allowed" }
    guard precision.products != nil, job.precision == .bf16 else { return "it is no format of products beside bf16" }
    guard precision.productError <= productTolerance else {
      let error = (precision.productError * 1e4).rounded() / 1e4
      return "its relative error of \(error) is more than the \(productTolerance) that is accepted"
    }
    if let device = devices.first(where: { !$0.multiplies(in: precision) }) {
      return "\(device.title) does not multiply in it by itself"
    }
    do { return try capabilities?.refusal(of: job.with(precision: precision))?.rule } catch { return error.sentence }
  }

  /// Why a job's precision cannot be chosen among; nil if it can, or nobody asks for that.
  package func contradiction(_ own: Precision) -> String? {
    !narrowsProducts || own == .bf16
      ? nil
      : "low-precision chooses among formats of products that are stored in bf16, and the job is in \(own.rawValue)"
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
    narrowsProducts = stated.contains(.lowPrecision)
    let isOuter = stated.contains(.outer)
    outerPeriods =
      isOuter
      ? try Self.periods(fields.required("outer_periods"))
      : try fields.optional("outer_periods").map { (field) throws(DocumentError) in
        throw field.conflict("outer_periods are for co2, which is not listed")
      }
    if quantises || narrowsProducts {
      tolerance = try fields.required("tolerance").fraction()
    } else if isOuter {
      tolerance = try fields.optional("tolerance")?.fraction()
    } else {
      tolerance = try fields.optional("tolerance").map { (field) throws(DocumentError) in
        throw field.conflict("a tolerance is for zero++, co2 and low-precision, which are not listed")
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
