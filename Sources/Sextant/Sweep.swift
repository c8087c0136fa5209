import Costing
package import Documents
import JSONText

/// Plans of several questions side by side, such as "how many nodes should I take".
///
/// ```swift
/// let planners = try [2, 4, 8, 16].map {
///   try Planner(cluster: .named("dgx-h100-16"), job: job, nodes: $0)
/// }
/// let sweep = try Planner.sweep(planners, pricePerDeviceHour: 2.5)
/// if let cheapest = sweep.cheapest { print(cheapest.nodes, cheapest.costPerBillionTokens ?? 0) }
/// ```
public struct Sweep: Sendable {
  /// What one planner was asked and answered.
  public struct Row: Sendable {
    let document: Documents.Sweep.Row
    let pricePerDeviceHour: Double?
    let tokens: Double?
    /// The plan, or why there is none.
    public let answer: Result<Plan, NoPlan>

    /// Nodes that are used.
    public var nodes: Int { document.nodeCount }
    /// Devices of those nodes.
    public var devices: Int { document.deviceCount }
    /// Sequences of one iteration.
    public var globalBatch: Int { document.globalBatch }
    /// The plan, if there is one.
    public var plan: Plan? { try? answer.get() }
    /// Of all devices together; nil without a plan.
    public var tokensPerSecond: Double? { document.tokensPerSecond }
    /// Of one device; nil without a plan.
    public var tokensPerSecondPerDevice: Double? { document.tokensPerSecondPerDevice }
    /// In the price's currency; nil without a plan or a price.
    public var costPerIteration: Double? {
      pricePerDeviceHour.flatMap { document.costPerIteration(pricePerDeviceHour: $0) }
    }
    /// In the price's currency; nil without a plan or a price.
    public var costPerBillionTokens: Double? {
      pricePerDeviceHour.flatMap { document.cost(ofTokens: 1e9, pricePerDeviceHour: $0) }
    }
    /// Of the whole training; nil without a plan or a number of tokens.
    public var trainingSeconds: Double? { tokens.flatMap { document.seconds(ofTokens: $0) } }
    /// Of the whole training, in the price's currency; nil without a plan, a price or a number of tokens.
    public var trainingCost: Double? {
      guard let tokens, let pricePerDeviceHour else { return nil }
      return document.cost(ofTokens: tokens, pricePerDeviceHour: pricePerDeviceHour)
    }
  }

  package let document: Documents.Sweep
  /// The rows that are done, in the order of the planners.
  public let rows: [Row]

  /// Whether every planner has its row; otherwise the work was stopped.
  public var isComplete: Bool { rows.count == document.askedCount }
  /// The row with the highest throughput of all devices together, the first of equals; nil where no row has a plan.
  public var fastest: Row? { document.fastestIndex.map { rows[$0] } }
  /// The row with the highest throughput of one device, whose tokens cost least whatever the price; the first of
  /// equals, nil where no row has a plan.
  public var cheapest: Row? { document.cheapestIndex.map { rows[$0] } }
  /// The document of the table: equal tables have equal texts.
  public var json: String { document.json.text(style: .pretty) }

  /// Writes the document, all of it or nothing.
  public func write(to path: String) throws(SextantError) { try Sextant.write(json, to: path) }
}

extension Planner {
  /// Asks several planners the same, one after another.
  ///
  /// - Parameters:
  ///   - planners: such as those of one job on different numbers of nodes; each has a row.
  ///   - options: how far each searches. The limit of time is one for all: what is done when it is reached, or when
  ///     `isInterrupted` says so, is the answer.
  ///   - pricePerDeviceHour: in any currency; nil where costs are of no interest.
  ///   - tokens: of the whole training, for its time and cost; nil for neither.
  ///   - progress: told the row, and how many of its strategies are dealt with, of how many.
  /// - Throws: ``SextantError`` when what is fixed is not allowed, or a price or a number of tokens is not above zero.
  public static func sweep(
    _ planners: [Planner], fixing fixed: Strategy? = nil, allowing allowance: Allowance = .exact,
    options: Options = Options(), pricePerDeviceHour: Double? = nil, tokens: Double? = nil,
    isInterrupted: @escaping @Sendable () -> Bool = { false },
    progress: (_ row: Int, _ done: Int, _ total: Int) -> Void = { _, _, _ in }
  ) throws(SextantError) -> Sweep {
    for (label, value) in [("pricePerDeviceHour", pricePerDeviceHour), ("tokens", tokens)] {
      guard let value else { continue }
      guard value > 0, (1e-24...1e24).contains(value) else {
        throw SextantError(.input, location: label, expected: "expected a positive number", found: "\(value)")
      }
    }
    let deadline = options.timeLimitSeconds.map { ContinuousClock.now + .seconds($0) }
    var rows: [Sweep.Row] = []
    for (index, planner) in planners.enumerated() {
      var own = options
      if let deadline {
        let left = (deadline - .now) / .seconds(1)
        guard left > 0 else { break }
        own.timeLimitSeconds = left
      }
      if isInterrupted() { break }
      let answer = try planner.best(
        fixing: fixed, allowing: allowance, options: own, isInterrupted: isInterrupted,
        progress: { progress(index, $0, $1) })
      // A search that was stopped before it had anything is no row: nobody knows why there is no plan.
      if case .failure(let no) = answer, no.isStopped { break }
      rows.append(
        Sweep.Row(
          document: planner.row(of: answer), pricePerDeviceHour: pricePerDeviceHour, tokens: tokens, answer: answer))
    }
    return Sweep(
      document: Documents.Sweep(
        toolVersion: version, rows: rows.map(\.document), askedCount: planners.count,
        pricePerDeviceHour: pricePerDeviceHour, tokenCount: tokens),
      rows: rows)
  }

  private func row(of answer: Result<Plan, NoPlan>) -> Documents.Sweep.Row {
    let outcome: Documents.Sweep.Answer =
      switch answer {
      case .success(let plan): .plan(plan.document)
      case .failure(let no): .none(no.briefly)
      }
    return Documents.Sweep.Row(
      clusterName: model.cluster.name, modelName: model.job.model.name, nodeCount: model.nodeOrder.count,
      deviceCount: model.nodeOrder.count * model.cluster.devicesPerNode, globalBatch: model.job.globalBatch,
      sequenceLength: model.job.sequenceLength, framework: framework.name, answer: outcome)
  }
}

extension NoPlan {
  fileprivate var isStopped: Bool {
    switch reason {
    case .interrupted, .timeLimit: true
    case .noStrategy, .memory: false
    }
  }

  /// Why there is no plan in a few words, as a table's cell holds them.
  fileprivate var briefly: String {
    if let shortage {
      return "does not fit: needs \(Self.gigabytes(shortage.peakBytes)) GB of \(Self.gigabytes(shortage.limitBytes)) GB"
    }
    guard let rule = brokenRules.max(by: { $0.count < $1.count })?.rule else { return "no strategy is possible" }
    return rule
  }

  private static func gigabytes(_ bytes: Int) -> Double { (Double(bytes) / 1e8).rounded() / 10 }
}
