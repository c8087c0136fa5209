package import Costing
package import Documents
import Foundation
import Search

/// Finds the best way to train a model on a cluster, or says what a given way would take.
///
/// ```swift
/// let planner = try Planner(
///   cluster: .named("dgx-a100-16"), job: Job(model: .named("gpt3-175b"), globalBatch: 512))
/// let plan = try planner.best(fixing: Strategy("tensor=8")).get()
/// print(plan.prediction.iterationSeconds, plan.certificate.gap)
/// ```
///
/// Everything is computed in memory, and equal questions have equal answers, whatever the number of threads.
public struct Planner: Sendable {
  /// The version that plans carry.
  public static let version = "0.1.0"

  package let model: CostModel
  /// What is to run the plans, and whose coefficients are used.
  package let framework: FrameworkChoice
  /// What nobody stated, so that a default stands for it.
  public let defaults: [Default]

  /// A part of the question that has a default, by its name in documents.
  public enum Default: String, Sendable, CaseIterable {
    case sequence = "sequence_length"
    case precision
    case gradientPrecision = "gradient_accumulation_precision"
    case framework
  }

  /// Frameworks whose offers are known, and `any`.
  public static var frameworkNames: [String] { FrameworkChoice.names }

  /// - Parameters:
  ///   - framework: what is to run the plans: one of ``frameworkNames``, or a framework of the device profile; nil for
  ///     the profile's first, or for `any` where that does not train the model. `any` is the whole lattice, which no single framework may offer. A framework that the
  ///     profile has no coefficients for is priced with its nearest kin's.
  ///   - nodes: how many of the cluster's nodes to use: the best to leave out where links were measured, else the last.
  /// - Throws: ``SextantError`` for sizes that cannot be, or a device that cannot do what the job asks for.
  public init(cluster: Cluster, job: Job, framework: String? = nil, nodes: Int? = nil) throws(SextantError) {
    let training = try job.training(on: cluster.description)
    let device = cluster.description.device
    guard let choice = FrameworkChoice(named: framework, device: device, job: training) else {
      throw SextantError(
        CostModel.Refusal.noFramework(
          device: device.name, framework: framework ?? "",
          known: FrameworkChoice.names + device.frameworks.map(\.name).filter { !FrameworkChoice.names.contains($0) }))
    }
    self.framework = choice
    defaults = job.defaults + (framework == nil ? [.framework] : [])
    let whole: CostModel
    do {
      whole = try CostModel(
        cluster: cluster.description, job: training, frameworkName: choice.coefficientName)
    } catch { throw SextantError(error) }
    let count = nodes ?? cluster.description.nodeCount
    guard (1...cluster.description.nodeCount).contains(count) else {
      throw SextantError(
        .argument, location: "nodes", expected: "expected 1 to the cluster's \(cluster.description.nodeCount)",
        found: "\(count)")
    }
    model = nodes == nil ? whole : whole.arranged(Array(0..<count))
  }

  /// How far to search.
  public struct Options: Sendable {
    /// How many of the best to list in the plan, at least 1.
    public var resultCount = 5
    /// Strategies to complete at most: a count, so that equal questions have equal answers.
    public var completionLimit = 20_000
    /// Share, 0 to 0.5, by which the plan may be slower than the fastest to be plainer: fewer mechanisms, then lower
    /// degrees. The fastest is then among the alternatives. Nil for 0.01, or for the difference down to which measured runs
    /// of such jobs do not tell strategies apart, where that is known and more.
    public var margin: Double?
    /// Threads that price strategies; nil for as many as there are cores. The plan does not depend on it.
    public var threads: Int?
    /// Stop after this time with the best so far; such a plan says so, and another run may end elsewhere.
    public var timeLimitSeconds: Double?

    /// The best five, on all cores, without a limit of time.
    public init() {}
  }

  /// The margin where nobody says: times that are closer than measured runs of such jobs tell apart are called equal.
  private var usualMargin: Double {
    let resolution = model.cluster.resolution(for: model.runs) ?? 0
    return min(max(Documents.Plan.Question.usualMargin, resolution), Documents.Plan.Question.margins.upperBound)
  }

  /// Searches all strategies that agree with what is fixed, and change values by no more than is allowed.
  ///
  /// - Parameters:
  ///   - isInterrupted: asked often and on any thread; `true` ends the search at once with the best so far.
  ///   - progress: told between strategies how many are dealt with, of how many.
  /// - Returns: the best plan, or why there is none; `get()` throws the latter.
  /// - Throws: ``SextantError`` when what is fixed is not allowed.
  public func best(
    fixing fixed: Strategy? = nil, allowing allowance: Allowance = .exact, options: Options = Options(),
    isInterrupted: @escaping @Sendable () -> Bool = { false },
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(SextantError) -> Result<Plan, NoPlan> {
    if framework.lacksTable {
      throw SextantError(
        .argument, location: "framework",
        expected:
          "expected one of \(Self.frameworkNames.joined(separator: ", ")), of which it is known what they can run",
        found: framework.coefficientName)
    }
    let margin = options.margin ?? usualMargin
    guard Documents.Plan.Question.margins.contains(margin) else {
      throw SextantError(
        .argument, location: "margin", expected: "expected a fraction from 0 to 0.5", found: "\(margin)")
    }
    try allowance.check(model.job.precision)
    let pattern = fixed?.pattern ?? StrategyPattern()
    if let fixed { try allowance.check(pattern, source: fixed.source) }
    let search = PlanSearch(
      model: model, pattern: pattern, allowance: allowance.document, capabilities: framework.capabilities,
      options: PlanSearch.Options(
        resultCount: options.resultCount, completionLimit: options.completionLimit, margin: margin,
        threadCount: options.threads ?? coreCount))
    let deadline = options.timeLimitSeconds.map { ContinuousClock.now + .seconds($0) }
    let found = search.run(
      interruption: {
        if isInterrupted() { return .user }
        return deadline.map { ContinuousClock.now >= $0 } == true ? .timeLimit : nil
      }, progress: progress)
    guard let plan = search.plan(of: found, toolVersion: Self.version) else {
      return .failure(NoPlan(result: found, model: model, framework: search.question.framework))
    }
    return .success(Plan(document: plan))
  }

  /// What one strategy would take, with the split of layers that frameworks use by default.
  ///
  /// - Parameter strategy: what is not stated is 1, none or off, and the data degree whatever remains of the devices.
  /// - Throws: ``SextantError`` with the rule that the strategy breaks and the nearest values that keep it, or what the framework can be told instead.
  public func estimate(_ strategy: Strategy) throws(SextantError) -> Estimate {
    do {
      let estimate = try Costing.Estimate(model: model, pattern: strategy.pattern)
      // No framework runs zeroth-order training: nobody can have meant one. Of workers it runs each.
      guard estimate.strategy.update.hasGradients,
        let refusal = framework.capabilities?.refusal(
          of: estimate.strategy.ofOneWorker, split: estimate.split, job: model.job)
      else { return Estimate(document: estimate) }
      let others = Capabilities.running(estimate.strategy, split: estimate.split, job: model.job).map(\.name)
      throw SextantError(
        .input, source: strategy.source,
        expected: "\(refusal)\(others.isEmpty ? "" : "; \(others.joined(separator: ", ")) can be told all of it")")
    } catch let error as SextantError {
      throw error
    } catch {
      let changes = SmallestChanges.parts(ofStated: strategy.pattern, model: model).map(\.words)
      throw SextantError(
        .input, source: strategy.source,
        expected: "\(error)" + (changes.isEmpty ? "" : "; would work with \(changes.joined(separator: ", or "))"))
    }
  }
}

/// Cores that may be used.
var coreCount: Int { ProcessInfo.processInfo.activeProcessorCount }
