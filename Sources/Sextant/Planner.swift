package import Costing
import Documents
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

  /// - Parameters:
  ///   - framework: whose coefficients are used; nil for the first of the device profile.
  ///   - nodes: how many of the cluster's nodes to use: the best to leave out where links were measured, else the last.
  /// - Throws: ``SextantError`` for sizes that cannot be, or a device that cannot do what the job asks for.
  public init(cluster: Cluster, job: Job, framework: String? = nil, nodes: Int? = nil) throws(SextantError) {
    let training = try job.training(on: cluster.description)
    let whole: CostModel
    do {
      whole = try CostModel(cluster: cluster.description, job: training, frameworkName: framework)
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
    /// Threads that price strategies; nil for as many as there are cores. The plan does not depend on it.
    public var threads: Int?
    /// Stop after this time with the best so far; such a plan says so, and another run may end elsewhere.
    public var timeLimitSeconds: Double?

    /// The best five, on all cores, without a limit of time.
    public init() {}
  }

  /// Searches all strategies that agree with what is fixed, and change values by no more than is allowed.
  ///
  /// - Parameters:
  ///   - isInterrupted: asked between strategies; `true` ends the search with the best so far.
  ///   - progress: told between strategies how many are dealt with, of how many.
  /// - Returns: the best plan, or why there is none; `get()` throws the latter.
  /// - Throws: ``SextantError`` when what is fixed is not allowed.
  public func best(
    fixing fixed: Strategy? = nil, allowing allowance: Allowance = .exact, options: Options = Options(),
    isInterrupted: () -> Bool = { false }, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(SextantError) -> Result<Plan, NoPlan> {
    let pattern = fixed?.pattern ?? StrategyPattern()
    if let fixed { try allowance.check(pattern, source: fixed.source) }
    let search = PlanSearch(
      model: model, pattern: pattern, allowance: allowance.document,
      options: PlanSearch.Options(
        resultCount: options.resultCount, completionLimit: options.completionLimit,
        threadCount: options.threads ?? coreCount))
    let deadline = options.timeLimitSeconds.map { ContinuousClock.now + .seconds($0) }
    let found = search.run(
      interruption: {
        if isInterrupted() { return .user }
        return deadline.map { ContinuousClock.now >= $0 } == true ? .timeLimit : nil
      }, progress: progress)
    guard
      let plan = found.plan(
        model: model, fixed: search.pattern, allowance: search.allowance, toolVersion: Self.version)
    else { return .failure(NoPlan(result: found, model: model)) }
    return .success(Plan(document: plan))
  }

  /// What one strategy would take, with the split of layers that frameworks use by default.
  ///
  /// - Parameter strategy: what is not stated is 1, none or off, and the data degree whatever remains of the devices.
  /// - Throws: ``SextantError`` with the rule that the strategy breaks.
  public func estimate(_ strategy: Strategy) throws(SextantError) -> Estimate {
    do {
      return Estimate(document: try Costing.Estimate(model: model, pattern: strategy.pattern))
    } catch {
      throw SextantError(.input, source: strategy.source, expected: "\(error)")
    }
  }
}

/// Cores that may be used.
var coreCount: Int { ProcessInfo.processInfo.activeProcessorCount }
