import JSONText

extension Plan {
  /// What a search was asked: everything that decides its answer, so that asking again gives the same.
  package struct Question: Sendable, Equatable {
    /// The word for the whole lattice, whatever frameworks offer of it.
    package static let anyFramework = "any"
    /// Share by which the plan may be slower than the fastest, where nobody says.
    package static let usualMargin = 0.01
    /// Of the best that are listed, and of strategies that are completed, where nobody says.
    package static let usualResultCount = 5, usualCompletionLimit = 20_000

    package let cluster: ClusterDescription
    /// What is to be trained, in the precision that was stated: a plan's own may be narrower where that is allowed.
    package let job: TrainingJob
    /// Nodes of the cluster that are used.
    package let nodeCount: Int
    /// The framework that is to run the plan, by the name of its ``Capabilities``; ``anyFramework`` for the whole lattice.
    package let framework: String
    /// The framework of the device profile whose coefficients are used.
    package let coefficientName: String
    /// What was fixed before the search, and so was not searched.
    package let fixed: StrategyPattern
    /// What may change values.
    package let allowance: Allowance
    /// Share by which the plan may be slower than the fastest strategy to be plainer.
    package let margin: Double
    /// Best strategies that were looked for.
    package let resultCount: Int
    /// Strategies that were to be completed at most.
    package let completionLimit: Int

    package init(
      cluster: ClusterDescription, job: TrainingJob, nodeCount: Int? = nil, framework: String = anyFramework,
      coefficientName: String, fixed: StrategyPattern = StrategyPattern(), allowance: Allowance = .exact,
      margin: Double = 0, resultCount: Int = usualResultCount, completionLimit: Int = usualCompletionLimit
    ) {
      self.cluster = cluster
      self.job = job
      self.nodeCount = nodeCount ?? cluster.nodeCount
      self.framework = framework
      self.coefficientName = coefficientName
      self.fixed = fixed
      self.allowance = allowance
      self.margin = margin
      self.resultCount = resultCount
      self.completionLimit = completionLimit
    }

    /// Why a plan may not multiply in a precision; nil if it may, see
    /// ``Allowance/exclusion(of:job:devices:capabilities:)``.
    package func exclusion(of precision: Precision) -> String? {
      allowance.exclusion(of: precision, job: job, devices: cluster.devices, capabilities: capabilities)
    }

    /// What the framework offers; nil for ``anyFramework``.
    package var capabilities: Capabilities? { Capabilities.named(framework) }

    /// Whether the device profile has no coefficients of the framework itself, and a kin's are used.
    package var usesKin: Bool { framework != Self.anyFramework && framework != coefficientName }
  }
}

extension Plan {
  /// The frameworks that can be told all of the plan.
  package var runnableFrameworks: [Capabilities] {
    Capabilities.running(strategy, split: split, job: job)
  }
}

/// The `question` of a plan document, beside the `job` and the `cluster`.
extension Plan.Question {
  /// The range of ``margin``.
  package static let margins = 0.0...0.5

  init(_ field: Field, job: TrainingJob, cluster: ClusterDescription) throws(DocumentError) {
    var fields = try field.fields()
    let frameworkField = try fields.required("framework")
    let framework = try frameworkField.name()
    let names = Capabilities.all.map(\.name) + [Self.anyFramework]
    guard names.contains(framework) else {
      throw frameworkField.error(expected: "one of \(names.joined(separator: ", "))")
    }
    _ = try fields.optional("framework_version")?.name()
    let coefficientField = try fields.required("coefficients")
    let allowedField = fields.optional("allowed")
    let allowance = try allowedField.map { (field) throws(DocumentError) in try Allowance(field) } ?? .exact
    if let allowedField, let reason = allowance.contradiction(job.precision) { throw allowedField.conflict(reason) }
    let margin = try fields.required("margin").number(in: Self.margins, expected: "a number from 0 to 0.5")
    try self.init(
      cluster: cluster, job: job, nodeCount: fields.required("nodes").integer(in: 1...cluster.nodeCount),
      framework: framework, coefficientName: Self.coefficientName(coefficientField, cluster: cluster),
      fixed: StrategyPattern(fields.required("fixed")), allowance: allowance, margin: margin,
      resultCount: fields.required("results").integer(in: 1...100),
      completionLimit: fields.required("completion_limit").integer(in: 1...1_000_000_000))
    if let version = fields.optional("framework_version"), try version.string() != capabilities?.version {
      throw version.error(expected: capabilities.map { "\"\($0.version)\", the version that is known" } ?? "none")
    }
    try fields.finish()
  }

  /// The exact name of a framework of the cluster's devices.
  static func coefficientName(_ field: Field, cluster: ClusterDescription) throws(DocumentError) -> String {
    let name = try field.name()
    guard cluster.devices.allSatisfy({ device in device.frameworks.contains { $0.name == name } }) else {
      throw field.error(expected: "a framework of the device profile")
    }
    return name
  }

  /// The `precision` of a plan or of an alternative: stated where it may be chosen, and nowhere else.
  func chosenPrecision(_ fields: inout Fields) throws(DocumentError) -> Precision? {
    guard allowance.narrowsProducts else {
      if let field = fields.optional("precision") {
        throw field.conflict("it is the job's own: low-precision is not allowed")
      }
      return nil
    }
    guard let field = fields.optional("precision") else {
      throw fields.whole.conflict("low-precision is allowed, but precision is missing")
    }
    let precision = try field.choice(of: Precision.self)
    if let reason = exclusion(of: precision) {
      throw field.conflict("\(precision.rawValue) cannot be chosen: \(reason)")
    }
    return precision
  }

  var json: JSON {
    object(
      ("framework", .string(framework)), ("framework_version", capabilities.map { .string($0.version) }),
      ("coefficients", .string(coefficientName)), ("fixed", fixed.json), ("allowed", allowance.json),
      ("margin", .number(margin)), ("nodes", .integer(nodeCount)), ("results", .integer(resultCount)),
      ("completion_limit", .integer(completionLimit)))
  }
}
